package likelihood

import (
	"context"
	"fmt"
	"math"

	"hbar/kernels"
	"hbar/solver"
)

// LowESS marks a value of the path integral that rests on too few paths to be one.
const LowESS = Status("small effective sample size")

// Rounded marks a value of the path integral at a point so far outside that rounding decides between the weights of its paths.
const Rounded = Status("log weights lost in rounding")

// PathOptions choose the chain and the number of paths. The zero value is Euler–Maruyama in 1000 steps uniform in t with
// 1000 paths; solver.GridLambda gives larger effective sample sizes.
type PathOptions struct {
	Sampler solver.Sampler // EulerMaruyama or Exponential
	Grid    solver.Grid
	Steps   int // N; 0: 1000
	Paths   int // K; 0: 1000
	Seed    uint64
	// Sample0 numbers the first point for its random numbers, so that a batch cut in pieces gives the same results.
	Sample0 uint64
	// Bootstrap > 0 takes the standard error from that many resamples of the paths instead of the delta method.
	Bootstrap int
	// MinESS is the effective sample size below which a value is marked LowESS; 0: a twentieth of K, at least 10 (half of
	// K if that is less).
	MinESS float64
	// Reference runs the plain loop in float64 on Model.Score even if the model has a fused one.
	Reference bool
	Progress  func(done, total int) // hears of finished paths, of all h together, unless nil
}

// PathEstimate is log q^h at one point for one h.
type PathEstimate struct {
	H      float64
	LogQ   float64 // log of the mean weight: biased by about −StdErr²/2
	StdErr float64 // NaN for one path
	// Bound is the mean log-weight, a lower bound on log q^h in expectation (K = 1: the usual variational bound).
	Bound, BoundStdErr float64
	ESS                float64
	// Diff is LogQ less that of the first h, and its error with the common random numbers.
	Diff, DiffStdErr float64
	Lost             int // paths whose weight is not a number; any makes the point NotFinite
	Status           Status
}

// pathWeigher is the fused path integral of an engine (infer.Engine).
type pathWeigher interface {
	PathWeights(ctx context.Context, x []float32, logw []float64, rows []kernels.PathRow, no kernels.Noise, progress func(done int)) error
}

// fusedModel is a model that can say which engine to run and what its network predicts (solver.Network).
type fusedModel interface {
	Engine() solver.Engine
	Prediction() solver.Prediction
}

// PathIntegral estimates log q^h at the points x (n×D) for each h > 0: result [i][j] is point i at hs[j]. With paths
// x_1 … x_N proposed from x_0 = x by Q,
//
//	q^h(x_0) = E_Q[ π(x_N) Π_k R_k(x_{k−1}|x_k)/Q_k(x_k|x_{k−1}) ]
//
// exactly, for the discrete chain R that the sampler runs with these steps and full noise at the last one (PathTable). All
// h use the same random numbers, so that differences in h have small errors. One path costs N+1 scores for each h. If ctx ends,
// PathIntegral returns its error with the points that are done; the others have the status Interrupted.
func PathIntegral(ctx context.Context, m solver.Model, s solver.Schedule, x, hs []float64, o PathOptions) ([][]PathEstimate, error) {
	p, err := newProblem(m, s, Options{})
	if err != nil {
		return nil, err
	}
	n, err := p.count(x)
	if err != nil {
		return nil, err
	}
	if o.Paths < 0 || o.Steps < 0 || o.Bootstrap < 0 || !(o.MinESS >= 0) {
		return nil, fmt.Errorf("likelihood: %d paths, %d steps, %d resamples, ESS ≥ %v; none may be negative", o.Paths, o.Steps, o.Bootstrap, o.MinESS)
	}
	if o.Paths == 0 {
		o.Paths = 1000
	}
	if o.Steps == 0 {
		o.Steps = solver.DefaultSteps
	}
	if o.MinESS == 0 {
		o.MinESS = max(float64(o.Paths)/20, min(10, float64(o.Paths)/2))
	}
	r := &pathRun{problem: p, o: o, weigh: p.pathWeights, precision: 0x1p-52}
	if net, ok := m.(interface{ Precision() solver.Precision }); ok && net.Precision() == solver.Float32 {
		r.precision = 0x1p-24
	}
	var pred solver.Prediction
	if f, ok := m.(fusedModel); ok && !o.Reference {
		if e, ok := f.Engine().(pathWeigher); ok {
			pred = f.Prediction()
			r.weigh, r.precision = p.fusedWeights(e), 0x1p-24
		}
	}
	for _, h := range hs {
		rows, err := PathTable(s, pred, o.Sampler, o.Grid, o.Steps, h, p.d)
		if err != nil {
			return nil, err
		}
		r.tables = append(r.tables, rows)
	}
	r.total = n * o.Paths * len(hs)
	out := make([][]PathEstimate, n)
	group := max(1, rowsAtOnce(p.d)/o.Paths)
	for at := 0; at < n; at += group {
		if err := r.points(ctx, out[at:min(n, at+group)], x[at*p.d:], o.Sample0+uint64(at)); err != nil {
			return unlessInterrupted(ctx, interruptedPaths(out, hs), err)
		}
	}
	for i := range out {
		for j := range out[i] {
			out[i][j].H = hs[j]
		}
	}
	return out, nil
}

// interruptedPaths fills in the points that were not computed.
func interruptedPaths(out [][]PathEstimate, hs []float64) [][]PathEstimate {
	nan := math.NaN()
	for i := range out {
		if out[i] == nil {
			out[i] = make([]PathEstimate, len(hs))
			for j := range out[i] {
				out[i][j] = PathEstimate{LogQ: nan, StdErr: nan, Bound: nan, BoundStdErr: nan, ESS: nan, Diff: nan, DiffStdErr: nan, Status: Interrupted}
			}
		}
		for j := range out[i] {
			out[i][j].H = hs[j]
		}
	}
	return out
}

// rowsAtOnce is the number of paths whose states take a few MB.
func rowsAtOnce(d int) int { return min(max(1<<20/d, 256), 1<<18) }

// weighFunc proposes a path from each row of x and writes the log-weights Π R/Q π(x_N) to logw; done is told of progress.
type weighFunc func(ctx context.Context, logw, x []float64, rows []kernels.PathRow, no kernels.Noise, done func(int)) error

// pathRun is the work of one PathIntegral call.
type pathRun struct {
	*problem
	o           PathOptions
	weigh       weighFunc
	precision   float64             // relative, of what weigh calculates
	tables      [][]kernels.PathRow // of each h
	done, total int
}

// points computes out for the points that lead x.
func (r *pathRun) points(ctx context.Context, out [][]PathEstimate, x []float64, first uint64) error {
	k, d := r.o.Paths, r.d
	logw := make([][]float64, len(r.tables))
	size := rowsAtOnce(d)
	rows := len(out) * k
	start := make([]float64, min(size, rows)*d)
	for j, table := range r.tables {
		logw[j] = make([]float64, rows)
		for at := 0; at < rows; at += size {
			count := min(size, rows-at)
			for i := range count {
				copy(start[i*d:(i+1)*d], x[(at+i)/k*d:])
			}
			no := kernels.Noise{Seed: r.o.Seed, Stream: kernels.StreamPath, Sample0: first*uint64(k) + uint64(at)}
			if err := r.weigh(ctx, logw[j][at:at+count], start[:count*d], table, no, r.report); err != nil {
				return err
			}
			r.done += count
		}
	}
	for i := range out {
		bad := !finitePoint(x[i*d : (i+1)*d])
		out[i] = make([]PathEstimate, len(r.tables))
		for j := range out[i] {
			out[i][j] = r.estimate(logw[j][i*k:(i+1)*k], logw[0][i*k:(i+1)*k], first+uint64(i))
			if bad {
				out[i][j].Status = BadPoint
			}
		}
	}
	return nil
}

func (r *pathRun) report(done int) {
	if r.o.Progress != nil {
		r.o.Progress(r.done+done, r.total)
	}
}

// estimate summarises the weights of one point at one h; base are those at the first h.
func (r *pathRun) estimate(w, base []float64, sample uint64) PathEstimate {
	e := PathEstimate{Status: OK}
	for _, v := range w {
		if math.IsNaN(v) || math.IsInf(v, 1) {
			e.Lost++
		}
	}
	e.LogQ = logMeanExp(w)
	if e.Lost > 0 || math.IsInf(e.LogQ, 0) || math.IsNaN(e.LogQ) {
		nan := math.NaN()
		return PathEstimate{LogQ: nan, StdErr: nan, Bound: nan, BoundStdErr: nan, ESS: nan, Diff: nan, DiffStdErr: nan, Lost: e.Lost, Status: NotFinite}
	}
	e.Bound, e.BoundStdErr = meanStdErr(w)
	e.ESS = effective(w)
	e.StdErr = deltaStdErr(w, nil)
	if r.o.Bootstrap > 0 {
		e.StdErr = bootstrapStdErr(w, r.o.Bootstrap, kernels.NewSource(r.o.Seed, kernels.StreamResample, sample))
	}
	e.Diff, e.DiffStdErr = e.LogQ-logMeanExp(base), deltaStdErr(w, base)
	switch {
	case rounding(w, r.o.Steps, r.precision) > weightRounding:
		e.Status = Rounded
	case e.ESS < r.o.MinESS:
		e.Status = LowESS
	}
	return e
}

// pathWeights is the plain loop in float64 over Model.Score. It draws the same normals as the fused one.
func (p *problem) pathWeights(ctx context.Context, logw, x []float64, rows []kernels.PathRow, no kernels.Noise, done func(int)) error {
	d, n := p.d, len(logw)
	x = append([]float64(nil), x...)
	prev, s := make([]float64, len(x)), make([]float64, len(x))
	z := make([]float32, len(x))
	zz := make([]float64, n)
	clear(logw)
	for k, r := range rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := p.model.Score(ctx, s, x, []float64{r.T}); err != nil {
			return err
		}
		if k > 0 {
			for i := range logw {
				rr := 0.0
				for j := i * d; j < (i+1)*d; j++ {
					v := prev[j] - r.E*x[j] - r.F*s[j]
					rr += v * v
				}
				logw[i] += (zz[i]-rr*r.InvC2)/2 + r.LogC
			}
		}
		if k == len(rows)-1 {
			break
		}
		copy(prev, x)
		kernels.Normals(z, no, r.Step, n, d)
		clear(zz)
		for j := range x {
			e := float64(z[j])
			x[j] = r.A*x[j] + r.B*s[j] + r.C*e
			zz[j/d] += e * e
		}
		done(n * k / len(rows))
	}
	for i := range logw {
		logw[i] += p.logPrior(x[i*d : (i+1)*d])
	}
	done(n)
	return nil
}

// fusedWeights runs an engine's own loop: states in float32, weights in float64.
func (p *problem) fusedWeights(e pathWeigher) weighFunc {
	var x32 []float32
	return func(ctx context.Context, logw, x []float64, rows []kernels.PathRow, no kernels.Noise, done func(int)) error {
		x32 = x32[:0]
		for _, v := range x {
			x32 = append(x32, float32(v))
		}
		clear(logw)
		if err := e.PathWeights(ctx, x32, logw, rows, no, done); err != nil {
			return err
		}
		end := make([]float64, p.d)
		for i := range logw {
			for j := range end {
				end[j] = float64(x32[i*p.d+j])
			}
			logw[i] += p.logPrior(end)
		}
		return nil
	}
}

// Richardson combines estimates of the chains of N and of ratio·N steps, made with independent seeds, into one of the
// continuous process: the chain's log q^h differs from it by O(1/N). The bound is that of the finer chain.
func Richardson(coarse, fine PathEstimate, ratio float64) PathEstimate {
	f := ratio / (ratio - 1)
	c := f - 1
	e := fine
	e.LogQ = f*fine.LogQ - c*coarse.LogQ
	e.StdErr = math.Hypot(f*fine.StdErr, c*coarse.StdErr)
	e.Diff = f*fine.Diff - c*coarse.Diff
	e.DiffStdErr = math.Hypot(f*fine.DiffStdErr, c*coarse.DiffStdErr)
	e.ESS = min(fine.ESS, coarse.ESS)
	e.Lost += coarse.Lost
	if fine.Status == OK {
		e.Status = coarse.Status
	}
	return e
}

// PathIntegralExtrapolated is PathIntegral with o.Steps and with half as many steps, extrapolated to infinitely many.
func PathIntegralExtrapolated(ctx context.Context, m solver.Model, s solver.Schedule, x, hs []float64, o PathOptions) ([][]PathEstimate, error) {
	if o.Steps == 0 {
		o.Steps = solver.DefaultSteps
	}
	if o.Steps < 2 || o.Steps%2 != 0 {
		return nil, fmt.Errorf("likelihood: extrapolation needs an even number of steps, not %d", o.Steps)
	}
	half := o
	half.Steps /= 2
	half.Seed ^= 0x9e3779b97f4a7c15 // other paths
	if o.Progress != nil {
		// the coarse chains are a third of the work
		report := o.Progress
		half.Progress = func(done, total int) { report(done, 3*total) }
		o.Progress = func(done, total int) { report(total+2*done, 3*total) }
	}
	coarse, err := PathIntegral(ctx, m, s, x, hs, half)
	if err != nil {
		for i := range coarse { // nothing is extrapolated yet
			coarse[i] = nil
		}
		return interruptedPaths(coarse, hs), err
	}
	fine, err := PathIntegral(ctx, m, s, x, hs, o)
	if fine == nil {
		return nil, err
	}
	for i := range fine {
		for j := range fine[i] {
			fine[i][j] = Richardson(coarse[i][j], fine[i][j], 2)
		}
	}
	return fine, err
}
