package ownscore

import (
	"context"
	"math"
	"slices"

	"hbar/kernels"
	"hbar/solver"
	"hbar/solver/likelihood"
)

// walk runs n paths of the chain and calls seen at each state x_k, k = N − 1 … 0, with the score there and the target Y_k; n×D each.
type walk struct {
	model solver.VJPer
	s     solver.Schedule
	rows  []kernels.PathRow
	n     int
	seed  uint64
	first uint64
	// own is the c of the round before, kappa how fast the target is moved towards it.
	own   *Score
	kappa float64
}

func (w *walk) run(ctx context.Context, seen func(k int, x, s, y []float64) error) error {
	d, n, last := w.model.Dim(), w.n, len(w.rows)-1
	size := n * d
	z := make([]float32, size)
	kernels.Normals(z, kernels.Noise{Seed: w.seed, Stream: kernels.StreamPrior, Sample0: w.first}, 0, n, d)
	sd := w.s.PriorStd()
	x, y, s, c := make([]float64, size), make([]float64, size), make([]float64, size), make([]float64, size)
	for i, v := range z {
		x[i] = sd * float64(v)
		y[i] = -x[i] / (sd * sd)
	}
	noise, back, v := make([]float64, size), make([]float64, size), make([]float64, size)
	if err := w.model.Score(ctx, s, x, []float64{w.rows[last].Tau}); err != nil {
		return err
	}
	for k := last - 1; k >= 0; k-- {
		if err := ctx.Err(); err != nil {
			return err
		}
		later, here := w.rows[k+1], w.rows[k]
		if w.kappa > 0 {
			mu := math.Exp(-w.kappa * math.Abs(w.s.Lambda(here.Tau)-w.s.Lambda(later.Tau)))
			if clear(c); w.own != nil {
				w.own.Write(c, x, s, later.Tau)
			}
			for i := range y {
				y[i] = mu*y[i] + (1-mu)*(s[i]+c[i])
			}
		}
		kernels.Normals(z, kernels.Noise{Seed: w.seed, Stream: kernels.StreamNoise, Sample0: w.first}, uint32(last-1-k), n, d)
		for i, e := range z {
			noise[i] = float64(e)
		}
		// (Jᵀ − I) z at the later state
		if err := w.model.ScoreVJP(ctx, nil, back, x, noise, []float64{later.Tau}); err != nil {
			return err
		}
		sigma := 1 / math.Sqrt(later.ReversePrecision)
		for i := range x {
			u := ((later.ReverseState-1)*noise[i] + later.ReverseNet*back[i]) / sigma
			v[i] = y[i] + noise[i]/sigma + u
			y[i] += u
			x[i] = later.ReverseState*x[i] + later.ReverseNet*s[i] + sigma*noise[i]
		}
		// (Mᵀ − I) V at this one
		if err := w.model.ScoreVJP(ctx, s, back, x, v, []float64{here.Tau}); err != nil {
			return err
		}
		for i := range y {
			y[i] += (here.State-1)*v[i] + here.Net*back[i]
		}
		if err := seen(k, x, s, y); err != nil {
			return err
		}
	}
	return nil
}

// clip bounds |Y − s| by six medians, in place: a few targets of runaway paths would rule the fit.
func clip(y, s []float64, d int) {
	n := len(y) / d
	sizes := make([]float64, n)
	for i := range n {
		for j := i * d; j < (i+1)*d; j++ {
			sizes[i] += (y[j] - s[j]) * (y[j] - s[j])
		}
		sizes[i] = math.Sqrt(sizes[i])
	}
	sorted := slices.Clone(sizes)
	slices.Sort(sorted)
	most := 6 * sorted[n/2]
	for i, size := range sizes {
		if !(size <= most) {
			f := most / size
			for j := i * d; j < (i+1)*d; j++ {
				if y[j] = s[j] + f*(y[j]-s[j]); math.IsNaN(y[j]) {
					y[j] = s[j]
				}
			}
		}
	}
}

// variances measures ρ of each step: the mean square of what the chain's paths do beside the proposal's mean, over that of the chain's
// noise; and the 99.9 % quantile of |σ c|.
func (w *walk) variances(ctx context.Context, c *Score) (rho []float64, size999 float64, err error) {
	d, n, last := w.model.Dim(), w.n, len(w.rows)-1
	size := n * d
	z := make([]float32, size)
	kernels.Normals(z, kernels.Noise{Seed: w.seed, Stream: kernels.StreamPrior, Sample0: w.first}, 0, n, d)
	x, s, own, later := make([]float64, size), make([]float64, size), make([]float64, size), make([]float64, size)
	for i, v := range z {
		x[i] = w.s.PriorStd() * float64(v)
	}
	rho = make([]float64, last)
	sizes := newLargest(n * last)
	for k := last; k >= 0; k-- {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		r := w.rows[k]
		if err := w.model.Score(ctx, s, x, []float64{r.Tau}); err != nil {
			return nil, 0, err
		}
		if k < last {
			c2 := 1 / w.rows[k+1].ReversePrecision
			c.Write(own, x, s, r.Tau)
			sum := 0.0
			for i := range x {
				e := later[i] - r.State*x[i] - r.Net*s[i] - c2*own[i]
				sum += e * e
			}
			rho[k] = sum / (float64(size) * c2)
			for i := range n {
				square := 0.0
				for _, e := range own[i*d : (i+1)*d] {
					square += e * e
				}
				sizes.add(w.s.Sigma(r.Tau) * math.Sqrt(square))
			}
		}
		if k == 0 {
			break
		}
		copy(later, x)
		kernels.Normals(z, kernels.Noise{Seed: w.seed, Stream: kernels.StreamNoise, Sample0: w.first}, uint32(last-k), n, d)
		sigma := 1 / math.Sqrt(r.ReversePrecision)
		for i, e := range z {
			x[i] = r.ReverseState*x[i] + r.ReverseNet*s[i] + sigma*float64(e)
		}
	}
	return rho, sizes.least(), nil
}

// table is the chain of h.
func table(s solver.Schedule, h float64, d int, o likelihood.PathOptions) ([]kernels.PathRow, error) {
	return likelihood.PathTable(s, solver.Prediction{}, o.Sampler, o.Grid, o.Steps, solver.Constant(h), d)
}
