package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"hbar/cmd/internal/loglik"
	"hbar/kernels"
	"hbar/metrics"
	"hbar/solver"
)

// Cell is what was measured at one h and number of steps.
type Cell struct {
	H           num               `json:"h"`
	Steps       int               `json:"steps"`
	Evaluations int               `json:"evaluations"` // of the network, for each sample
	W2          *metrics.Estimate `json:"w2"`          // mean over repeats
	W2Squared   *metrics.Estimate `json:"w2_squared"`
	Values      []num             `json:"w2_squared_repeats"`
	NonFinite   int               `json:"non_finite"` // samples; a repeat with any has no distance
	Seconds     float64           `json:"sampling_seconds"`
}

// distances measures W2² for all h and steps, repeat by repeat: repeat r compares samples r·n … of the run with data of
// its own. Samples with one number begin with the same state and use the same noise, whatever h.
type distances struct {
	net    *loglik.Network
	o      options
	data   [][]float64 // batches of n points
	d      int
	scaled bool // points and samples are in the network's coordinates and not in data units
	report func(stage string, done, total int)

	cells []Cell
	floor *metrics.Floor
}

// batches cuts n points for each repeat; a file with too few points makes the batches smaller.
func batches(net *loglik.Network, o options, scaled bool) (data [][]float64, p *loglik.Points, err error) {
	p, err = net.LoadPoints(o.Source, 0, o.n*o.repeats, 0)
	if err != nil { // a file with fewer
		all, errAll := net.LoadPoints(o.Source, 0, 0, 0)
		if errAll != nil {
			return nil, nil, err
		}
		p = all
	}
	n := min(o.n, p.N()/o.repeats)
	if n < 50 && n < o.n {
		return nil, nil, fmt.Errorf("%s has %d points: too few for %d repeats of 50 or more; lower --repeats", p.Name, p.N(), o.repeats)
	}
	order := make([]int, p.N())
	for i := range order {
		order[i] = i
	}
	if !p.Fresh { // rows of a file may be sorted
		rng := rand.New(kernels.NewSource(o.Seed, kernels.StreamResample, 0))
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	x := p.X
	if scaled {
		x = p.Z
	}
	for r := range o.repeats {
		batch := make([]float64, 0, n*p.D)
		for _, i := range order[r*n : (r+1)*n] {
			batch = append(batch, x[i*p.D:(i+1)*p.D]...)
		}
		data = append(data, batch)
	}
	return data, p, nil
}

// The units of distances.
const (
	unitsData    = "data"
	unitsNetwork = "network"
)

// unlikeScales is the ratio of the scales of columns from which on they are taken to have units of their own.
const unlikeScales = 8

// unlike reports whether columns have scales of different size.
func unlike(scale []float64) bool {
	return len(scale) > 1 && slices.Max(scale) > unlikeScales*slices.Min(scale)
}

// run measures the noise floor, then one cell after the other: when ctx ends, those that are done are there. Progress counts
// distances, and the samples for each as one more.
func (m *distances) run(ctx context.Context) (err error) {
	n := len(m.data[0]) / m.d
	repeats := len(m.data)
	total := len(m.o.steps)*len(m.o.h)*2*repeats + repeats/2
	done := 0
	tick := func() {
		done++
		m.report("distances", done, total)
	}
	m.report("distances", 0, total)
	m.floor, err = metrics.NoiseFloor(ctx, repeats/2, func(k int) ([]float64, error) { return m.data[k], nil }, func(ctx context.Context, x, y []float64) (float64, error) {
		defer tick()
		return squaredW2(ctx, x, y, m.d)
	})
	if err != nil {
		return err
	}
	for _, steps := range m.o.steps {
		for _, h := range m.o.h {
			t, err := m.o.table(h, int(steps))
			if err != nil {
				return err
			}
			begin := time.Now()
			x := make([]float64, 0, n*repeats*m.d)
			res, err := solver.Sample(ctx, m.net.Single, m.net.Schedule, solver.Options{TableOptions: t, N: n * repeats, Seed: m.o.Seed,
				Progress: func(k int) { m.report("distances", done+k/n, total) }}, func(c solver.Chunk) error {
				if !m.scaled {
					m.net.Norm.Invert(c.X, c.X, c.D)
				}
				x = append(x, c.X...)
				return nil
			})
			if err != nil {
				return err
			}
			done += repeats
			c := Cell{H: num(h), Steps: int(steps), Evaluations: res.Evaluations, NonFinite: res.NonFinite, Seconds: time.Since(begin).Seconds()}
			if err := c.measure(ctx, x, m.data, m.d, tick); err != nil {
				return err
			}
			m.cells = append(m.cells, c)
		}
	}
	return nil
}

// measure computes the distances of a cell's samples x to the batches of data.
func (c *Cell) measure(ctx context.Context, x []float64, data [][]float64, d int, tick func()) error {
	var squares, roots []float64
	for r, batch := range data {
		v, err := squaredW2(ctx, x[r*len(batch):(r+1)*len(batch)], batch, d)
		if err != nil {
			return err
		}
		c.Values = append(c.Values, num(v))
		squares, roots = append(squares, v), append(roots, math.Sqrt(v))
		tick()
	}
	c.W2Squared, c.W2 = mean(squares), mean(roots)
	return nil
}

// squaredW2 is W2² of two samples, NaN if a sample is not finite.
func squaredW2(ctx context.Context, x, y []float64, d int) (float64, error) {
	for _, v := range x {
		if v-v != 0 {
			return math.NaN(), ctx.Err()
		}
	}
	w, err := metrics.W2(ctx, x, y, d)
	if err != nil {
		return 0, err
	}
	return w.W2Squared.Value, nil
}

// mean is the mean over repeats with its standard error; nil if a repeat has no value.
func mean(x []float64) *metrics.Estimate {
	c, err := metrics.Compare(x, make([]float64, len(x)))
	if err != nil || c.Dropped > 0 {
		return nil
	}
	return &c.Mean
}

// series are the measured W2² for each number of steps.
func (m *distances) series() []series {
	var out []series
	for _, steps := range m.o.steps {
		s := series{measure: "w2_squared", steps: int(steps)}
		for _, c := range m.cells {
			if c.Steps != s.steps {
				continue
			}
			loss := make([]float64, len(c.Values))
			for r, v := range c.Values {
				loss[r] = float64(v)
			}
			s.h, s.loss = append(s.h, float64(c.H)), append(s.loss, loss)
		}
		out = append(out, s)
	}
	return out
}
