package solver

import (
	"context"
	"fmt"
	"math"

	"hbar/kernels"
)

// Lifted is a model of the data as one of the states of a schedule of matrices: with y = wᵀz/ρ and κ = σ²/α,
//
//	x̂_0 = y + κ s(α y, t),      ∇_z log p = P z + κ w ⊗ s(α y, t),   P = −Σ⁻¹ + w wᵀ/ρ,
//
// where s is the model under the schedule of scalars of the same signal-to-noise ratio (Blocks). In all arrays a state is z = (z_1,
// …, z_b) with the D numbers of the data each. It has the derivatives that the model has.
type Lifted struct {
	model Model
	s     *Blocks
}

// Lift makes the model of the states.
func Lift(m Model, s *Blocks) *Lifted { return &Lifted{m, s} }

// Dim is b·D.
func (l *Lifted) Dim() int { return l.s.size * l.model.Dim() }

// lift is Lifted at one time.
type lift struct {
	law
	b, d         int
	eta          float64  // α/ρ: the model's input is η wᵀz
	alpha, kappa float64  // α, σ²/α
	p            blockMat // P
}

func (l *Lifted) at(t float64) lift {
	q := lift{law: l.s.at(t), b: l.s.size, d: l.model.Dim()}
	q.alpha = math.Sqrt(1 / (1 + 1/q.ratio))
	q.eta, q.kappa = q.alpha/q.ratio, 1/((1+q.ratio)*q.alpha)
	back := q.unit.transpose(q.b)
	q.p = back.mul(&q.unit, q.b)
	for i := range q.b {
		for j := range q.b {
			q.p[i*q.b+j] = q.w[i]*q.w[j]/q.ratio - q.p[i*q.b+j]
		}
	}
	return q
}

// down writes c wᵀz, D numbers of a state.
func (q *lift) down(dst, z []float64, c float64) {
	for j := range dst {
		dst[j] = 0
	}
	for i := range q.b {
		addTo(dst, c*q.w[i], z[i*q.d:(i+1)*q.d])
	}
}

// up writes P z + c w ⊗ s; z nil means zero.
func (q *lift) up(dst, z, s []float64, c float64) {
	for i := range q.b {
		row := dst[i*q.d : (i+1)*q.d]
		for j := range row {
			row[j] = c * q.w[i] * s[j]
		}
		for k := range q.b {
			if z != nil {
				addTo(row, q.p[i*q.b+k], z[k*q.d:(k+1)*q.d])
			}
		}
	}
}

// states are the arguments of one call.
type states struct {
	n, width, d int
	at          []lift // one, or n
	t           []float64
}

func (st *states) of(i int) *lift {
	if len(st.at) == 1 {
		return &st.at[0]
	}
	return &st.at[i]
}

func (l *Lifted) states(z, t []float64) (states, error) {
	st := states{width: l.Dim(), d: l.model.Dim(), t: t}
	st.n = len(z) / st.width
	if len(z) != st.n*st.width {
		return st, fmt.Errorf("solver: %d numbers are no states of %d", len(z), st.width)
	}
	if len(t) != 1 && len(t) != st.n {
		return st, fmt.Errorf("solver: %d times for %d states; need one, or one each", len(t), st.n)
	}
	for _, v := range t {
		st.at = append(st.at, l.at(v))
	}
	return st, nil
}

// downs is down for k vectors of each state, times a power of η and a factor; nil stays nil.
func (st *states) downs(z []float64, k int, factor func(*lift) float64) []float64 {
	if z == nil {
		return nil
	}
	out := make([]float64, st.n*k*st.d)
	for i := range st.n * k {
		q := st.of(i / k)
		q.down(out[i*st.d:(i+1)*st.d], z[i*st.width:(i+1)*st.width], factor(q))
	}
	return out
}

// ups is up for k vectors of each state.
func (st *states) ups(dst, z, s []float64, k int, factor func(*lift) float64) {
	if dst == nil {
		return
	}
	for i := range st.n * k {
		q := st.of(i / k)
		var zi []float64
		if z != nil {
			zi = z[i*st.width : (i+1)*st.width]
		}
		q.up(dst[i*st.width:(i+1)*st.width], zi, s[i*st.d:(i+1)*st.d], factor(q))
	}
}

func (st *states) like(s []float64) []float64 {
	if s == nil {
		return nil
	}
	return make([]float64, len(s)/st.width*st.d)
}

func etaOf(q *lift) float64     { return q.eta }
func kappaOf(q *lift) float64   { return q.kappa }
func kappaEta(q *lift) float64  { return q.kappa * q.eta }
func kappaEta2(q *lift) float64 { return q.kappa * q.eta * q.eta }
func oneOf(*lift) float64       { return 1 }

// Denoise is a Denoise.
func (l *Lifted) Denoise(ctx context.Context, dst, z []float64, t float64, sample0 uint64) error {
	st, err := l.states(z, []float64{t})
	if err != nil {
		return err
	}
	x, s := st.downs(z, 1, etaOf), make([]float64, st.n*st.d)
	if net, ok := l.model.(*Network); ok {
		err = net.ScoreFrom(ctx, s, x, st.t, sample0)
	} else {
		err = l.model.Score(ctx, s, x, st.t)
	}
	if err != nil {
		return err
	}
	q := &st.at[0]
	for i, v := range x {
		dst[i] = v/q.alpha + q.kappa*s[i]
	}
	return nil
}

// Score implements Model.
func (l *Lifted) Score(ctx context.Context, dst, z, t []float64) error {
	st, err := l.states(z, t)
	if err != nil {
		return err
	}
	s := make([]float64, st.n*st.d)
	if err := l.model.Score(ctx, s, st.downs(z, 1, etaOf), t); err != nil {
		return err
	}
	st.ups(dst, z, s, 1, kappaOf)
	return nil
}

// Flow is what the probability flow of the blocks and the divergence of Q times the score need: it writes Q s (n×b×D) and, unless div is
// nil, ∇·(Q s), which takes a model that is a Diverger.
func (l *Lifted) Flow(ctx context.Context, qs, div, z, t []float64) error {
	st, err := l.states(z, t)
	if err != nil {
		return err
	}
	x, s := st.downs(z, 1, etaOf), make([]float64, st.n*st.d)
	if div == nil {
		err = l.model.Score(ctx, s, x, t)
	} else if m, ok := l.model.(Diverger); ok {
		err = m.ScoreDiv(ctx, s, div, x, t)
	} else {
		err = fmt.Errorf("solver: the divergence of the blocks needs that of the model, which %T lacks", l.model)
	}
	if err != nil {
		return err
	}
	b := l.s.size
	full := make([]float64, st.width)
	for i := range st.n {
		q := st.of(i)
		q.up(full, z[i*st.width:(i+1)*st.width], s[i*st.d:(i+1)*st.d], q.kappa)
		l.s.times(&l.s.q, qs[i*st.width:(i+1)*st.width], full, st.d)
		if div != nil {
			qp := l.s.q.mul(&q.p, b)
			trace := 0.0
			for j := range b {
				trace += qp[j*b+j]
			}
			div[i] = float64(st.d)*trace + q.kappa*q.eta*q.rate*div[i]
		}
	}
	return nil
}

// times writes (m ⊗ I) z of one state.
func (s *Blocks) times(m *blockMat, dst, z []float64, d int) {
	b := s.size
	for i := range b {
		row := dst[i*d : (i+1)*d]
		for j := range row {
			row[j] = 0
		}
		for k := range b {
			if c := m[i*b+k]; c != 0 {
				addTo(row, c, z[k*d:(k+1)*d])
			}
		}
	}
}

// ScoreJVP implements JVPer if the model does.
func (l *Lifted) ScoreJVP(ctx context.Context, s, jv, z, v []float64, k int, t []float64) error {
	m, ok := l.model.(JVPer)
	if !ok {
		return fmt.Errorf("solver: directional derivatives of the blocks need those of the model, which %T lacks", l.model)
	}
	st, err := l.states(z, t)
	if err != nil {
		return err
	}
	sm, jm := st.like(s), st.like(jv)
	if err := m.ScoreJVP(ctx, sm, jm, st.downs(z, 1, etaOf), st.downs(v, k, oneOf), k, t); err != nil {
		return err
	}
	st.ups(s, z, sm, 1, kappaOf)
	st.ups(jv, v, jm, k, kappaEta)
	return nil
}

// ScoreVJP implements VJPer if the model does.
func (l *Lifted) ScoreVJP(ctx context.Context, s, vj, z, u, t []float64) error {
	return l.ScoreAdjoint(ctx, &kernels.Adjoint[float64]{X: z, CovS: u, Grad: vj, S: s}, t)
}

// ScoreAdjoint implements VJPer if the model does.
func (l *Lifted) ScoreAdjoint(ctx context.Context, q *kernels.Adjoint[float64], t []float64) error {
	m, ok := l.model.(VJPer)
	if !ok {
		return fmt.Errorf("solver: adjoint derivatives of the blocks need those of the model, which %T lacks", l.model)
	}
	st, err := l.states(q.X, t)
	if err != nil {
		return err
	}
	a := kernels.Adjoint[float64]{
		X: st.downs(q.X, 1, etaOf), V: st.downs(q.V, 1, oneOf), W: st.downs(q.W, 1, oneOf),
		CovS: st.downs(q.CovS, 1, kappaOf), CovSV: st.downs(q.CovSV, 1, kappaEta), CovSW: st.downs(q.CovSW, 1, kappaEta), CovSVW: st.downs(q.CovSVW, 1, kappaEta2),
		Grad: st.like(q.Grad), S: st.like(q.S), SV: st.like(q.SV), SW: st.like(q.SW), SVW: st.like(q.SVW),
	}
	if err := m.ScoreAdjoint(ctx, &a, t); err != nil {
		return err
	}
	st.ups(q.Grad, q.CovS, a.Grad, 1, etaOf)
	st.ups(q.S, q.X, a.S, 1, kappaOf)
	st.ups(q.SV, q.V, a.SV, 1, kappaEta)
	st.ups(q.SW, q.W, a.SW, 1, kappaEta)
	st.ups(q.SVW, nil, a.SVW, 1, kappaEta2)
	return nil
}
