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
	Float64                  // about twice the cost
)

// Network is a score network as a Model: the score of an Engine under a schedule and a prediction type,
//
//	s(x, t) = P x + Q n(y, τ),  y = Cin x        ∂s/∂x = P + Q Cin ∂n/∂y        D²s[v, w] = Q Cin² D²n[v, w]
//
// It implements Diverger, JVPer, VJPer, Jetter and Integrator. x is rounded to the network's precision once, after the
// scaling by Cin; the results are combined in float64. Methods may be called concurrently if the engine's may.
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

// down rounds Cin^power x to the network's precision. x has size numbers for each sample; nil stays nil.
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

// up writes dst = P x + Q Cin^power y, each of size numbers for each sample; x nil means zero.
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

// like returns a buffer of the length of s in the network's precision, or nil if s is nil.
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
	return m.ScoreAdjoint(ctx, &kernels.Adjoint[float64]{X: x, CovS: u, Grad: vj, S: s}, t)
}

// ScoreAdjoint implements VJPer.
func (m *Network) ScoreAdjoint(ctx context.Context, q *kernels.Adjoint[float64], t []float64) error {
	in, err := m.inputs(q.X, t)
	if err == nil {
		err = lengths(len(q.X), q.Grad, q.S, q.SV, q.SW, q.SVW, q.V, q.W, q.CovS, q.CovSV, q.CovSW, q.CovSVW)
	}
	if err != nil {
		return err
	}
	if m.precision == Float64 {
		return scoreAdjoint(ctx, m.engine.Adjoint64, &in, *q)
	}
	return scoreAdjoint(ctx, m.engine.Adjoint32, &in, *q)
}

// scoreAdjoint computes f by the adjoints of the network n. With y = Cin x the gradient is
//
//	P CovS + Q Cin ∇_y[CovS·n + Cin CovSV·(Dn v) + Cin CovSW·(Dn w) + Cin² CovSVW·(D²n[v, w])].
func scoreAdjoint[F simd.Float](ctx context.Context, run func(context.Context, *kernels.Adjoint[F], []float64) error, in *inputs, f kernels.Adjoint[float64]) error {
	d := in.d
	if f.V == nil { // a single direction is V
		f.V, f.W, f.CovSV, f.CovSW, f.SV, f.SW = f.W, nil, f.CovSW, f.CovSV, f.SW, f.SV
	}
	if f.W == nil { // all terms with the direction zero are zero
		clear(f.SW)
		clear(f.SVW)
		f.CovSW, f.CovSVW, f.SW, f.SVW = nil, nil, nil, nil
	}
	if f.V == nil {
		clear(f.SV)
		f.CovSV, f.SV = nil, nil
	}
	q := kernels.Adjoint[F]{
		X: down[F](in, f.X, d, 1), V: down[F](in, f.V, d, 0), W: down[F](in, f.W, d, 0),
		CovS: down[F](in, f.CovS, d, 0), CovSV: down[F](in, f.CovSV, d, 1), CovSW: down[F](in, f.CovSW, d, 1), CovSVW: down[F](in, f.CovSVW, d, 2),
		Grad: like[F](f.Grad), S: like[F](f.S), SV: like[F](f.SV), SW: like[F](f.SW), SVW: like[F](f.SVW),
	}
	err := run(ctx, &q, in.tau)
	up(in, f.Grad, f.CovS, q.Grad, d, 1)
	up(in, f.S, f.X, q.S, d, 0)
	up(in, f.SV, f.V, q.SV, d, 1)
	up(in, f.SW, f.W, q.SW, d, 1)
	up(in, f.SVW, nil, q.SVW, d, 2)
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
