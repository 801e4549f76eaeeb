package sequence

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"hbar/dynamics"
	"hbar/nets"
)

// Scale is how a fitted model sees data: what a row means.
type Scale struct {
	Symbols bool      `json:"symbols,omitempty"` // rows are indicators
	Gaps    bool      `json:"gaps,omitempty"`    // inputs tell which values there are
	Dt      float64   `json:"dt"`                // step of time
	Mean    []float64 `json:"mean,omitempty"`    // of the outputs
	SD      []float64 `json:"sd,omitempty"`
	Start   []float64 `json:"start,omitempty"` // log probability of each symbol, for the first one
	Names   []string  `json:"names,omitempty"`
}

// mostGap bounds the steps that the records of data may be longer than their times.
const mostGap = 1 << 24

// NewScale describes data for a fit. Times must have a common step.
func NewScale(data *dynamics.Data, symbols bool) (*Scale, error) {
	if err := data.Validate(); err != nil {
		return nil, err
	}
	dt, ok := data.Step()
	if !ok {
		return nil, fmt.Errorf("sequence: the scan goes in equal steps, and these times have no common one; --method ml takes any times")
	}
	s := &Scale{Symbols: symbols, Dt: dt, Names: data.Names}
	if symbols {
		s.Start = make([]float64, data.P)
		total := 0.0
		for _, r := range data.Records {
			for i, v := range r.X {
				s.Start[i%data.P] += v
				total += v
			}
		}
		for i, n := range s.Start {
			s.Start[i] = math.Log((n + 1) / (total + float64(data.P)))
		}
		return s, nil
	}
	s.Mean, s.SD = data.Moments()
	steps := 0
	for k := range data.Records {
		r := &data.Records[k]
		for _, v := range r.X {
			s.Gaps = s.Gaps || v != v
		}
		n, err := s.steps(r)
		if err != nil {
			return nil, err
		}
		s.Gaps = s.Gaps || n > r.Len()
		steps += n
	}
	if steps > mostGap+data.Len() {
		return nil, fmt.Errorf("sequence: the gaps between times hold %d steps of %g; want at most %d", steps-data.Len(), dt, mostGap)
	}
	return s, nil
}

// steps is the number of equal steps from a record's first time to its last, both included.
func (s *Scale) steps(r *dynamics.Record) (int, error) {
	n := r.Len()
	if n == 0 {
		return 0, fmt.Errorf("sequence: an empty trajectory")
	}
	steps := math.Round((r.Times[n-1] - r.Times[0]) / s.Dt)
	if steps > mostGap {
		return 0, fmt.Errorf("sequence: %g steps of %g between the first time and the last; want at most %d", steps, s.Dt, mostGap)
	}
	return int(steps) + 1, nil
}

// series is a record in equal steps: values in units of their standard deviations, or indicators, and which of them there are.
type series struct {
	n    int
	x    []float32 // n×P, zero where there is no value
	seen []float32 // n×P of ones and zeros; nil for symbols
}

// series lays a record out. Its times must go in the model's steps.
func (s *Scale) series(r *dynamics.Record, p int) (*series, error) {
	n, err := s.steps(r)
	if err != nil {
		return nil, err
	}
	out := &series{n: n, x: make([]float32, n*p)}
	if !s.Symbols {
		out.seen = make([]float32, n*p)
	}
	for i, t := range r.Times {
		at := (t - r.Times[0]) / s.Dt
		k := int(math.Round(at))
		if math.Abs(at-float64(k)) > 0.01*math.Max(1, at*1e-3) || k >= n {
			return nil, fmt.Errorf("sequence: time %d, %g, is no whole number of the model's steps of %.6g after the first, %g", i, t, s.Dt, r.Times[0])
		}
		for j, v := range r.Row(i, p) {
			switch {
			case s.Symbols:
				out.x[k*p+j] = float32(v)
			case v == v:
				out.x[k*p+j], out.seen[k*p+j] = float32((v-s.Mean[j])/s.SD[j]), 1
			}
		}
	}
	return out, nil
}

// inputs writes those of times lo … hi−1.
func (q *series) inputs(dst []float32, s *Scale, lo, hi, p int) { q.rows(dst, lo, hi, p, s.Gaps) }

// targets writes those of times lo … hi−1 as nets.Memory.TrainingLosses has them.
func (q *series) targets(dst []float32, lo, hi, p int) { q.rows(dst, lo, hi, p, q.seen != nil) }

// rows writes those of times lo … hi−1, with seen each followed by which of its values there are.
func (q *series) rows(dst []float32, lo, hi, p int, seen bool) {
	if !seen {
		copy(dst, q.x[lo*p:hi*p])
		return
	}
	for i := lo; i < hi; i++ {
		copy(dst[(i-lo)*2*p:], q.x[i*p:(i+1)*p])
		copy(dst[(i-lo)*2*p+p:], q.seen[i*p:(i+1)*p])
	}
}

// Inputs is the number of inputs of a network for rows of p outputs.
func (s *Scale) Inputs(p int) int {
	if s.Gaps {
		return 2 * p
	}
	return p
}

// Fit is a model of data: a network, and how it sees them.
type Fit struct {
	*Model
	Scale Scale
	Note  string
}

// FitOptions are the form of a fit's network and its training.
type FitOptions struct {
	Net   nets.Memory // but for inputs, outputs and symbols, which follow from the data
	Train TrainOptions
}

// FitData fits a network to the records of data by the likelihood of each row given those before it.
func FitData(ctx context.Context, data *dynamics.Data, symbols bool, o FitOptions) (*Fit, error) {
	scale, err := NewScale(data, symbols)
	if err != nil {
		return nil, err
	}
	c := o.Net
	c.Inputs, c.Outputs, c.Symbols = scale.Inputs(data.P), data.P, symbols
	all, windows := []*series{}, 0
	for k := range data.Records {
		q, err := scale.series(&data.Records[k], data.P)
		if err != nil {
			return nil, err
		}
		if w := q.n - c.Window; w > 0 {
			all = append(all, q)
			windows += w
		}
	}
	if windows == 0 {
		return nil, fmt.Errorf("sequence: no trajectory is longer than a window of %d steps; take a shorter --window or longer trajectories", c.Window)
	}
	m, err := New(c, o.Train.Seed)
	if err != nil {
		return nil, err
	}
	example := func(rng *rand.Rand, x, target []float32) {
		at, k := rng.IntN(windows), 0
		for ; at >= all[k].n-c.Window; k++ {
			at -= all[k].n - c.Window
		}
		all[k].inputs(x, scale, at, at+c.Window, data.P)
		all[k].targets(target, at+1, at+c.Window+1, data.P)
	}
	o.Train.Length, o.Train.Scored = c.Window, c.Window
	if err := Train(ctx, m, example, o.Train); err != nil {
		return nil, err
	}
	return &Fit{Model: m, Scale: *scale}, nil
}
