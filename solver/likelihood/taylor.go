package likelihood

import (
	"context"

	"hbar/kernels"
	"hbar/kernels/jet"
	"hbar/solver"
	"hbar/solver/likelihood/ode"
)

// taylor is the system of ODEs of the expansion along a path, from Tmax to Tmin, on states laid out by kernels.TaylorState.
type taylor struct {
	*problem
	kernels.TaylorState
	jets solver.Jetter
	alg  *jet.Algebra // to the degree of s
}

func newTaylor(p *problem, j solver.Jetter, order int) *taylor {
	state := kernels.NewTaylorState(p.d, order)
	return &taylor{problem: p, TaylorState: state, jets: j, alg: jet.For(p.d, state.DegL+1)}
}

// prior writes the state at Tmax for the point x: log π and zeros.
func (t *taylor) prior(y, x []float64) {
	clear(y)
	copy(y, x)
	l, sd := y[t.LogQ:t.L1], t.s.PriorStd()
	l[0] = t.logPrior(x)
	for i, v := range x {
		l[1+i] = -v / (sd * sd)
	}
	for k, alpha := range t.alg.Index[:t.alg.Size(2)] {
		for _, p := range alpha {
			if p == 2 {
				l[k] = -1 / (2 * sd * sd)
			}
		}
	}
}

// system is the right-hand side per unit of the clock.
func (t *taylor) system() ode.System {
	var c coefficients
	var xb, sb []float64
	nS := t.alg.Size(t.DegL + 1)
	field := kernels.NewTaylorField(t.TaylorState)
	return ode.System{Width: t.Width, Eval: func(ctx context.Context, dst, y, tau []float64, _ []int) error {
		n := len(tau)
		t.coefficients(&c, tau)
		x, s := grow(&xb, n*t.d), grow(&sb, n*t.d*nS)
		gather(x, y, t.d, t.Width)
		if err := t.jets.ScoreJets(ctx, s, x, c.t, t.DegL+1); err != nil {
			return err
		}
		for i := range n {
			field.Eval(dst[i*t.Width:(i+1)*t.Width], y[i*t.Width:(i+1)*t.Width], s[i*t.d*nS:(i+1)*t.d*nS], c.drift[i], c.half[i])
		}
		return nil
	}}
}
