package main

import (
	"bytes"
	"context"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
)

// Sixty repeats of the studies that take no time: the coverage is within what the table allows, and three binomial standard errors,
// which of 93 % are 9.9 points. `make calibrate` repeats all of them 1000 times.
func TestCoverage(t *testing.T) {
	only := []string{"reward", "w2", "frechet", "frechet-to", "kernel", "mmd", "no-best", "accuracy", "path", "bounds", "flow-mean"}
	if testing.Short() {
		only = only[:8]
	}
	var table bytes.Buffer
	if err := run(context.Background(), options{repeats: 60, only: only, workers: 2}, &table, io.Discard); err != nil {
		t.Errorf("%v\n%s", err, table.String())
	}
	if rows := strings.Count(table.String(), "\n| ") - 1; rows < len(only) {
		t.Errorf("%d rows of %d studies:\n%s", rows, len(only), table.String())
	}
}

// Each of the other studies runs: four repeats, which say nothing of coverage.
func TestStudiesRun(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds")
	}
	for _, s := range studies() {
		if s.name == "auc" || s.name == "auc-null" { // which package detect tests
			continue
		}
		got, err := s.repeat(context.Background(), options{repeats: 4, workers: 2})
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		for i, r := range s.rows {
			for _, o := range got {
				if q := o[i]; !q.event && !(q.stderr >= 0 && q.lo <= q.value && q.value <= q.hi && q.hi-q.lo < math.Inf(1)) {
					t.Errorf("%s: %s: %+v", s.name, r.what, q)
				}
			}
		}
	}
}

// fake is a study of normal values whose standard error is stated as that much of the true one.
func fake(factor, bias float64) study {
	return study{name: "fake", rows: []row{{what: "fake"}}, start: func(context.Context) (trial, func(), error) {
		return func(seed uint64) ([]outcome, error) {
			return []outcome{normal(source(seed).NormFloat64()+bias, factor, 0)}, nil
		}, nil, nil
	}}
}

// A standard error that is a fifth too small or too large, and a bias of one standard error, are found.
func TestWrongErrorsAreFound(t *testing.T) {
	for _, c := range []struct {
		factor, bias float64
		holds        bool
	}{{1, 0, true}, {0.8, 0, false}, {1.4, 0, false}, {1, 1, false}} {
		s := fake(c.factor, c.bias)
		got, err := s.repeat(context.Background(), options{repeats: 1000, workers: 3})
		if err != nil {
			t.Fatal(err)
		}
		cover := summarise(got, 0)
		if s.rows[0].holds(cover) != c.holds || math.Abs(cover.bias-c.bias/c.factor) > 4*0.032/c.factor { // 1/√1000
			t.Errorf("%+v: %+v", c, cover)
		}
		again, err := s.repeat(context.Background(), options{repeats: 1000, workers: 1})
		if err != nil || !slices.EqualFunc(got, again, slices.Equal) {
			t.Errorf("%+v: the number of workers changes the outcomes: %v", c, err)
		}
	}
}

func TestChoice(t *testing.T) {
	for args, want := range map[string]string{"w3": "--only w3; have flow-point", "": "have flow-point"} {
		if err := (options{repeats: 2, workers: 1, only: []string{args}}).check(nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", args, err, want)
		}
	}
	for _, o := range []options{{repeats: 1, workers: 1}, {repeats: 2}} {
		if o.check(nil) == nil {
			t.Errorf("%+v passes", o)
		}
	}
	if err := (options{repeats: 2, workers: 1}).check([]string{"w2"}); err == nil {
		t.Error("an argument passes")
	}
	stopped, stop := context.WithCancel(context.Background())
	stop()
	if err := run(stopped, options{repeats: 3, workers: 1, only: []string{"reward"}}, io.Discard, io.Discard); err == nil {
		t.Error("a run that was stopped has no error")
	}
}
