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

	Path        likelihood.PathOptions
	Extrapolate bool // the path integral, to infinitely many steps

	Grid fokkerplanck.Options

	// FlowBy, unless nil, computes the values of flow, in place of likelihood.Flow at the points themselves. FlowBlock is how many
	// points it integrates together.
	FlowBy    func(ctx context.Context) ([]Value, error)
	FlowBlock int

	// Progress is told of the work of one stage after the other, at its beginning too.
	Progress func(stage string, done, total int)
}

// Results are what the methods found at n points.
type Results struct {
	H    []float64
	N, D int

	Flow      []Value     // at h = 0; nil if not run
	Expansion []Expansion // nil if not run
	Path      [][]Value   // [point][h]; nil if not run; h = 0 has no value
	Grid      [][]Value
	Solutions []*fokkerplanck.Solution // one for each h > 0, in order
	ChainOf   string                   // what the path integral is the density of
}

// Run computes log q^h at the points x (n×D, in the network's coordinates). If ctx ends, it returns its error with what was done
// before; all other values have the status Interrupted.
func Run(ctx context.Context, m Models, x []float64, o Options) (*Results, error) {
	d := m.Paths.Dim()
	if len(x)%d != 0 {
		return nil, fmt.Errorf("%d coordinates are no points of the network's %d dimensions", len(x), d)
	}
	r := &Results{H: o.H, N: len(x) / d, D: d}
	for _, method := range o.Methods {
		var err error
		if method == Flow || method == WKB {
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
			r.Expansion, err = expand(ctx, m, x, o)
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

// Interrupted is the status of a value that was not computed because the user stopped the command.
const Interrupted = string(likelihood.Interrupted)

// interrupt fills in what the methods have not computed.
func (r *Results) interrupt(methods []Method) {
	values := func(have []Value) []Value {
		for len(have) < r.N {
			have = append(have, none(Interrupted))
		}
		return have
	}
	table := func(have [][]Value) [][]Value {
		if have != nil {
			return have
		}
		have = spread(r.N, r.H)
		_, at := positive(r.H)
		for i := range have {
			for _, j := range at {
				have[i][j] = none(Interrupted)
			}
		}
		return have
	}
	for _, method := range methods {
		switch method {
		case Flow:
			r.Flow = values(r.Flow)
		case WKB:
			for len(r.Expansion) < r.N {
				r.Expansion = append(r.Expansion, failed(r.D, Interrupted))
			}
		case PathIntegral:
			r.Path = table(r.Path)
		case FokkerPlanck:
			r.Grid = table(r.Grid)
		}
	}
}

// Finished reports whether a method has been through all points.
func (r *Results) Finished(method Method) bool {
	for i := range r.N {
		switch {
		case method == Flow && (r.Flow == nil || r.Flow[i].Status == Interrupted),
			method == WKB && (r.Expansion == nil || r.Expansion[i].Status == Interrupted):
			return false
		}
		for j := range r.H {
			if method == PathIntegral && (r.Path == nil || r.Path[i][j].Status == Interrupted) ||
				method == FokkerPlanck && (r.Grid == nil || r.Grid[i][j].Status == Interrupted) {
				return false
			}
		}
	}
	return true
}

func (o Options) stage(name string) func(done, total int) {
	return func(done, total int) {
		if o.Progress != nil {
			o.Progress(name, done, total)
		}
	}
}

func none(status string) Value {
	return Value{LogQ: math.NaN(), Err: math.NaN(), ESS: math.NaN(), Status: status}
}

func flow(ctx context.Context, m Models, x []float64, o Options) ([]Value, error) {
	points, err := likelihood.Flow(ctx, m.Paths, m.Schedule, x, likelihood.FlowOptions{
		Options:    likelihood.Options{Tol: o.Tol, Progress: o.stage("flow")},
		Divergence: o.Divergence, Probes: o.Probes, Seed: o.Seed,
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

// taylorDims is how many dimensions the expansion by Taylor polynomials works in.
const taylorDims = 3

func expand(ctx context.Context, m Models, x []float64, o Options) ([]Expansion, error) {
	d := m.Paths.Dim()
	if d > taylorDims {
		return estimate(ctx, m, x, o)
	}
	points, err := likelihood.Expand(ctx, m.Double, m.Schedule, x, likelihood.ExpandOptions{
		Options: likelihood.Options{Tol: o.Tol, Progress: o.stage("wkb")}, Order: o.Order,
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

func failed(d int, status string) Expansion {
	nan := math.NaN()
	e := Expansion{LogQ0: nan, Score: make([]float64, d), Laplacian: nan, L1: nan, L1Err: nan, L2: nan, Trust: nan, Status: status}
	for i := range e.Score {
		e.Score[i] = nan
	}
	return e
}

// estimate is the first correction without Taylor polynomials. It knows neither ∇log q⁰ nor its Laplacian.
func estimate(ctx context.Context, m Models, x []float64, o Options) ([]Expansion, error) {
	zeroth, err := flow(ctx, m, x, o)
	if err != nil {
		return nil, err
	}
	first, err := likelihood.EstimateTimes(ctx, m.Paths, m.Schedule, x, likelihood.EstimateOptions{
		Options: likelihood.Options{Tol: o.Tol, Progress: o.stage("wkb")}, Probes: max(2, o.Probes), Seed: o.Seed,
	})
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
		if h > 0 {
			out, at = append(out, h), append(at, j)
		}
	}
	return out, at
}

// spread makes a table of n×len(hs) values, without a value where h = 0.
func spread(n int, hs []float64) [][]Value {
	t := make([][]Value, n)
	for i := range t {
		t[i] = make([]Value, len(hs))
		for j := range t[i] {
			t[i][j] = none("no value at h = 0")
		}
	}
	return t
}

func (r *Results) path(ctx context.Context, m Models, x []float64, o Options) error {
	hs, at := positive(o.H)
	r.Path = spread(r.N, o.H)
	p := o.Path
	p.Seed, p.Progress = o.Seed, o.stage("pathintegral")
	r.ChainOf = fmt.Sprintf("chain of %d steps of %v on grid %v", p.Steps, p.Sampler, p.Grid)
	run := likelihood.PathIntegral
	if o.Extrapolate {
		run = likelihood.PathIntegralExtrapolated
		r.ChainOf = fmt.Sprintf("continuous process, from chains of %d and %d steps of %v on grid %v", p.Steps/2, p.Steps, p.Sampler, p.Grid)
	}
	if len(hs) == 0 || r.N == 0 {
		return nil
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
			v := none(string(e.Status))
			v.ESS = e.ESS
			if e.Status == likelihood.OK {
				v.LogQ, v.Err, v.Status = e.LogQ, e.StdErr, OK
			}
			r.Path[i][at[j]] = v
		}
	}
	return err
}

func (r *Results) grid(ctx context.Context, m Models, x []float64, o Options) error {
	hs, at := positive(o.H)
	r.Grid = spread(r.N, o.H)
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

// WKBAt is the expansion of point i at h, to first or second order.
func (r *Results) WKBAt(i int, h float64, order int) Value {
	e := r.Expansion[i]
	v := none(e.Status)
	if e.Status != OK {
		return v
	}
	l := e.LogQ0 + h*e.L1
	if order == 2 {
		l += h * h * e.L2
	}
	if math.IsNaN(l) {
		v.Status = "order 2 not computed"
		return v
	}
	v.LogQ, v.Err = l, h*e.L1Err
	return v
}

// At is the value of a method at point i and H[j]. At h = 0 the path integral and the grid have none; flow has one only
// there.
func (r *Results) At(m Method, i, j int) Value {
	switch {
	case m == Flow && r.H[j] == 0:
		return r.Flow[i]
	case m == WKB:
		return r.WKBAt(i, r.H[j], 1)
	case m == PathIntegral:
		return r.Path[i][j]
	case m == FokkerPlanck:
		return r.Grid[i][j]
	}
	return none("no value at h > 0")
}
