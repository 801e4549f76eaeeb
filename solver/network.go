package solver

import (
	"context"
	"fmt"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// Engine runs a compiled network n(x, τ) on some device; infer.Engine is the one for the CPU. Arguments are as there:
// samples n×D, directions n×k×D, and n times or one for all.
type Engine interface {
	Dim() int
	Forward(ctx context.Context, dst, x []float32, tau []float64) error
	Forward64(ctx context.Context, dst, x, tau []float64) error
	Tangent(ctx context.Context, dst, jv, x, v []float32, k int, tau []float64) error
	Tangent64(ctx context.Context, dst, jv, x, v []float64, k int, tau []float64) error
	Divergence(ctx context.Context, dst []float32, div []float64, x, v []float32, k int, tau []float64) error
	Divergence64(ctx context.Context, dst, div, x, v []float64, k int, tau []float64) error
	Adjoint32(ctx context.Context, q *kernels.Adjoint[float32], tau []float64) error
	Adjoint64(ctx context.Context, q *kernels.Adjoint[float64], tau []float64) error
	Jets64(ctx context.Context, dst, x, tau []float64, order int) error
	Trajectory(ctx context.Context, x, m []float32, rows []kernels.Row, no kernels.Noise, progress func(done int)) error
}

// Numbered is an Engine whose values depend on the numbers of the samples too, which have labels. ForwardFrom and Forward64From are
// Forward and Forward64 for the samples sample0, sample0 + 1, …; Trajectory goes by Noise.Sample0.
type Numbered interface {
	Engine
	ForwardFrom(ctx context.Context, dst, x []float32, tau []float64, sample0 uint64) error
	Forward64From(ctx context.Context, dst, x, tau []float64, sample0 uint64) error
}

// Precision is the arithmetic inside the network. States, times, coefficients and the sums of a divergence are float64
// in either case.
type Precision uint8

const (
	Float32 Precision = iota // what training and the fused trajectories use
	Float64                  // about twice as dear
)

// Network is a score network as a Model: the score of an Engine under a schedule and a prediction type,
//
//	s(x, t) = P x + Q n(y, τ),  y = Cin x        ∂s/∂x = P + Q Cin ∂n/∂y        D²s[v, w] = Q Cin² D²n[v, w]
//
// It implements Diverger, JVPer, VJPer, Jetter and Integrator. x crosses to the network's precision once, after the
// scaling by Cin; what comes back is combined in float64. Methods may be called concurrently if the engine's may.
type Network struct {
	engine     Engine
	schedule   Schedule
	prediction Prediction
	precision  Precision
}

var (
	_ Diverger   = (*Network)(nil)
	_ VJPer      = (*Network)(nil)
	_ Jetter     = (*Network)(nil)
	_ Integrator = (*Network)(nil)
)

// NewNetwork makes a model of an engine, the schedule it was trained for and its prediction type.
func NewNetwork(e Engine, s Schedule, p Prediction, precision Precision) (*Network, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if precision > Float64 {
		return nil, fmt.Errorf("solver: no precision %d; have Float32, Float64", precision)
	}
	return &Network{engine: e, schedule: s, prediction: p, precision: precision}, nil
}

// Dim implements Model.
func (m *Network) Dim() int { return m.engine.Dim() }

// Engine, Schedule and Prediction are what the network was made of.
func (m *Network) Engine() Engine { return m.engine }

// Schedule is the one given to NewNetwork.
func (m *Network) Schedule() Schedule { return m.schedule }

// Prediction is the one given to NewNetwork.
func (m *Network) Prediction() Prediction { return m.prediction }

// Precision is the one given to NewNetwork.
func (m *Network) Precision() Precision { return m.precision }

// Integrate implements Integrator by the engine's fused trajectory, in float32 at any Precision.
func (m *Network) Integrate(ctx context.Context, x, mem []float32, rows []kernels.Row, no kernels.Noise, progress func(done int)) error {
	return m.engine.Trajectory(ctx, x, mem, rows, no, progress)
}

// coeffs are the coefficients of one time.
type coeffs struct{ cin, p, q float64 }

// inputs are the arguments of one call, checked: n samples with their coefficients and network times.
type inputs struct {
	n, d int
	at   []coeffs // one, or n
	tau  []float64
}

func (in *inputs) of(i int) coeffs {
	if len(in.at) == 1 {
		return in.at[0]
	}
	return in.at[i]
}

func (m *Network) inputs(x, t []float64) (inputs, error) {
	d := m.Dim()
	in := inputs{n: len(x) / d, d: d}
	if len(x) != in.n*d {
		return in, fmt.Errorf("solver: x has %d elements; need a multiple of D = %d", len(x), d)
	}
	if len(t) != 1 && len(t) != in.n {
		return in, fmt.Errorf("solver: %d times for %d samples; need one, or one each", len(t), in.n)
	}
	in.at, in.tau = make([]coeffs, len(t)), make([]float64, len(t))
	for i, ti := range t {
		c := &in.at[i]
		c.cin, c.p, c.q, in.tau[i] = m.prediction.Coeffs(m.schedule, ti)
	}
	return in, nil
}

func lengths(want int, slices ...[]float64) error {
	for _, s := range slices {
		if s != nil && len(s) != want {
			return fmt.Errorf("solver: a slice has %d elements; need %d", len(s), want)
		}
	}
	return nil
}

// down brings rows of size numbers a sample to the network's precision, times Cin^power. nil stays nil.
func down[F simd.Float](in *inputs, x []float64, size, power int) []F {
	if x == nil {
		return nil
	}
	y := make([]F, len(x))
	for i := range in.n {
		c := 1.0
		for range power {
			c *= in.of(i).cin
		}
		for j := i * size; j < (i+1)*size; j++ {
			y[j] = F(c * x[j])
		}
	}
	return y
}

// up writes dst = P x + Q Cin^power y for rows of size numbers a sample; x nil means zero.
func up[F simd.Float](in *inputs, dst, x []float64, y []F, size, power int) {
	if dst == nil {
		return
	}
	for i := range in.n {
		c := in.of(i)
		q := c.q
		for range power {
			q *= c.cin
		}
		for j := i * size; j < (i+1)*size; j++ {
			v := q * float64(y[j])
			if x != nil {
				v += c.p * x[j]
			}
			dst[j] = v
		}
	}
}

// like returns a buffer for what comes back of s, or nil if it is not wanted.
func like[F simd.Float](s []float64) []F {
	if s == nil {
		return nil
	}
	return make([]F, len(s))
}

// Score implements Model.
func (m *Network) Score(ctx context.Context, dst, x, t []float64) error {
	return m.score(dst, x, t, func(y, x []float32, tau []float64) error {
		return m.engine.Forward(ctx, y, x, tau)
	}, func(y, x, tau []float64) error {
		return m.engine.Forward64(ctx, y, x, tau)
	})
}

// ScoreFrom is Score for the samples sample0, sample0 + 1, … of a run, which may have labels: it is what a trajectory of these
// samples uses.
func (m *Network) ScoreFrom(ctx context.Context, dst, x, t []float64, sample0 uint64) error {
	e, ok := m.engine.(Numbered)
	if !ok {
		return m.Score(ctx, dst, x, t)
	}
	return m.score(dst, x, t, func(y, x []float32, tau []float64) error {
		return e.ForwardFrom(ctx, y, x, tau, sample0)
	}, func(y, x, tau []float64) error {
		return e.Forward64From(ctx, y, x, tau, sample0)
	})
}

// score writes the score, by the network's values in one of the precisions.
func (m *Network) score(dst, x, t []float64, forward func(y, x []float32, tau []float64) error, forward64 func(y, x, tau []float64) error) error {
	in, err := m.inputs(x, t)
	if err == nil {
		err = lengths(len(x), dst)
	}
	if err != nil {
		return err
	}
	if m.precision == Float64 {
		y := make([]float64, len(x))
		err = forward64(y, down[float64](&in, x, in.d, 1), in.tau)
		up(&in, dst, x, y, in.d, 0)
		return err
	}
	y := make([]float32, len(x))
	err = forward(y, down[float32](&in, x, in.d, 1), in.tau)
	up(&in, dst, x, y, in.d, 0)
	return err
}

// ScoreDiv implements Diverger; the divergence is exact, at D directional derivatives a sample.
func (m *Network) ScoreDiv(ctx context.Context, s, div, x, t []float64) error {
	if div == nil {
		return m.Score(ctx, s, x, t)
	}
	in, err := m.inputs(x, t)
	if err == nil {
		err = lengths(len(x), s)
	}
	if err == nil {
		err = lengths(in.n, div)
	}
	if err != nil {
		return err
	}
	if m.precision == Float64 {
		y := like[float64](s)
		err = m.engine.Divergence64(ctx, y, div, down[float64](&in, x, in.d, 1), nil, in.d, in.tau)
		up(&in, s, x, y, in.d, 0)
	} else {
		y := like[float32](s)
		err = m.engine.Divergence(ctx, y, div, down[float32](&in, x, in.d, 1), nil, in.d, in.tau)
		up(&in, s, x, y, in.d, 0)
	}
	for i := range div {
		c := in.of(i)
		div[i] = c.p*float64(in.d) + c.q*c.cin*div[i]
	}
	return err
}

// ScoreJVP implements JVPer. s may be nil.
func (m *Network) ScoreJVP(ctx context.Context, s, jv, x, v []float64, k int, t []float64) error {
	in, err := m.inputs(x, t)
	if err == nil && k < 1 {
		err = fmt.Errorf("solver: %d directions; need at least 1", k)
	}
	if err == nil {
		err = lengths(len(x), s)
	}
	if err == nil && (len(v) != len(x)*k || len(jv) != len(v)) {
		err = fmt.Errorf("solver: v has %d elements and jv %d; need n·k·D = %d", len(v), len(jv), len(x)*k)
	}
	if err != nil {
		return err
	}
	if m.precision == Float64 {
		return scoreJVP(ctx, &in, m.engine.Tangent64, s, jv, x, v, k)
	}
	return scoreJVP(ctx, &in, m.engine.Tangent, s, jv, x, v, k)
}

func scoreJVP[F simd.Float](ctx context.Context, in *inputs, tangent func(ctx context.Context, dst, jv, x, v []F, k int, tau []float64) error, s, jv, x, v []float64, k int) error {
	y, jy := like[F](s), like[F](jv)
	err := tangent(ctx, y, jy, down[F](in, x, in.d, 1), down[F](in, v, k*in.d, 0), k, in.tau)
	up(in, s, x, y, in.d, 0)
	up(in, jv, v, jy, k*in.d, 1)
	return err
}

// ScoreVJP implements VJPer.
func (m *Network) ScoreVJP(ctx context.Context, s, vj, x, u, t []float64) error {
	return m.ScoreVJP2(ctx, vj, s, nil, nil, nil, x, nil, nil, u, nil, nil, nil, t)
}

// ScoreVJP2 implements VJPer.
func (m *Network) ScoreVJP2(ctx context.Context, g, s, sv, sw, svw, x, v, w, a, b, c, e, t []float64) error {
	in, err := m.inputs(x, t)
	if err == nil {
		err = lengths(len(x), g, s, sv, sw, svw, v, w, a, b, c, e)
	}
	if err != nil {
		return err
	}
	f := adjoint{in: &in, g: g, s: s, sv: sv, sw: sw, svw: svw, x: x, v: v, w: w, a: a, b: b, c: c, e: e}
	if m.precision == Float64 {
		return scoreVJP2(ctx, m.engine.Adjoint64, f)
	}
	return scoreVJP2(ctx, m.engine.Adjoint32, f)
}

// adjoint are the arguments of ScoreVJP2.
type adjoint struct {
	in                                     *inputs
	g, s, sv, sw, svw, x, v, w, a, b, c, e []float64
}

// scoreVJP2: with y = Cin x the gradient is P a + Q Cin ∇_y[a·n + b'·(Dn v) + c'·(Dn w) + e'·(D²n[v, w])],
// b' = Cin b, c' = Cin c, e' = Cin² e.
func scoreVJP2[F simd.Float](ctx context.Context, run func(context.Context, *kernels.Adjoint[F], []float64) error, f adjoint) error {
	in, d := f.in, f.in.d
	if f.v == nil { // one direction alone is v
		f.v, f.w, f.b, f.c, f.sv, f.sw = f.w, nil, f.c, f.b, f.sw, f.sv
	}
	if f.w == nil { // what needs a direction that is zero is zero
		clear(f.sw)
		clear(f.svw)
		f.c, f.e, f.sw, f.svw = nil, nil, nil, nil
	}
	if f.v == nil {
		clear(f.sv)
		f.b, f.sv = nil, nil
	}
	q := kernels.Adjoint[F]{
		X: down[F](in, f.x, d, 1), V: down[F](in, f.v, d, 0), W: down[F](in, f.w, d, 0),
		A: down[F](in, f.a, d, 0), B: down[F](in, f.b, d, 1), C: down[F](in, f.c, d, 1), E: down[F](in, f.e, d, 2),
		G: like[F](f.g), S: like[F](f.s), SV: like[F](f.sv), SW: like[F](f.sw), H: like[F](f.svw),
	}
	err := run(ctx, &q, in.tau)
	up(in, f.g, f.a, q.G, d, 1)
	up(in, f.s, f.x, q.S, d, 0)
	up(in, f.sv, f.v, q.SV, d, 1)
	up(in, f.sw, f.w, q.SW, d, 1)
	up(in, f.svw, nil, q.H, d, 2)
	return err
}

// ScoreJets implements Jetter, in float64 at any Precision: float32 leaves too few digits of third derivatives.
func (m *Network) ScoreJets(ctx context.Context, dst, x, t []float64, order int) error {
	in, err := m.inputs(x, t)
	if err == nil && order < 0 {
		err = fmt.Errorf("solver: Taylor expansion of order %d; need 0 or more", order)
	}
	if err != nil {
		return err
	}
	if err := m.engine.Jets64(ctx, dst, down[float64](&in, x, in.d, 1), in.tau, order); err != nil {
		return err
	}
	nj := simd.NJet(in.d, order)
	for i := range in.n {
		c := in.of(i)
		for j := range in.d {
			row := dst[(i*in.d+j)*nj : (i*in.d+j+1)*nj]
			q := c.q
			for degree, k := 0, 0; degree <= order; degree++ {
				for end := simd.NJet(in.d, degree); k < end; k++ {
					row[k] *= q
				}
				q *= c.cin
			}
			row[0] += c.p * x[i*in.d+j]
			if order > 0 {
				row[1+j] += c.p
			}
		}
	}
	return nil
}
