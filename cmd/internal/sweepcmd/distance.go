package sweepcmd

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/model"
	"hbar/kernels"
	"hbar/metrics"
	"hbar/solver"
)

// Cell is what was measured at one h and number of steps.
type Cell struct {
	H           solver.Strength   `json:"h"`
	Steps       int               `json:"steps"`
	Evaluations int               `json:"evaluations"` // of the network, for each sample
	W2          *metrics.Estimate `json:"w2"`          // mean over repeats
	W2Squared   *metrics.Estimate `json:"w2_squared"`
	Values      []num             `json:"w2_squared_repeats"`
	// Metrics are the other measures: sliced_w2_squared, frechet, kernel; null if a sample is not finite.
	Metrics   map[string]*metrics.Resampled `json:"metrics,omitempty"`
	NonFinite int                           `json:"non_finite"` // samples; a repeat with any has no distance
	Seconds   float64                       `json:"sampling_seconds"`
}

// distances measures W2² for all h and steps, repeat by repeat: repeat r compares samples r·n … of the run with data of
// its own. Samples with one number begin with the same state and use the same noise, whatever h.
type distances struct {
	net     *loglik.Network
	o       options
	data    [][]float64 // batches of n points
	classes []int32     // of the points, nil if they have no labels
	d       int
	scaled  bool // points and samples are in the network's coordinates and not in data units
	report  func(stage string, done, total int)
	q       *quality // of other measures; nil: none
	w2      bool
	rows    *rows // of pictures; nil: none
	journal *loglik.Journal
	bands   []*Bands

	cells []Cell
	at    []int // numbers of the cells among all of the sweep
	floor *metrics.Floor
}

// batches cuts n points for each repeat; a file with too few points makes the batches smaller. The points are drawn from all of a file,
// whose rows may be sorted.
func batches(net *loglik.Network, o options, scaled bool) (data [][]float64, p *loglik.Points, err error) {
	if p, err = o.draw(net, o.n*o.repeats, o.Seed); err != nil {
		return nil, nil, err
	}
	n := min(o.n, p.N()/o.repeats)
	if n < 50 && n < o.n {
		return nil, nil, fmt.Errorf("%s has %d points: too few for %d repeats of 50 or more; lower --repeats", p.Name, p.N(), o.repeats)
	}
	x := p.X
	if scaled {
		x = p.Z
	}
	for r := range o.repeats {
		data = append(data, x[r*n*p.D:(r+1)*n*p.D:(r+1)*n*p.D])
	}
	return data, p, nil
}

// draw takes count points of the data at random, of the class that is sampled if it is one and the data have labels.
func (o options) draw(net *loglik.Network, count int, seed uint64) (*loglik.Points, error) {
	class, one := o.oneClass()
	p, err := net.LoadRandom(o.Source, count, seed, 0, func(label int32) bool { return !one || label == class })
	if err != nil {
		return nil, err
	}
	if p.N() == 0 {
		return nil, fmt.Errorf("%s has no point of class %d", p.Name, class)
	}
	return p, p.CheckRange()
}

// oneClass is the class that is sampled, if it is one.
func (o options) oneClass() (class int32, one bool) {
	_, err := fmt.Sscan(o.class, &class)
	return class, err == nil
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
	n, repeats := m.o.n, 1
	if m.w2 {
		n, repeats = len(m.data[0])/m.d, len(m.data)
	}
	total, done := m.o.ownCells()*2*repeats, 0
	tick := func() {
		done++
		m.report("distances", done, total)
	}
	floor := m.w2 && m.o.takesFloor()
	if floor {
		total += repeats / 2
	}
	m.report("distances", 0, total)
	if !floor {
		return m.cellsOf(ctx, n, repeats, total, &done, tick)
	}
	before := done
	m.floor, err = loglik.Saved(m.journal, "floor", func() (*metrics.Floor, error) {
		return metrics.NoiseFloor(ctx, repeats/2, func(k int) ([]float64, error) { return m.data[k], nil }, func(ctx context.Context, x, y []float64) (float64, error) {
			defer tick()
			return squaredW2(ctx, x, y, m.d)
		})
	})
	if err != nil {
		return err
	}
	done = before + repeats/2 // also if it was done before
	return m.cellsOf(ctx, n, repeats, total, &done, tick)
}

// cellsOf draws the samples of all h and steps, and measures them.
func (m *distances) cellsOf(ctx context.Context, n, repeats, total int, done *int, tick func()) error {
	single, err := m.net.Sampler(m.labels(), m.o.guidance)
	if err != nil {
		return err
	}
	count := n * repeats
	if m.q != nil {
		count = max(count, m.o.n)
	}
	for i, steps := range m.o.steps {
		for j, h := range m.o.strengths {
			if !m.o.takesCell(i, j) {
				continue
			}
			at, before := i*len(m.o.strengths)+j, *done
			got, err := loglik.Saved(m.journal, fmt.Sprint("cell ", at), func() (measured, error) {
				c, x, err := m.cell(ctx, single, h, int(steps), 0, count, func(k int) { m.report("distances", *done+k*repeats/count, total) }, func() {
					*done += repeats
					m.report("distances", *done, total)
				}, tick)
				if err != nil {
					return measured{}, err
				}
				return measured{*c, m.rows.first(x)}, nil
			})
			if err != nil {
				return err
			}
			*done = before + 2*repeats
			m.report("distances", *done, total)
			if err := m.rows.add(rowName(&got.Cell), got.Shown); err != nil {
				return err
			}
			m.cells, m.at = append(m.cells, got.Cell), append(m.at, at)
		}
	}
	return m.search(ctx, single, count)
}

// measured is a cell with the samples of it that are shown.
type measured struct {
	Cell  Cell
	Shown []float64
}

// labels draws the classes of samples at random where all are wanted: of classes in turn, two samples are of one class less often than
// two of the data are, and distances that compare pairs would see it. nil: those of the network.
func (m *distances) labels() func(sample uint64) float64 {
	classes := m.net.Config().Classes()
	if classes == 0 || m.o.class != "" && m.o.class != model.ClassAll {
		return nil
	}
	of := m.classes // which may be of different size
	if m.q != nil {
		of = m.q.labels
	}
	return func(sample uint64) float64 {
		w := kernels.Block(m.o.Seed, kernels.StreamResample, sample, 1)
		if len(of) > 0 {
			return float64(of[uint64(w[0])*uint64(len(of))>>32])
		}
		return float64(uint64(w[0]) * uint64(classes) >> 32)
	}
}

// cell draws count samples of one strength and number of steps, from number first of the run on, and measures them. drawn is called
// when they are there, measured after each distance.
func (m *distances) cell(ctx context.Context, single *solver.Network, h solver.Strength, steps int, first uint64, count int, progress func(done int), drawn, measured func()) (*Cell, []float64, error) {
	t, err := m.o.table(h, steps, m.net.Schedule)
	if err != nil {
		return nil, nil, err
	}
	begin := time.Now()
	x := make([]float64, 0, count*m.d)
	res, err := solver.Sample(ctx, single, m.net.Schedule, solver.Options{TableOptions: t, N: count, First: first, Seed: m.o.Seed, Progress: progress}, func(c solver.Chunk) error {
		if !m.scaled {
			m.net.Norm.Invert(c.X, c.X, c.D)
		}
		x = append(x, c.X...)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	drawn()
	c := &Cell{H: h, Steps: steps, Evaluations: res.Evaluations, NonFinite: res.NonFinite, Seconds: time.Since(begin).Seconds()}
	if m.w2 {
		if err := c.measure(ctx, x, m.data, m.d, measured); err != nil {
			return nil, nil, err
		}
	}
	if m.q != nil {
		if c.Metrics, err = m.q.measure(ctx, x); err != nil {
			return nil, nil, err
		}
		if !m.w2 {
			measured()
		}
	}
	return c, x, nil
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

// distanceSeries are the measured W2² for each number of steps, and the other measures.
func (o options) distanceSeries(cells []Cell) []series {
	out := o.resampled(cells)
	if !o.measures.has(metricW2) {
		return out
	}
	for _, steps := range o.steps {
		s := series{measure: "w2_squared", steps: int(steps)}
		for _, c := range cells {
			if c.Steps != s.steps {
				continue
			}
			loss := make([]float64, len(c.Values))
			for r, v := range c.Values {
				loss[r] = float64(v)
			}
			s.h, s.loss = append(s.h, c.H), append(s.loss, loss)
		}
		out = append(out, s)
	}
	return out
}

// resampled are the pseudo-values of the other measures for each number of steps. Those of two h belong to the same noise and
// the same data, and are compared in pairs.
func (o options) resampled(cells []Cell) []series {
	var out []series
	for _, name := range o.measures.resampled() {
		for _, steps := range o.steps {
			s := series{measure: metricNames[name], steps: int(steps)}
			for _, c := range cells {
				if r := c.Metrics[s.measure]; r != nil && c.Steps == s.steps {
					s.h, s.loss = append(s.h, c.H), append(s.loss, r.Pseudo)
				}
			}
			out = append(out, s)
		}
	}
	return out
}
