package main

import (
	"fmt"
	"math"
	"strings"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/ui"
	"hbar/dynamics"
)

// source is the data of a command line.
type source struct {
	data   string
	dt     float64
	tokens int
}

func (s *source) define(g *flags.Group) {
	s.tokens = 64
	g.String(&s.data, "data", "FILE,…", "trajectories: .npy (n, n×p or m×n×p), .npz (x and times), .csv (a line for each time), or text (.txt, .md); NaN where nothing was observed; several files are several trajectories")
	g.Float(&s.dt, "dt", "STEP", flags.NonNegative, "step of time of a file without times; 0 means 1")
	g.Int(&s.tokens, "tokens", "COUNT", flags.Between(2, 2048), "characters of a text that have an indicator of their own; rarer ones share one")
}

// files are the named files, for the check of outputs.
func (s *source) files() []flags.File {
	var out []flags.File
	for _, f := range s.paths() {
		out = append(out, flags.File{Name: "data", Path: f})
	}
	return out
}

func (s *source) paths() []string { return strings.Split(s.data, ",") }

// given refuses a command line without data.
func (s *source) given() error {
	if s.data == "" {
		return ui.Usagef("--data FILE is missing: name the trajectories")
	}
	return nil
}

// load reads the data. alphabet are the outputs of a model of texts, nil: those of the data's own.
func (s *source) load(alphabet []string) (*dynamics.Data, error) {
	if err := s.given(); err != nil {
		return nil, err
	}
	d, err := dynamics.Load(s.paths(), dynamics.ReadOptions{Dt: s.dt, Tokens: s.tokens, Alphabet: alphabet})
	if err != nil {
		return nil, err
	}
	if s.dt > 0 && d.Timed {
		if step, ok := d.Step(); !ok || math.Abs(step-s.dt) > 1e-3*s.dt {
			have := "have no common step"
			if ok {
				have = fmt.Sprintf("are %.6g apart", step)
			}
			return nil, fmt.Errorf("--dt %g does not go with the times in the data, which %s; leave --dt out", s.dt, have)
		}
	}
	return d, nil
}

// text reports whether the data are text.
func (s *source) text() bool {
	p := strings.ToLower(s.paths()[0])
	return strings.HasSuffix(p, ".txt") || strings.HasSuffix(p, ".md") || strings.HasSuffix(p, ".text")
}

// describe says in a line what was read.
func describe(name string, d *dynamics.Data) string {
	gaps, n := 0, d.Len()
	for _, r := range d.Records {
		for _, v := range r.X {
			if v != v {
				gaps++
			}
		}
	}
	s := fmt.Sprintf("%s: %s, %s, %s", name, plural(len(d.Records), "trajectory", "trajectories"), plural(n, "time", "times"), plural(d.P, "output", "outputs"))
	if dt, ok := d.Step(); ok {
		s += fmt.Sprintf(", step %.6g", dt)
	} else if n > len(d.Records) {
		s += ", irregular times"
	}
	if gaps > 0 {
		s += fmt.Sprintf(", %s missing", plural(gaps, "value", "values"))
	}
	return s
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return ui.Count(int64(n)) + " " + many
}
