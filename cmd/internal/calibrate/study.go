package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"

	"gonum.org/v1/gonum/stat/distuv"

	"hbar/kernels"
)

// study repeats one estimator.
type study struct {
	name, about string
	rows        []row
	// start makes the trial of one worker: trials of a worker follow each other. done, unless nil, frees what it holds.
	start func(ctx context.Context) (t trial, done func(), err error)
}

// trial is one repeat: an outcome for each row of the study. seed differs from repeat to repeat.
type trial func(seed uint64) ([]outcome, error)

// row is one line of the table.
type row struct {
	what string
	// lo and hi are the coverage that is allowed, 0.93 and 0.97 if both are 0. docs/calibration.md says why it is another.
	lo, hi float64
}

// outcome is one repeat: what was estimated, and the truth.
type outcome struct {
	value, stderr float64
	lo, hi        float64 // the 95 % interval
	// truth is NaN where only the mean of the values over all repeats is known, which an estimator without bias has for its truth.
	truth float64
	// event says that this is no interval but a statement that should be right in 95 % of all cases; hit, whether it was.
	event, hit bool
}

// student is an estimate with a standard error of that many degrees of freedom.
func student(value, stderr float64, dof int, truth float64) outcome {
	half := stderr * distuv.StudentsT{Sigma: 1, Nu: float64(dof)}.Quantile(0.975)
	return outcome{value: value, stderr: stderr, lo: value - half, hi: value + half, truth: truth}
}

// normal is an estimate whose standard error rests on many values.
func normal(value, stderr, truth float64) outcome {
	half := z95 * stderr
	return outcome{value: value, stderr: stderr, lo: value - half, hi: value + half, truth: truth}
}

const z95 = 1.959963984540054

// repeat runs the trials on o.workers goroutines. Results do not depend on their number.
func (s study) repeat(ctx context.Context, o options) ([][]outcome, error) {
	out := make([][]outcome, o.repeats)
	errs := make([]error, min(o.workers, o.repeats))
	var group sync.WaitGroup
	for w := range errs {
		group.Go(func() {
			t, done, err := s.start(ctx)
			if err != nil {
				errs[w] = err
				return
			}
			if done != nil {
				defer done()
			}
			for k := w; k < o.repeats && errs[w] == nil; k += len(errs) {
				if errs[w] = ctx.Err(); errs[w] == nil {
					out[k], errs[w] = t(o.seed<<32 + uint64(k) + 1)
				}
				if errs[w] == nil && len(out[k]) != len(s.rows) {
					errs[w] = fmt.Errorf("%d outcomes for %d rows", len(out[k]), len(s.rows))
				}
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// coverage is what the repeats say of one row. plain and bias are NaN of events.
type coverage struct {
	interval, plain float64 // share of the repeats whose interval, or value ± 1.96 standard errors, holds the truth
	bias            float64 // mean of value − truth over the root mean square of the standard error
	n               int
}

// summarise reduces row i.
func summarise(all [][]outcome, i int) coverage {
	c := coverage{n: len(all)}
	n := float64(len(all))
	mean := 0.0
	for _, o := range all {
		mean += o[i].value / n
	}
	square := 0.0
	for _, o := range all {
		q := o[i]
		if q.event {
			if q.hit {
				c.interval += 1 / n
			}
			continue
		}
		if math.IsNaN(q.truth) {
			q.truth = mean
		}
		if q.lo <= q.truth && q.truth <= q.hi {
			c.interval += 1 / n
		}
		if math.Abs(q.value-q.truth) <= z95*q.stderr {
			c.plain += 1 / n
		}
		c.bias += (q.value - q.truth) / n
		square += q.stderr * q.stderr / n
	}
	if c.bias /= math.Sqrt(square); all[0][i].event {
		c.plain, c.bias = math.NaN(), math.NaN()
	}
	return c
}

// bounds of the coverage that is allowed.
func (r row) bounds() (lo, hi float64) {
	if r.lo == 0 && r.hi == 0 {
		return 0.93, 0.97
	}
	return r.lo, r.hi
}

func (r row) allowed() string {
	lo, hi := r.bounds()
	return fmt.Sprintf("%.0f to %.0f", 100*lo, 100*hi)
}

// holds reports whether the coverage is within what is allowed, up to three binomial standard errors of that bound.
func (r row) holds(c coverage) bool {
	lo, hi := r.bounds()
	slack := func(p float64) float64 { return 3 * math.Sqrt(p*(1-p)/float64(c.n)) }
	return c.interval >= lo-slack(lo) && c.interval <= hi+slack(hi)
}

// source are the random numbers of a trial's data. Estimators have the seed of the trial, and these come from another.
func source(seed uint64) *rand.Rand {
	return rand.New(kernels.NewSource(seed^0x9e3779b97f4a7c15, kernels.StreamInit, 0))
}

// studies are all of them, in the order of the table.
func studies() []study {
	var all []study
	for _, of := range [][]study{flowStudies(), slopeStudies(), pathStudies(), distanceStudies(), choiceStudies(), judgeStudies()} {
		all = append(all, of...)
	}
	return all
}
