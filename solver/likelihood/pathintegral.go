package likelihood

import (
	"context"
	"fmt"
	"math"
	"slices"

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
	// Profile, if it is one and no constant, is the strength of the noise along the way in place of h, which is then a label alone.
	Profile solver.Strength
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
	// K if that is less, but 1.5 for one path, which has 1 and is a bound, and for two, which have 1 at least).
	MinESS float64
	// Own are the log-weights of the paths by which the chain made the points (Generated.LogW), one for each point, for a single h.
	// With them PathEstimate has the upper bound.
	Own []float64
	// Corrections improve the proposals at each h, of Generate the first; nil, or an entry that is nil, for none.
	Corrections []Correction
	// Reference runs the plain loop in float64 on Model.Score even if the model has a fused one.
	Reference bool
	Progress  func(done, total int) // unless nil, called with the number of finished paths, counted over all h
}

// LeastESS is the effective sample size that a value needs. One path is a bound and never a value, unless MinESS allows it.
func (o PathOptions) LeastESS() float64 {
	if o.MinESS > 0 {
		return o.MinESS
	}
	k := float64(o.Paths)
	return max(k/20, min(10, k/2), 1.5)
}

// strength is that of the chain for h.
func (o PathOptions) strength(h float64) solver.Strength {
	if _, constant := o.Profile.IsConstant(); !constant {
		return o.Profile
	}
	return solver.Constant(h)
}

// PathEstimate is log q^h at one point for one h.
type PathEstimate struct {
	H      float64
	LogQ   float64 // log of the mean weight: biased by about −StdErr²/2
	StdErr float64 // NaN for one path
	// Bound is the mean log-weight, a lower bound on log q^h in expectation (K = 1: the usual variational bound).
	Bound, BoundStdErr float64
	// Lower is the log of the mean weight of the K paths (Burda 2016, arXiv:1509.00519), a lower bound on log q^h of the chain in
	// expectation that tightens with K. Upper is that of K − 1 paths and the one that made the point, an upper bound in expectation;
	// +Inf without PathOptions.Own. Lower is finite whenever all weights are, whatever Status says.
	Lower, LowerStdErr, Upper, UpperStdErr float64
	ESS                                    float64
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
// h use the same random numbers, so that differences in h have small errors. One path costs N+1 scores for each h. A model that tells
// samples apart by number, as labels do, sees path j of point i as the sample (Sample0 + i) K + j. If ctx ends,
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
	o.MinESS = o.LeastESS()
	if p.blocks != nil {
		return p.pathOfBlocks(ctx, x, hs, o)
	}
	r := &pathRun{problem: p, o: o, weigh: p.pathWeights(nil), precision: 0x1p-52}
	if net, ok := m.(interface{ Precision() solver.Precision }); ok && net.Precision() == solver.Float32 {
		r.precision = 0x1p-24
	}
	var pred solver.Prediction
	corrected := slices.ContainsFunc(o.Corrections, func(c Correction) bool { return c != nil })
	if f, ok := m.(fusedModel); ok && !o.Reference && !corrected {
		if e, ok := f.Engine().(pathWeigher); ok {
			pred = f.Prediction()
			r.weigh, r.precision = p.fusedWeights(e), 0x1p-24
		}
	}
	for j, h := range hs {
		rows, err := unlessDone(ctx, func() ([]kernels.PathRow, error) {
			return PathTable(s, pred, o.Sampler, o.Grid, o.Steps, o.strength(h), p.d)
		})
		if err != nil {
			return unlessInterrupted(ctx, interruptedPaths(make([][]PathEstimate, n), hs), err)
		}
		correct(rows, o.correction(j), p.d)
		r.tables = append(r.tables, rows)
	}
	if o.Own != nil && (len(o.Own) != n || len(hs) != 1) {
		return nil, fmt.Errorf("likelihood: %d weights of the points' own paths for %d points at %d strengths; want one each at one strength", len(o.Own), n, len(hs))
	}
	r.total = n * o.Paths * len(hs)
	out := make([][]PathEstimate, n)
	group := max(1, rowsAtOnce(p.d)/o.Paths)
	for at := 0; at < n; at += group {
		own := o.Own
		if own != nil {
			own = own[at:]
		}
		if err := r.points(ctx, out[at:min(n, at+group)], x[at*p.d:], own, o.Sample0+uint64(at)); err != nil {
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

// unlessDone is what build returns, or ctx's error if that ends first: a table of millions of steps takes some seconds. build is then left to
// end by itself.
func unlessDone[T any](ctx context.Context, build func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	built := make(chan outcome, 1)
	go func() {
		v, err := build()
		built <- outcome{v, err}
	}()
	select {
	case o := <-built:
		return o.value, o.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// interruptedPaths fills in the points that were not computed.
func interruptedPaths(out [][]PathEstimate, hs []float64) [][]PathEstimate {
	for i := range out {
		if out[i] == nil {
			out[i] = make([]PathEstimate, len(hs))
			for j := range out[i] {
				out[i][j] = noEstimate(Interrupted)
			}
		}
		for j := range out[i] {
			out[i][j].H = hs[j]
		}
	}
	return out
}

// noEstimate is a point without a value.
func noEstimate(status Status) PathEstimate {
	nan := math.NaN()
	return PathEstimate{LogQ: nan, StdErr: nan, Bound: nan, BoundStdErr: nan, Lower: nan, LowerStdErr: nan, Upper: nan, UpperStdErr: nan,
		ESS: nan, Diff: nan, DiffStdErr: nan, Status: status}
}

// rowsAtOnce is the number of paths whose states take a few MB.
func rowsAtOnce(d int) int { return min(max(1<<20/d, 256), 1<<18) }

// weighFunc proposes a path from each row of x and writes the log-weights Π R/Q π(x_N) to logw; done is called with the number of finished paths.
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
func (r *pathRun) points(ctx context.Context, out [][]PathEstimate, x, own []float64, first uint64) error {
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
			weigh := r.weigh
			if c := r.o.correction(j); c != nil {
				weigh = r.pathWeights(c)
			}
			if err := weigh(ctx, logw[j][at:at+count], start[:count*d], table, no, r.report); err != nil {
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
			if own != nil && finitePoint([]float64{out[i][j].Lower, own[i]}) {
				w := append([]float64{own[i]}, logw[j][i*k:(i+1)*k-1]...)
				out[i][j].Upper, out[i][j].UpperStdErr = logMeanExp(w), deltaStdErr(w, nil)
			}
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
		lost := e.Lost
		e = noEstimate(NotFinite)
		e.Lost = lost
		return e
	}
	e.Lower, e.LowerStdErr, e.Upper, e.UpperStdErr = e.LogQ, deltaStdErr(w, nil), math.Inf(1), math.Inf(1)
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

// pathWeights is the plain loop in float64 over Model.Score, with proposals that c corrects unless it is nil. It draws the same normals
// as the fused one.
func (p *problem) pathWeights(c Correction) weighFunc {
	return func(ctx context.Context, logw, x []float64, rows []kernels.PathRow, no kernels.Noise, done func(int)) error {
		d, n := p.d, len(logw)
		x = append([]float64(nil), x...)
		prev, s, own := make([]float64, len(x)), make([]float64, len(x)), make([]float64, len(x))
		z := make([]float32, len(x))
		zz := make([]float64, n)
		clear(logw)
		for k, r := range rows {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := p.score(ctx, s, x, r.Tau, no.Sample0); err != nil {
				return err
			}
			if k > 0 {
				for i := range logw {
					rr := 0.0
					for j := i * d; j < (i+1)*d; j++ {
						v := prev[j] - r.ReverseState*x[j] - r.ReverseNet*s[j]
						rr += v * v
					}
					logw[i] += (zz[i]-rr*r.ReversePrecision)/2 + r.LogNorm
				}
			}
			if k == len(rows)-1 {
				break
			}
			shift(own, x, s, rows, k, c)
			copy(prev, x)
			kernels.Normals(z, no, r.Step, n, d)
			clear(zz)
			for j := range x {
				e := float64(z[j])
				x[j] = r.State*x[j] + r.Net*s[j] + own[j] + r.Noise*e
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
