package likelihood

import (
	"context"
	"fmt"
	"math"

	"hbar/kernels"
	"hbar/solver"
)

// Generated are points that the chain itself made, each with the path that led to it. Such a path, read from x_0 to x_N, is an exact
// draw from the posterior of paths of its point, so the mean of its log-weight is an upper bound on log q^h (Grosse, Ghahramani and
// Adams 2015, arXiv:1511.02543).
type Generated struct {
	X []float64 // n×D at Tmin
	// LogW are the log-weights π(x_N) Π R_k/Q_k of the paths, in nats: PathOptions.Own of these points.
	LogW []float64
}

// Generate draws n points of the chain that PathIntegral weighs: o's sampler, grid and steps at one h > 0, with full noise at the
// last step. Point i starts and moves by the random numbers of sample o.Sample0 + i, as solver.Sample does. States are float64. If
// ctx ends, the results are its error with the points that are done.
func Generate(ctx context.Context, m solver.Model, s solver.Schedule, n int, h float64, o PathOptions) (*Generated, error) {
	p, err := newProblem(m, s, Options{})
	if err != nil {
		return nil, err
	}
	if err := solver.NeedScalars(s, "the upper bound by generated points"); err != nil {
		return nil, fmt.Errorf("likelihood: %w", err)
	}
	if n < 0 || o.Steps < 0 {
		return nil, fmt.Errorf("likelihood: %d points in %d steps; neither may be negative", n, o.Steps)
	}
	if o.Steps == 0 {
		o.Steps = solver.DefaultSteps
	}
	rows, err := PathTable(s, solver.Prediction{}, o.Sampler, o.Grid, o.Steps, o.strength(h), p.d)
	if err != nil {
		return nil, err
	}
	c := o.correction(0)
	correct(rows, c, p.d)
	g := &Generated{X: make([]float64, n*p.d), LogW: make([]float64, n)}
	size := rowsAtOnce(p.d)
	for at := 0; at < n; at += size {
		count := min(size, n-at)
		report := func(part float64) {
			if o.Progress != nil {
				o.Progress(at+int(part*float64(count)), n)
			}
		}
		err := p.generate(ctx, g.X[at*p.d:(at+count)*p.d], g.LogW[at:at+count], rows, c, o.Seed, o.Sample0+uint64(at), report)
		if err != nil {
			done := &Generated{X: g.X[:at*p.d], LogW: g.LogW[:at]}
			if ctx.Err() == nil {
				done = nil
			}
			return done, err
		}
	}
	return g, nil
}

// generate runs one block of the chain backwards through the states of a path, from x_N to x_0.
func (p *problem) generate(ctx context.Context, x, logw []float64, rows []kernels.PathRow, own Correction, seed, sample0 uint64, report func(part float64)) error {
	d, n, last := p.d, len(logw), len(rows)-1
	z := make([]float32, len(x))
	kernels.Normals(z, kernels.Noise{Seed: seed, Stream: kernels.StreamPrior, Sample0: sample0}, 0, n, d)
	for i, v := range z {
		x[i] = p.s.PriorStd() * float64(v)
	}
	for i := range logw {
		logw[i] = p.logPrior(x[i*d : (i+1)*d])
	}
	later, score, shifts := make([]float64, len(x)), make([]float64, len(x)), make([]float64, len(x))
	for k := last; k >= 0; k-- {
		if err := ctx.Err(); err != nil {
			return err
		}
		r := rows[k]
		if err := p.score(ctx, score, x, r.Tau, sample0); err != nil {
			return err
		}
		if k < last { // the proposal of the state that came before, from this one
			shift(shifts, x, score, rows, k, own)
			for i := range logw {
				sum := 0.0
				for j := i * d; j < (i+1)*d; j++ {
					v := later[j] - r.State*x[j] - r.Net*score[j] - shifts[j]
					sum += v * v
				}
				logw[i] += sum / (2 * r.Noise * r.Noise)
			}
		}
		if k == 0 {
			break
		}
		copy(later, x)
		kernels.Normals(z, kernels.Noise{Seed: seed, Stream: kernels.StreamNoise, Sample0: sample0}, uint32(last-k), n, d)
		c := 1 / math.Sqrt(r.ReversePrecision)
		for i := range logw {
			zz := 0.0
			for j := i * d; j < (i+1)*d; j++ {
				e := float64(z[j])
				x[j] = r.ReverseState*x[j] + r.ReverseNet*score[j] + c*e
				zz += e * e
			}
			logw[i] += r.LogNorm - zz/2
		}
		report(float64(last-k+1) / float64(last+1))
	}
	report(1)
	return nil
}

// score is the model's at one time, for the samples of those numbers if it tells samples apart.
func (p *problem) score(ctx context.Context, dst, x []float64, t float64, sample0 uint64) error {
	if m, ok := p.model.(interface {
		ScoreFrom(ctx context.Context, dst, x, t []float64, sample0 uint64) error
	}); ok {
		return m.ScoreFrom(ctx, dst, x, []float64{t}, sample0)
	}
	return p.model.Score(ctx, dst, x, []float64{t})
}
