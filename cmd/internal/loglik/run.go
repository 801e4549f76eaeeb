package loglik

import (
	"context"
	"errors"
	"fmt"
	"math"

	"hbar/solver"
	"hbar/solver/fokkerplanck"
	"hbar/solver/likelihood"
)

// OK is the status of a value that can be used.
const OK = "ok"

// Value is log q^h at one point by one method. LogQ and Err are NaN unless Status is OK.
type Value struct {
	LogQ float64
	Err  float64 // standard error, or for fokkerplanck the error of the discretisation; 0 where the tolerance is the error
	// ESS is the effective sample size of the path integral, NaN for the others.
	ESS    float64
	Status string
	// Bounds are those of the path integral; nil where there are none.
	Bounds *Bounds
	// IsBound says that LogQ is Bounds.Lower, for want of an effective sample size that makes it a value.
	IsBound bool
}

// Bounds enclose log q^h of the chain in expectation, in nats; what is not known is NaN or infinite.
type Bounds struct {
	Lower, LowerErr float64 // log of the mean weight of the paths
	Upper, UpperErr float64 // with the path that made the point among them; of generated points only
}

// Expansion is the WKB expansion at one point; what is not known is NaN.
type Expansion struct {
	LogQ0     float64
	Score     []float64 // ∇log q⁰
	Laplacian float64   // Δ log q⁰
	L1, L1Err float64   // first correction, its standard error (0 by Taylor expansion)
	L2        float64   // second
	Trust     float64   // h at which |h² ℓ₂| is a tenth of |h ℓ₁|
	Status    string
}

// Models are one network in the precisions that the methods want.
type Models struct {
	Schedule solver.Schedule
	Paths    solver.Model // of flow, and its derivatives: float32 or float64 inside
	Double   solver.Model // float64 inside: Taylor expansions
	Single   solver.Model // float32 inside: the many evaluations of path integral and grid
}

// Options choose methods and their settings.
type Options struct {
	Methods []Method
	H       []float64
	Seed    uint64

	Tol        float64          // of the paths of flow and wkb
	Divergence likelihood.Probe // of flow
	Probes     int              // of Hutchinson's estimator, and of ℓ₁ beyond D = 3
	Order      int              // of the expansion: 1, 2
	Velocities int              // draws of what a state has beside the point, under a schedule of matrices; 0: the library's

	// Path is the path integral\'s chain. If it has a profile of the strength, H holds NaN in place of a number.
	Path        likelihood.PathOptions
	Extrapolate bool // the path integral, to infinitely many steps
	// PresentBounds makes the lower bound the value of the path integral where the effective sample size is too small for a value.
	PresentBounds bool

	Grid fokkerplanck.Options

	// FlowBy, unless nil, computes the values of flow, in place of likelihood.Flow at the points themselves. FlowBlock is the number
	// of points of one call.
	FlowBy    func(ctx context.Context) ([]Value, error)
	FlowBlock int
	// ExpandBy, unless nil, computes the expansion of points with those log q⁰, in place of likelihood.Expand and EstimateTimes.
	ExpandBy func(ctx context.Context, zeroth []Value) ([]Expansion, error)
	// PathBy, unless nil, computes the values of the path integral, [point][h] with h of positive only.
	PathBy func(ctx context.Context, hs []float64) ([][]Value, error)

	// Part says that the points are some of a larger set.
	Part Part

	// Progress is called with the work that is done in each stage, one stage after the other, and at the beginning of each.
	Progress func(stage string, done, total int)
}

// Run computes log q^h at the points x (n×D, in the network's coordinates). If ctx ends, it returns its error with what was done
// before; all other values have the status Interrupted.
func Run(ctx context.Context, m Models, x []float64, o Options) (*Results, error) {
	d := m.Paths.Dim()
	if len(x)%d != 0 {
		return nil, fmt.Errorf("%d coordinates are no points of the network's %d dimensions", len(x), d)
	}
	r := &Results{H: o.H, N: len(x) / d, D: d, Probed: o.Divergence != likelihood.Exact}
	for _, method := range o.Methods {
		var err error
		if method == Flow && o.FlowBy == nil || method == WKB {
			o.stage(string(method))(0, r.N)
		}
		switch method {
		case Flow:
			if o.FlowBy != nil {
				r.Flow, err = o.FlowBy(ctx)
			} else {
				r.Flow, err = flow(ctx, m, x, o)
			}
		case WKB:
			r.Expansion, err = r.expand(ctx, m, x, o)
		case PathIntegral:
			err = r.path(ctx, m, x, o)
		case FokkerPlanck:
			err = r.grid(ctx, m, x, o)
		}
		if err != nil {
			if ctx.Err() == nil {
				return nil, err
			}
			r.interrupt(o.Methods)
			return r, err
		}
	}
	return r, nil
}

func (o Options) stage(name string) func(done, total int) {
	return func(done, total int) {
		if o.Progress != nil {
			o.Progress(name, done, total)
		}
	}
}

func flow(ctx context.Context, m Models, x []float64, o Options) ([]Value, error) {
	points, err := likelihood.Flow(ctx, m.Paths, m.Schedule, x, likelihood.FlowOptions{
		Options:    likelihood.Options{Tol: o.Tol, Progress: o.stage("flow"), Velocities: o.Velocities, Part: o.Part.ofPoints()},
		Divergence: o.Divergence, Probes: o.Probes, Seed: o.Seed, Sample0: uint64(o.Part.First),
	})
	out := make([]Value, len(points))
	for i, p := range points {
		if p.Status != likelihood.OK {
			out[i] = none(string(p.Status))
			continue
		}
		out[i] = Value{LogQ: p.LogQ, Err: p.StdErr, ESS: math.NaN(), Status: OK}
	}
	return out, err
}

// exactStates is the largest dimension of a state whose ℓ₁ is estimated with a probe for each, twice over.
const exactStates = 6

// expand computes the expansion, by ExpandBy with the flow's log q⁰ where that is asked for.
func (r *Results) expand(ctx context.Context, m Models, x []float64, o Options) ([]Expansion, error) {
	if o.ExpandBy == nil {
		return expand(ctx, m, x, o)
	}
	zeroth := r.Flow
	if zeroth == nil {
		run := flow
		if o.FlowBy != nil {
			run = func(ctx context.Context, _ Models, _ []float64, _ Options) ([]Value, error) { return o.FlowBy(ctx) }
		}
		var err error
		if zeroth, err = run(ctx, m, x, o); err != nil {
			return nil, err
		}
	}
	return o.ExpandBy(ctx, zeroth)
}

// TaylorDims is how many dimensions the expansion by Taylor polynomials works in.
const TaylorDims = 3

// ByTaylor reports whether wkb, unless ExpandBy computes it, is by Taylor polynomials.
func ByTaylor(s solver.Schedule, d int) bool { return d <= TaylorDims && solver.BlocksOf(s) == nil }

// ByAllDirections reports whether ℓ₁, where wkb is not by Taylor polynomials, takes a probe along each direction instead of random ones.
func ByAllDirections(s solver.Schedule, d int) bool { return solver.StateDim(s, d) <= exactStates }

func expand(ctx context.Context, m Models, x []float64, o Options) ([]Expansion, error) {
	d := m.Paths.Dim()
	if !ByTaylor(m.Schedule, d) {
		return estimate(ctx, m, x, o)
	}
	points, err := likelihood.Expand(ctx, m.Double, m.Schedule, x, likelihood.ExpandOptions{
		Options: likelihood.Options{Tol: o.Tol, Progress: o.stage("wkb"), Part: o.Part.ofPoints()}, Order: o.Order,
	})
	if err != nil {
		return nil, err
	}
	out := make([]Expansion, len(points))
	for i, p := range points {
		out[i] = Expansion{LogQ0: p.LogQ, Score: p.Grad, Laplacian: p.Laplacian, L1: p.L1, L2: p.L2, Trust: p.Trust, Status: string(p.Status)}
		if p.Status != likelihood.OK {
			out[i] = failed(d, string(p.Status))
		}
	}
	return out, nil
}

// estimate is the first correction without Taylor polynomials. It knows neither ∇log q⁰ nor its Laplacian.
func estimate(ctx context.Context, m Models, x []float64, o Options) ([]Expansion, error) {
	zeroth, err := flow(ctx, m, x, o)
	if err != nil {
		return nil, err
	}
	e := likelihood.EstimateOptions{
		Options: likelihood.Options{Tol: o.Tol, Progress: o.stage("wkb"), Velocities: o.Velocities}, Probes: max(2, o.Probes), Seed: o.Seed, Sample0: uint64(o.Part.First),
	}
	run := likelihood.EstimateTimes
	if n := solver.StateDim(m.Schedule, m.Paths.Dim()); ByAllDirections(m.Schedule, m.Paths.Dim()) { // without an error of probes
		run, e.Probes, e.Inner = likelihood.EstimateDual, 2*n, n
	}
	first, err := run(ctx, m.Paths, m.Schedule, x, e)
	if err != nil {
		return nil, err
	}
	d := m.Paths.Dim()
	out := make([]Expansion, len(zeroth))
	for i := range out {
		status := zeroth[i].Status
		if status == OK {
			status = string(first[i].Status)
		}
		out[i] = failed(d, status)
		if status == OK {
			out[i].LogQ0, out[i].L1, out[i].L1Err = zeroth[i].LogQ, first[i].L1, first[i].StdErr
		}
	}
	return out, nil
}

// positive are the h > 0 and their positions.
func positive(hs []float64) (out []float64, at []int) {
	for j, h := range hs {
		if h != 0 { // NaN stands for a profile
			out, at = append(out, h), append(at, j)
		}
	}
	return out, at
}

func (r *Results) path(ctx context.Context, m Models, x []float64, o Options) error {
	hs, at := positive(o.H)
	r.Path = perStrength(r.N, o.H)
	p := o.Path
	p.Seed, p.Sample0, p.Progress = o.Seed, uint64(o.Part.First), o.stage("pathintegral")
	r.ChainOf = fmt.Sprintf("chain of %d steps of %v on grid %v", p.Steps, p.Sampler, p.Grid)
	run := likelihood.PathIntegral
	if o.Extrapolate {
		run = likelihood.PathIntegralExtrapolated
		r.ChainOf = fmt.Sprintf("continuous process, from chains of %d and %d steps of %v on grid %v", p.Steps/2, p.Steps, p.Sampler, p.Grid)
	}
	if len(hs) == 0 || r.N == 0 {
		return nil
	}
	if o.PathBy != nil {
		got, err := o.PathBy(ctx, hs)
		for i := range got {
			for j, v := range got[i] {
				r.Path[i][at[j]] = v
			}
		}
		return err
	}
	total := r.N * p.Paths * len(hs)
	if o.Extrapolate {
		total *= 3 // as PathIntegralExtrapolated counts
	}
	p.Progress(0, total)
	got, err := run(ctx, m.Single, m.Schedule, x, hs, p)
	if got == nil {
		r.Path = nil
		return err
	}
	for i := range got {
		for j, e := range got[i] {
			r.Path[i][at[j]] = o.pathValue(e)
		}
	}
	return err
}

// pathValue is what an estimate says.
func (o Options) pathValue(e likelihood.PathEstimate) Value {
	v := none(string(e.Status))
	v.ESS = e.ESS
	v.Bounds = &Bounds{Lower: e.Lower, LowerErr: e.LowerStdErr, Upper: e.Upper, UpperErr: e.UpperStdErr}
	switch {
	case e.Status == likelihood.OK:
		v.LogQ, v.Err, v.Status = e.LogQ, e.StdErr, OK
	case e.Status == likelihood.LowESS && o.PresentBounds:
		v.LogQ, v.Err, v.Status, v.IsBound = e.Lower, e.LowerStdErr, OK, true
	}
	return v
}

func (r *Results) grid(ctx context.Context, m Models, x []float64, o Options) error {
	hs, at := positive(o.H)
	r.Grid = perStrength(r.N, o.H)
	if len(hs) == 0 {
		return nil
	}
	g := o.Grid
	g.Progress = o.stage("fokkerplanck")
	var err error
	var broken *fokkerplanck.NotFiniteError
	r.Solutions, err = fokkerplanck.Solve(ctx, m.Single, m.Schedule, hs, &g)
	if errors.As(err, &broken) { // no density, and no reason to lose what the other methods found
		r.Solutions = nil
		for i := range r.Grid {
			for _, j := range at {
				r.Grid[i][j] = none("the score is not finite " + broken.Where)
			}
		}
		return nil
	}
	if err != nil {
		r.Grid, r.Solutions = nil, nil
		return err
	}
	for j, s := range r.Solutions {
		if s.Err != nil {
			for i := range r.Grid {
				r.Grid[i][at[j]] = none(s.Err.Error())
			}
			continue
		}
		values, err := s.LogQ(x)
		if err != nil {
			return err
		}
		for i, v := range values {
			r.Grid[i][at[j]] = none(v.Status.String())
			if v.Status == fokkerplanck.OK {
				r.Grid[i][at[j]] = Value{LogQ: v.LogQ, Err: v.Err, ESS: math.NaN(), Status: OK}
			}
		}
	}
	return nil
}
