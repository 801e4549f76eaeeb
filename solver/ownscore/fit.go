package ownscore

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"hbar/kernels"
	"hbar/solver"
	"hbar/solver/likelihood"
)

// Options of Fit. The zero value of all but Path is usual.
type Options struct {
	// Path is the chain, and the seed of its paths; Paths and Own are not used.
	Path  likelihood.PathOptions
	Paths int // of the chain that the fit sees, a quarter of which are held out; 0: 2000
	Knots int // in λ; 0: 16
	// Cosines is the number of random features, for at most MostCosineDims dimensions; 0: 64.
	Cosines int
	// Shape is that of a point if it is an image [height, width, channels] or a sequence [length, channels], for filters; nil: none.
	Shape    []int
	Progress func(done, total int)
}

// defaultPaths is how many paths a fit sees.
const defaultPaths = 2000

// MostCosineDims is the largest D with random features: with more, a few tens of them say little of x.
const MostCosineDims = 4

// Report says what a fit found, on paths that were held out.
type Report struct {
	// Loss is the mean of σ²|c − (Y − s)|² with the c that was chosen, Zero with c = 0. Chosen is "none" or the kind of its features.
	Loss, Zero float64
	Chosen     string
}

// rounds are the values of κ, one after the other.
func rounds(h float64) []float64 {
	switch {
	case h < 0.1:
		return []float64{2, 1.5, 1}
	case h <= 0.3:
		return []float64{2, 1, 0.5}
	}
	return []float64{1, 0.5}
}

// Fit learns c and ρ of the chain at h from its own paths.
func Fit(ctx context.Context, m solver.VJPer, s solver.Schedule, h float64, o Options) (*Score, *Report, error) {
	if o.Paths == 0 {
		o.Paths = defaultPaths
	}
	if o.Knots == 0 {
		o.Knots = 16
	}
	if o.Cosines == 0 {
		o.Cosines = 64
	}
	if o.Paths < 8 || o.Knots < 2 || o.Cosines < 0 {
		return nil, nil, fmt.Errorf("ownscore: %d paths, %d knots, %d cosines; want at least 8, 2 and 0", o.Paths, o.Knots, o.Cosines)
	}
	if err := solver.NeedScalars(s, "the sampler's own score"); err != nil {
		return nil, nil, fmt.Errorf("ownscore: %w", err)
	}
	d := m.Dim()
	rows, err := table(s, h, d, o.Path)
	if err != nil {
		return nil, nil, err
	}
	scalars := &Score{Schedule: s, D: d, H: h, Features: Scalars, Knots: knots(s, o.Knots), Chain: ChainOf(o.Path)}
	models := candidates(scalars, o)
	if err := models[len(models)-1].checkKind(); err != nil {
		return nil, nil, err
	}
	none := *scalars
	best, report := &none, &Report{}
	kappas := rounds(h)
	f := fitRun{ctx: ctx, m: m, s: s, rows: rows, o: o, total: (len(kappas) + 1) * o.Paths}
	for _, kappa := range kappas {
		sums, err := f.round(models, best, kappa)
		if err != nil {
			return nil, nil, err
		}
		best, report = choose(&none, models, sums)
		f.done += o.Paths
	}
	if err := f.variance(best); err != nil {
		return nil, nil, err
	}
	return best, report, nil
}

// candidates are the models that are fitted: in few dimensions with cosines, in more with weights for each coordinate, and where points
// have a shape with filters.
func candidates(scalars *Score, o Options) []*Score {
	models := []*Score{scalars}
	as := func(k Kind) *Score {
		c := *scalars
		c.Features = k
		models = append(models, &c)
		return &c
	}
	switch {
	case scalars.D > MostCosineDims:
		as(Coordinates)
	case o.Cosines > 0:
		as(Cosines).draw(o.Cosines, o.Path.Seed)
	}
	if len(o.Shape) > 1 {
		as(Filters).Shape = o.Shape
	}
	return models
}

// ChainOf names the chain that a fit belongs to.
func ChainOf(o likelihood.PathOptions) string {
	return fmt.Sprintf("%d steps of %v on grid %v", o.Steps, o.Sampler, o.Grid)
}

// knots are evenly spaced in λ.
func knots(s solver.Schedule, n int) []float64 {
	lo, hi := s.Lambda(s.Tmax()), s.Lambda(s.Tmin())
	k := make([]float64, n)
	for i := range k {
		k[i] = lo + (hi-lo)*float64(i)/float64(n-1)
	}
	return k
}

// draw makes random cosines, of scales from the spread of the data to a tenth of it.
func (c *Score) draw(m int, seed uint64) {
	r := rand.New(kernels.NewSource(seed, kernels.StreamInit, 1<<40))
	for range m {
		scale := math.Exp(r.Float64() * math.Log(10))
		for range c.D {
			c.Omega = append(c.Omega, scale*r.NormFloat64())
		}
		c.Phase = append(c.Phase, 2*math.Pi*r.Float64())
	}
}

// fitRun is the work of Fit.
type fitRun struct {
	ctx         context.Context
	m           solver.VJPer
	s           solver.Schedule
	rows        []kernels.PathRow
	o           Options
	done, total int
}

// chunk is the number of paths at once.
func (f *fitRun) chunk() int { return max(8, min(f.o.Paths, 1<<21/f.m.Dim())) }

func (f *fitRun) report(part float64) {
	if f.o.Progress != nil {
		f.o.Progress(f.done+int(part), f.total)
	}
}

// round gathers the sums of all models from paths whose targets lean on own.
func (f *fitRun) round(models []*Score, own *Score, kappa float64) ([]*sums, error) {
	all := make([]*sums, len(models))
	for i, c := range models {
		all[i] = newSums(c)
	}
	d, size := f.m.Dim(), f.chunk()
	for at := 0; at < f.o.Paths; at += size {
		n := min(size, f.o.Paths-at)
		held := n - max(1, n/4) // paths from here on are held out
		w := &walk{model: f.m, s: f.s, rows: f.rows, n: n, seed: f.o.Path.Seed, first: f.o.Path.Sample0 + uint64(at), own: own, kappa: kappa}
		err := w.run(f.ctx, func(k int, x, s, y []float64) error {
			target := append([]float64(nil), y...)
			clip(target, s, d)
			t := f.rows[k].Tau
			sigma, norm := scales(f.s, t)
			for i := range target {
				target[i] = sigma * (target[i] - s[i])
			}
			for _, a := range all {
				a.train.add(a.c, t, x[:held*d], s[:held*d], target[:held*d], sigma, norm)
				a.test.add(a.c, t, x[held*d:], s[held*d:], target[held*d:], sigma, norm)
			}
			f.report(float64(at) + float64(n)*float64(len(f.rows)-1-k)/float64(len(f.rows)-1))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// choose is the model and the ridge of least loss on what was held out.
func choose(none *Score, models []*Score, all []*sums) (*Score, *Report) {
	zero := all[0].test.loss(nil)
	best, report := none, &Report{Loss: zero, Zero: zero, Chosen: "none"}
	for i, a := range all {
		for _, ridge := range []float64{1e-8, 1e-6, 1e-4, 1e-2} {
			w, ok := a.train.solve(ridge)
			if !ok {
				continue
			}
			if loss := a.test.loss(w); loss < report.Loss {
				c := *models[i]
				c.Weights = w
				best, report.Loss, report.Chosen = &c, loss, string(c.Features)
			}
		}
	}
	return best, report
}

// variance bounds c by twice what it is on all but a thousandth of the paths, and fits ρ at the knots, as the mean of its logarithm over the steps near each.
func (f *fitRun) variance(c *Score) error {
	n := min(f.o.Paths, f.chunk())
	w := &walk{model: f.m, s: f.s, rows: f.rows, n: n, seed: f.o.Path.Seed, first: f.o.Path.Sample0}
	rho, size, err := w.variances(f.ctx, c)
	if err == nil && c.Weights != nil {
		c.Cap = 2 * size
		rho, _, err = w.variances(f.ctx, c)
	}
	if err != nil {
		return err
	}
	sum, weight := make([]float64, len(c.Knots)), make([]float64, len(c.Knots))
	for k, v := range rho {
		i, share := at(c.Knots, f.s.Lambda(f.rows[k].Tau))
		for j, s := range []float64{1 - share, share} {
			sum[i+j] += s * math.Log(v)
			weight[i+j] += s
		}
	}
	c.LogRho = make([]float64, len(c.Knots))
	for i := range sum {
		if weight[i] > 0 && !math.IsNaN(sum[i]) && !math.IsInf(sum[i], 0) {
			c.LogRho[i] = sum[i] / weight[i]
		}
	}
	f.done = f.total
	f.report(0)
	return nil
}

// Variances is c with ρ fitted anew.
func Variances(ctx context.Context, m solver.VJPer, c *Score, path likelihood.PathOptions, paths int) (*Score, error) {
	if paths == 0 {
		paths = defaultPaths
	}
	rows, err := table(c.Schedule, c.H, c.D, path)
	if err != nil {
		return nil, err
	}
	f := fitRun{ctx: ctx, m: m, s: c.Schedule, rows: rows, o: Options{Path: path, Paths: paths}}
	again := *c
	return &again, f.variance(&again)
}
