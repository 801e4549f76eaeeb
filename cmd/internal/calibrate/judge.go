package main

import (
	"context"
	"math"
	"math/rand/v2"

	"hbar/classify"
	"hbar/detect"
	"hbar/nets"
)

// judgeStudies are those of classifiers and detectors.
func judgeStudies() []study {
	return []study{
		{name: "accuracy", about: "Wilson's interval of an accuracy of 95 % of 1000 samples and of 99 % of 200, and the entropy of 500 samples over five classes",
			rows: []row{{what: "classify: accuracy 95 % of 1000"}, {what: "classify: accuracy 99 % of 200"}, {what: "classify: entropy of the classes of 500"}}, start: accuracies},
		{name: "auc", about: "AUC of a detector of 128 samples of each kind, half of them fitted, against that of 4000 fresh ones of each",
			rows: []row{{what: "detect: AUC 0.8, tested on 64 of each"}}, start: aucOf(128, 1, false)},
		{name: "auc-null", about: "AUC of a detector where samples and data are alike, against its interval for that case",
			rows: []row{{what: "detect: AUC of nothing lies where it says"}}, start: aucOf(80, 0, true)},
	}
}

func accuracies(context.Context) (trial, func(), error) {
	shares := []float64{0.4, 0.3, 0.15, 0.1, 0.05}
	entropy := 0.0
	for _, p := range shares {
		entropy -= p * math.Log(p)
	}
	m := &classify.Model{Config: nets.Classifier{Classes: len(shares)}}
	return func(seed uint64) ([]outcome, error) {
		r := source(seed)
		var out []outcome
		for _, c := range []struct {
			p float64
			n int
		}{{0.95, 1000}, {0.99, 200}} {
			k := 0
			for range c.n {
				if r.Float64() < c.p {
					k++
				}
			}
			q := classify.NewProportion(k, c.n)
			out = append(out, outcome{value: q.Value, stderr: q.StdErr, lo: q.Lo, hi: q.Hi, truth: c.p})
		}
		j := &classify.Judged{N: 500, Logits: make([]float32, 500*len(shares))}
		for i := range j.N {
			j.Logits[i*len(shares)+category(r, shares)] = 1
		}
		s, err := m.NewScore(j, nil)
		if err != nil {
			return nil, err
		}
		return append(out, normal(s.Spread.Entropy, s.Spread.EntropyStdErr, entropy)), nil
	}, nil, nil
}

func category(r *rand.Rand, shares []float64) int {
	u := r.Float64()
	for c, p := range shares {
		if u -= p; u < 0 {
			return c
		}
	}
	return len(shares) - 1
}

// aucOf fits detectors to n rows of statistics of each kind, normals of which the first two differ by shift.
func aucOf(n int, shift float64, null bool) func(context.Context) (trial, func(), error) {
	return func(context.Context) (trial, func(), error) {
		return func(seed uint64) ([]outcome, error) {
			r := source(seed)
			d, report, err := detect.Calibrate(statistics(r, n, 0), statistics(r, n, shift), seed)
			if err != nil {
				return nil, err
			}
			if null {
				return []outcome{{event: true, hit: report.Null[0] <= report.AUC && report.AUC <= report.Null[1]}}, nil
			}
			const fresh = 4000
			score := append(d.Logits(statistics(r, fresh, 0)), d.Logits(statistics(r, fresh, shift))...)
			generated := make([]bool, 2*fresh)
			for i := fresh; i < 2*fresh; i++ {
				generated[i] = true
			}
			truth := detect.AUC(score, generated)
			half := (report.CI[1] - report.CI[0]) / 2
			return []outcome{{value: report.AUC, stderr: half / z95, lo: report.CI[0], hi: report.CI[1], truth: truth}}, nil
		}, nil, nil
	}
}

func statistics(r *rand.Rand, n int, shift float64) []float64 {
	p := len(detect.Names)
	rows := make([]float64, n*p)
	for i := range rows {
		rows[i] = r.NormFloat64()
		if i%p < 2 {
			rows[i] += shift
		}
	}
	return rows
}
