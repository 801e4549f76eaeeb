package sweepcmd

import (
	"context"
	"fmt"
	"math"

	"hbar/cmd/internal/loglik"
	"hbar/metrics"
	"hbar/solver"
)

// Bands is the search for a profile of the strength at one number of steps: the values of --h at knots in the middles of equal parts of
// the range of λ = log(α/σ), one knot after the other, from the best constant on. Profile and constant are then compared on noise that
// the search has not seen.
type Bands struct {
	Measure     string     `json:"measure"`
	Steps       int        `json:"steps"`
	Evaluations int        `json:"evaluations"` // of the network, for each sample
	Lambda      []float64  `json:"knots"`       // λ of the knots
	Tried       []BandTry  `json:"tried"`
	Constant    BandResult `json:"constant"` // the best constant h of the search, on fresh noise
	Profile     BandResult `json:"profile"`  // the best profile of the search, on fresh noise
	// Difference is profile less constant, in pairs on fresh noise; null where they are the same.
	Difference *metrics.Paired `json:"difference"`
	Text       string          `json:"text"`
}

// BandTry is a strength that was tried on the noise of the search.
type BandTry struct {
	H     solver.Strength `json:"h"`
	Value num             `json:"value"`
}

// BandResult is a strength with its measure.
type BandResult struct {
	H     solver.Strength   `json:"h"`
	Value *metrics.Estimate `json:"value"`

	loss []float64
}

// freshNoise numbers the samples of the comparison behind any of the search.
const freshNoise = 1 << 40

// losses are the units of a cell by one measure, for pairs with those of another cell; nil: there are none.
func (c *Cell) losses(measure string) []float64 {
	if r := c.Metrics[measure]; r != nil {
		return r.Pseudo
	}
	if measure != metricNames[metricW2] || c.W2Squared == nil {
		return nil
	}
	out := make([]float64, len(c.Values))
	for i, v := range c.Values {
		out[i] = float64(v)
	}
	return out
}

func average(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v / float64(len(x))
	}
	if len(x) == 0 {
		return math.Inf(1)
	}
	return sum
}

// search finds the profiles of --bands, one for each number of steps.
func (m *distances) search(ctx context.Context, single *solver.Network, count int) error {
	if m.o.bands == 0 {
		return nil
	}
	measure := metricNames[metricW2]
	if names := m.o.measures.resampled(); len(names) > 0 {
		measure = metricNames[names[0]]
	}
	var own []float64
	for i, steps := range m.o.steps {
		if m.o.takesCell(i, 0) { // with bands all cells of a number of steps go together
			own = append(own, steps)
		}
	}
	total, done := len(own)*(m.o.bands*(len(m.o.h)-1)+2), 0
	try := func(h solver.Strength, steps int, first uint64) (*Cell, error) {
		m.report("bands", done, total)
		nothing := func() {}
		c, err := loglik.Saved(m.journal, fmt.Sprintf("try %v %d %d", h, steps, first), func() (*Cell, error) {
			c, _, err := m.cell(ctx, single, h, steps, first, count, nil, nothing, nothing)
			return c, err
		})
		done++
		m.report("bands", done, total)
		return c, err
	}
	for _, steps := range own {
		b := &Bands{Measure: measure, Steps: int(steps)}
		if err := b.find(m, try); err != nil {
			return err
		}
		m.bands = append(m.bands, b)
	}
	return nil
}

// find searches from the best constant on, and compares on fresh noise.
func (b *Bands) find(m *distances, try func(h solver.Strength, steps int, first uint64) (*Cell, error)) error {
	s := m.net.Schedule
	from, to := s.Lambda(s.Tmax()), s.Lambda(s.Tmin())
	for k := range m.o.bands {
		b.Lambda = append(b.Lambda, math.Round(100*(from+(float64(k)+0.5)/float64(m.o.bands)*(to-from)))/100)
	}
	best, value := math.NaN(), math.Inf(1)
	for i := range m.cells {
		c := &m.cells[i]
		if h, ok := c.H.IsConstant(); ok && c.Steps == b.Steps {
			b.Evaluations = c.Evaluations
			if v := average(c.losses(b.Measure)); v < value {
				best, value = h, v
			}
		}
	}
	if math.IsNaN(best) {
		b.Text = "no constant h has a value to begin with"
		return nil
	}
	b.Constant.H = solver.Constant(best)
	b.Profile.H = b.Constant.H
	knots := make([]solver.Knot, m.o.bands)
	for k := range knots {
		knots[k] = solver.Knot{H: best, Lambda: b.Lambda[k]}
	}
	for k := range knots {
		kept := knots[k].H
		for _, h := range m.o.h {
			if h == kept {
				continue
			}
			before := knots[k].H
			knots[k].H = h
			p, err := solver.Profile(knots...)
			if err != nil {
				return err
			}
			c, err := try(p, b.Steps, 0)
			if err != nil {
				return err
			}
			v := average(c.losses(b.Measure))
			b.Tried = append(b.Tried, BandTry{p, num(v)})
			if v < value {
				value, b.Profile.H = v, p
			} else {
				knots[k].H = before
			}
		}
	}
	return b.compare(try)
}

// compare measures both on noise that the search has not seen: the search took the best of many, which flatters it.
func (b *Bands) compare(try func(h solver.Strength, steps int, first uint64) (*Cell, error)) error {
	if b.Profile.H == b.Constant.H {
		b.Text = fmt.Sprintf("no profile of %d knots was better than the constant h = %v", len(b.Lambda), b.Constant.H)
	}
	for _, r := range []*BandResult{&b.Constant, &b.Profile} {
		if r == &b.Profile && b.Text != "" {
			r.Value = b.Constant.Value
			return nil
		}
		c, err := try(r.H, b.Steps, freshNoise)
		if err != nil {
			return err
		}
		r.loss = c.losses(b.Measure)
		switch {
		case c.Metrics[b.Measure] != nil:
			r.Value = &c.Metrics[b.Measure].Estimate
		case r.loss != nil:
			r.Value = c.W2Squared
		}
	}
	if b.Constant.loss == nil || b.Profile.loss == nil {
		b.Text = "on fresh noise some sample is not finite: nothing to compare"
		return nil
	}
	var err error
	if b.Difference, err = metrics.Compare(b.Profile.loss, b.Constant.loss); err != nil {
		return err
	}
	e := b.Difference.Mean
	verdict := "no significant difference"
	switch {
	case b.Difference.PT < 0.05 && e.Value < 0:
		verdict = "the profile is better"
	case b.Difference.PT < 0.05:
		verdict = "the constant is better: the search followed its noise"
	}
	b.Text = fmt.Sprintf("h = %v against the best constant h = %v, on fresh noise: %s ± %s (p = %.2g): %s", b.Profile.H, b.Constant.H, loglik.Signed(e.Value), loglik.Fixed(e.StdErr), b.Difference.PT, verdict)
	return nil
}
