package guidance

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"hbar/kernels"
	"hbar/solver"
)

// Options are the settings of Sample. Zero values are the defaults but for H and N.
type Options struct {
	N        int
	H        float64 // strength of the noise, above 0
	Steps    int     // 1000
	Grid     solver.Grid
	Sampler  solver.Sampler // EulerMaruyama or Exponential: one evaluation and one Gaussian a step
	Seed     uint64
	First    uint64 // numbers the first sample: a sample depends on Seed and its number alone
	Chunk    int    // samples computed at a time; 0: 1024
	Progress func(done int)
}

// Result are samples with the logarithms of their weights.
type Result struct {
	X         []float64 // n×D at Tmin
	LogWeight []float64 // against the target q^h e^r, up to a constant; −Inf where a path overflows
	LogRatio  []float64 // the part of the path, without r
}

// Sample runs the reverse chain of the guided model, and weighs its paths against that of the model.
func Sample(ctx context.Context, model, guided solver.Model, s solver.Schedule, r Reward, o Options) (*Result, error) {
	d := model.Dim()
	if guided.Dim() != d {
		return nil, fmt.Errorf("guidance: a guided model of %d dimensions for one of %d", guided.Dim(), d)
	}
	if !(o.H > 0) || math.IsInf(o.H, 1) {
		return nil, fmt.Errorf("guidance: h = %g; weights of paths need noise, h > 0, and h = 1 spreads them least", o.H)
	}
	if o.Steps == 0 {
		o.Steps = solver.DefaultSteps
	}
	if o.Chunk == 0 {
		o.Chunk = 1024
	}
	if b := solver.BlocksOf(s); b != nil {
		return sampleBlocks(ctx, model, guided, b, r, o)
	}
	if o.Sampler != solver.EulerMaruyama && o.Sampler != solver.Exponential {
		return nil, fmt.Errorf("guidance: weights of paths are known for the samplers em and exp, not %v", o.Sampler)
	}
	table, err := solver.NewTable(s, solver.Prediction{}, solver.TableOptions{Sampler: o.Sampler, Grid: o.Grid, Steps: o.Steps, H: o.H})
	if err != nil {
		return nil, err
	}
	res := &Result{X: make([]float64, o.N*d), LogWeight: make([]float64, o.N), LogRatio: make([]float64, o.N)}
	for from := 0; from < o.N; from += o.Chunk {
		n := min(o.Chunk, o.N-from)
		c := &chain{model: model, guided: guided, d: d, x: res.X[from*d : (from+n)*d], ratio: res.LogRatio[from : from+n]}
		for i := range n {
			c.rng = append(c.rng, rand.New(kernels.NewSource(o.Seed, kernels.StreamNoise, o.First+uint64(from+i))))
			for j := range d {
				c.x[i*d+j] = s.PriorStd() * c.rng[i].NormFloat64()
			}
		}
		for k, row := range table.Rows {
			if err := c.step(ctx, row); err != nil {
				return nil, err
			}
			if o.Progress != nil {
				o.Progress(from + n*(k+1)/len(table.Rows))
			}
		}
		for i := range n {
			res.LogWeight[from+i] = logWeight(c.ratio[i], r, c.x[i*d:(i+1)*d])
		}
	}
	return res, nil
}

// logWeight is that of a sample x at the end of a path; −Inf where the path overflows.
func logWeight(ratio float64, r Reward, x []float64) float64 {
	w := ratio + r.Value(x)
	if math.IsNaN(w) || math.IsInf(w, 1) {
		return math.Inf(-1)
	}
	return w
}

// chain is a chunk of samples during its integration.
type chain struct {
	model, guided solver.Model
	d             int
	x, ratio      []float64
	rng           []*rand.Rand
	plain, tilted []float64
}

// step is one row of the sampler, x' = State x + Net s + Noise z.
func (c *chain) step(ctx context.Context, r kernels.Row) error {
	if c.plain == nil {
		c.plain, c.tilted = make([]float64, len(c.x)), make([]float64, len(c.x))
	}
	if err := c.scores(ctx, []float64{r.Tau}); err != nil {
		return err
	}
	variance := r.Noise * r.Noise
	for i := range c.ratio {
		for j := i * c.d; j < (i+1)*c.d; j++ {
			z := r.Noise * c.rng[i].NormFloat64()
			shift := r.Net * (c.tilted[j] - c.plain[j]) // m̃ − m
			c.ratio[i] += (z*z - (z+shift)*(z+shift)) / (2 * variance)
			c.x[j] = r.State*c.x[j] + r.Net*c.tilted[j] + z
		}
	}
	return nil
}

// scores computes both scores, at once where the guided model can.
func (c *chain) scores(ctx context.Context, t []float64) error {
	if g, ok := c.guided.(Guided); ok {
		return g.Scores(ctx, c.plain, c.tilted, c.x, t)
	}
	if err := c.model.Score(ctx, c.plain, c.x, t); err != nil {
		return err
	}
	if c.guided == c.model {
		copy(c.tilted, c.plain)
		return nil
	}
	return c.guided.Score(ctx, c.tilted, c.x, t)
}

// Estimate is an expectation under the target.
type Estimate struct{ Value, StdErr float64 }

// Expectation is the self-normalised mean Σ w f / Σ w with its standard error by the delta method, and the effective sample
// size (Σ w)² / Σ w².
func Expectation(logWeight, f []float64) (e Estimate, ess float64) {
	top := math.Inf(-1)
	for _, w := range logWeight {
		top = math.Max(top, w)
	}
	if math.IsInf(top, -1) {
		return Estimate{math.NaN(), math.NaN()}, 0
	}
	sum, square, mean := 0.0, 0.0, 0.0
	for i, l := range logWeight {
		if w := math.Exp(l - top); w > 0 {
			sum, square, mean = sum+w, square+w*w, mean+w*f[i]
		}
	}
	mean /= sum
	v := 0.0
	for i, l := range logWeight {
		if w := math.Exp(l - top); w > 0 {
			v += w * w * (f[i] - mean) * (f[i] - mean)
		}
	}
	return Estimate{mean, math.Sqrt(v) / sum}, sum * sum / square
}
