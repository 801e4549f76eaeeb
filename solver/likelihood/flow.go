package likelihood

import (
	"context"
	"fmt"
	"math"
	"slices"

	"hbar/kernels"
	"hbar/solver"
	"hbar/solver/likelihood/ode"
)

// Probe is the distribution of the probes of Hutchinson's trace estimator.
type Probe uint8

const (
	Exact      Probe = iota // no probes: the exact divergence (solver.Diverger)
	Rademacher              // ±1
	Normal                  // N(0, 1)
)

var probeNames = []string{"exact", "rademacher", "normal"}

// ParseProbe returns the kind of that name: exact, rademacher or normal.
func ParseProbe(name string) (Probe, error) {
	for i, n := range probeNames {
		if n == name {
			return Probe(i), nil
		}
	}
	return 0, fmt.Errorf("likelihood: probes %q unknown; have exact, rademacher, normal", name)
}

// String is the name that ParseProbe takes.
func (k Probe) String() string { return probeNames[k] }

// fill writes K probes of d numbers for each of the samples first, first+1, …: those of probe k of a sample depend on the
// seed, the sample and k alone.
func (k Probe) fill(dst []float64, seed uint64, sample uint64, probe, d int) {
	z := make([]float32, d)
	kernels.Normals(z, kernels.Noise{Seed: seed, Stream: kernels.StreamProbe, Sample0: sample}, uint32(probe), 1, d)
	for i, v := range z {
		dst[i] = float64(v)
		if k == Rademacher {
			dst[i] = math.Copysign(1, float64(v))
		}
	}
}

// FlowOptions choose how the divergence is computed. The zero value computes it exactly.
type FlowOptions struct {
	Options
	Divergence Probe
	Probes     int // K, fixed along a path; 0: 1
	Seed       uint64
	// Sample0 numbers the first point for its random numbers, so that a batch cut in pieces gives the same results.
	Sample0 uint64
	// Samples, unless nil, are the numbers of the points one by one, in place of Sample0 and those that follow.
	Samples []uint64
}

// sample is the number of point i.
func (o FlowOptions) sample(i int) uint64 {
	if o.Samples != nil {
		return o.Samples[i]
	}
	return o.Sample0 + uint64(i)
}

func (o FlowOptions) checkSamples(n int) error {
	if o.Samples != nil && len(o.Samples) != n {
		return fmt.Errorf("likelihood: %d numbers for %d points", len(o.Samples), n)
	}
	return nil
}

// FlowPoint is log q⁰ at one point.
type FlowPoint struct {
	LogQ   float64 // NaN unless Status is OK
	StdErr float64 // over the probes: 0 with the exact divergence, NaN with one probe
	End    []float64
	Status Status
	Steps  int
	Evals  int
	// Halving is LogQ less its value with half as many steps, by the first probe; only FlowFixed has it.
	Halving float64
}

// Flow computes log q⁰ at the points x (n×D): with dx/dt = F = a x − ½ g² s from x at Tmin to Tmax,
// log q⁰ = log π(x(Tmax)) + ∫ ∇·F dt, with ∇·F = a D − ½ g² ∇·s or εᵀ(∂s/∂x)ε in place of ∇·s.
//
// In general each path has adaptive steps of its own. The paths of a solver.Network in float32 whose engine has an integrator for
// flows (infer.Engine, cuda.Engine) share a mesh instead. It is as fine as the steps of a few pilots, and a point for which
// it is too coarse is integrated by itself in float64. The values then depend on the other points of the call, by less than the
// tolerance; with Options.Steps they do not. A Tol below 1e-5 is beyond float32: all paths then have their own steps in float64.
//
// If ctx ends, Flow returns its error with the points that are done; the others have the status Interrupted.
func Flow(ctx context.Context, m solver.Model, s solver.Schedule, x []float64, o FlowOptions) ([]FlowPoint, error) {
	p, err := newProblem(m, s, o.Options)
	if err != nil {
		return nil, err
	}
	n, err := p.count(x)
	if err != nil {
		return nil, err
	}
	if p.blocks != nil {
		return p.flowOfBlocks(ctx, x, o)
	}
	k, err := p.probes(o)
	if err != nil {
		return nil, err
	}
	if err := o.checkSamples(n); err != nil {
		return nil, err
	}
	if r := p.shared(ctx, x, o, k); r != nil {
		points, err := r.run(ctx)
		return unlessInterrupted(ctx, points, err)
	}
	points := make([]FlowPoint, 0, n)
	for at := 0; at < n; at += block {
		part := x[at*p.d : min(n, at+block)*p.d]
		set := forward(o.settings())
		set.Progress = progressFrom(o.Progress, at, n)
		got, err := p.flow(ctx, part, o, k, func(i int) uint64 { return o.sample(at + i) }, set)
		if err != nil {
			for len(points) < n {
				points = append(points, interruptedPoint)
			}
			return unlessInterrupted(ctx, points, err)
		}
		points = append(points, got...)
	}
	return points, nil
}

// probes is the number of integrals along a path, K or for the exact divergence one. It is an error if the model cannot compute them.
func (p *problem) probes(o FlowOptions) (int, error) {
	if int(o.Divergence) >= len(probeNames) || o.Probes < 0 {
		return 0, fmt.Errorf("likelihood: divergence by %d probes of kind %d", o.Probes, o.Divergence)
	}
	if o.Divergence == Exact {
		if _, ok := p.model.(solver.Diverger); !ok {
			return 0, lacks(p.model, "its divergence (solver.Diverger)", "the exact divergence")
		}
		return 1, nil
	}
	if _, ok := p.model.(solver.JVPer); !ok {
		return 0, lacks(p.model, "directional derivatives (solver.JVPer)", "Hutchinson's estimator")
	}
	return max(1, o.Probes), nil
}

// interruptedPoint is a point that has not been computed.
var interruptedPoint = FlowPoint{LogQ: math.NaN(), StdErr: math.NaN(), Status: Interrupted}

// unlessInterrupted drops the results that come with an error, unless the context has ended: then they are the points that were
// finished before.
func unlessInterrupted[T any](ctx context.Context, results []T, err error) ([]T, error) {
	if err != nil && ctx.Err() == nil {
		return nil, err
	}
	return results, err
}

// progressFrom passes on the progress of a block that begins at point at, as that of all n points.
func progressFrom(report func(done, total int), at, n int) func(done, total int) {
	if report == nil {
		return nil
	}
	return func(done, _ int) { report(at+done, n) }
}

// draw makes the probes of the points x, of which sample numbers them; nil for the exact divergence.
func (p *problem) draw(o FlowOptions, n, k int, sample func(i int) uint64) []float64 {
	if o.Divergence == Exact {
		return nil
	}
	d := p.d
	probes := make([]float64, n*k*d)
	for i := range n {
		for j := range k {
			o.Divergence.fill(probes[(i*k+j)*d:(i*k+j+1)*d], o.Seed, sample(i), j, d)
		}
	}
	return probes
}

// flow integrates one block, each path in its own steps; a state is x and the K integrals. sample numbers the points.
func (p *problem) flow(ctx context.Context, x []float64, o FlowOptions, k int, sample func(i int) uint64, set ode.Settings) ([]FlowPoint, error) {
	n, d, w := len(x)/p.d, p.d, p.d+k
	y := make([]float64, n*w)
	for i := range n {
		copy(y[i*w:], x[i*d:(i+1)*d])
	}
	set.Skip = badPoints(x, d)
	res, err := ode.Solve(ctx, p.flowSystem(p.draw(o, n, k, sample), k), y, fill(p.start(), n), fill(p.end(), n), set)
	if err != nil {
		return nil, err
	}
	p.flagEscaped(res, y, w)
	points := make([]FlowPoint, n)
	for i, r := range res {
		points[i] = p.flowPoint(pointStatus(r.Status), y[i*w:i*w+d], y[i*w+d:(i+1)*w], o)
		points[i].Steps, points[i].Evals = r.Steps, r.Evals
	}
	return points, nil
}

// flowPoint is log q⁰ from the end of a path and the integrals along it.
func (p *problem) flowPoint(status Status, end, div []float64, o FlowOptions) FlowPoint {
	q := FlowPoint{LogQ: math.NaN(), StdErr: math.NaN(), Status: status}
	if status != OK {
		return q
	}
	q.End = slices.Clone(end)
	mean, stderr := meanStdErr(div)
	if o.Divergence == Exact {
		stderr = 0
	}
	q.LogQ, q.StdErr = p.logPrior(end)+mean, stderr
	if !finitePoint([]float64{q.LogQ}) {
		q.LogQ, q.Status = math.NaN(), NotFinite
	}
	return q
}

// pointStatus is the status of a point. A point that was skipped because it is not finite is a BadPoint.
func pointStatus(s ode.Status) Status {
	if s == ode.NotRun {
		return BadPoint
	}
	return s
}

func (p *problem) flowSystem(probes []float64, k int) ode.System {
	var c coefficients
	var xb, sb, jb, vb, products []float64
	d, w := p.d, p.d+k
	return ode.System{Width: w, Eval: func(ctx context.Context, dst, y, tau []float64, rows []int) error {
		n := len(tau)
		p.coefficients(&c, tau)
		x, s := grow(&xb, n*d), grow(&sb, n*d)
		gather(x, y, d, w)
		div := grow(&jb, n*k)
		if probes == nil {
			if err := p.model.(solver.Diverger).ScoreDiv(ctx, s, div, x, c.t); err != nil {
				return err
			}
		} else {
			v := grow(&vb, n*k*d)
			for i, r := range rows {
				copy(v[i*k*d:(i+1)*k*d], probes[r*k*d:])
			}
			if err := p.hutchinson(ctx, s, div, x, v, k, c.t, &products); err != nil {
				return err
			}
		}
		for i := range n {
			f := dst[i*w : (i+1)*w]
			for j := range d {
				f[j] = c.drift[i]*x[i*d+j] - c.half[i]*s[i*d+j]
			}
			for j := range k {
				f[d+j] = float64(d)*c.drift[i] - c.half[i]*div[i*k+j]
			}
		}
		return nil
	}}
}

// hutchinson writes s (n×D) and vᵀ(∂s/∂x)v of the k probes v of each row.
func (p *problem) hutchinson(ctx context.Context, s, traces, x, v []float64, k int, t []float64, products *[]float64) error {
	if m, ok := p.model.(solver.Tracer); ok {
		return m.ScoreTraces(ctx, s, traces, x, v, k, t)
	}
	jv := grow(products, len(v))
	if err := p.model.(solver.JVPer).ScoreJVP(ctx, s, jv, x, v, k, t); err != nil {
		return err
	}
	for i := range traces {
		traces[i] = dot(v[i*p.d:(i+1)*p.d], jv[i*p.d:(i+1)*p.d])
	}
	return nil
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

// meanStdErr is the mean and its standard error, NaN of one value.
func meanStdErr(v []float64) (mean, stderr float64) {
	for _, x := range v {
		mean += x
	}
	mean /= float64(len(v))
	if len(v) < 2 {
		return mean, math.NaN()
	}
	for _, x := range v {
		stderr += (x - mean) * (x - mean)
	}
	return mean, math.Sqrt(stderr / float64(len(v)*(len(v)-1)))
}
