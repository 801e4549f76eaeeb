package likelihood

import (
	"context"

	"hbar/kernels"
	"hbar/solver/likelihood/ode"
)

// backSystem is the right-hand side of the integration from Tmax.
func (e *estimator) backSystem(dual bool) ode.System {
	d, used, width := e.d, partZ, partZ*e.d
	if dual {
		used, width = parts, parts*d+2
	}
	var c coefficients
	buf := make([][]float64, 16)
	return ode.System{Width: width, Eval: func(ctx context.Context, dst, y, tau []float64, rows []int) error {
		n := len(tau)
		e.coefficients(&c, tau)
		b := func(i int) []float64 { return grow(&buf[i], n*d) }
		x, w, p, u1, u2, z := b(0), b(1), b(2), b(3), b(4), b(5)
		for j, part := range [][]float64{x, w, p, u1, u2, z}[:used] {
			for i := range n {
				copy(part[i*d:(i+1)*d], y[i*width+j*d:])
			}
		}
		s, sw, gp, g1, g2, gz := b(6), b(7), b(8), b(9), b(10), b(11)
		if err := e.adjoints(ctx, rows, x, w, p, u1, u2, s, sw, gp, g1, g2, c.t, b); err != nil {
			return err
		}
		if dual {
			if err := e.model.ScoreVJP(ctx, nil, gz, x, z, c.t); err != nil {
				return err
			}
		}
		for i := range n {
			f := dst[i*width : (i+1)*width]
			drift, half := c.drift[i], c.half[i]
			for j := range d {
				a := i*d + j
				f[partX*d+j] = drift*x[a] - half*s[a]
				f[partW*d+j] = drift*w[a] - half*sw[a]
				f[partP*d+j] = half*gp[a] - drift*p[a]
				f[partU1*d+j] = half*g1[a] - drift*u1[a]
				f[partU2*d+j] = half*g2[a] - drift*u2[a]
				if dual {
					f[partZ*d+j] = half*gz[a] - drift*z[a]
				}
			}
			if dual {
				row := func(m []float64) []float64 { return m[i*d : (i+1)*d] }
				f[parts*d], f[parts*d+1] = e.integrand(half, row(x), row(w), row(z), row(s), row(sw), row(p), row(u1), row(u2))
			}
		}
		return nil
	}}
}

// adjoints writes s, sw = Ds w, gp = ∇[p·s + u₁·Ds w + mean η₁·D²s[η₁, w]] and g = ∇[u·s + mean η·Ds η] for both gradients. b
// gives buffers, of which it uses 12 to 15.
func (e *estimator) adjoints(ctx context.Context, rows []int, x, w, p, u1, u2, s, sw, gp, g1, g2, t []float64, b func(int) []float64) error {
	d, m := e.d, e.inner
	eta, mean, more, nothing := b(12), b(13), b(14), []float64(nil)
	add := func(dst []float64) {
		for i, v := range more {
			dst[i] += v
		}
	}
	for i := range m {
		for set, u := range [][]float64{u1, u2} {
			for j, r := range rows {
				copy(eta[j*d:(j+1)*d], e.eta[set][(r*m+i)*d:])
			}
			for j, v := range eta {
				mean[j] = v / float64(m)
			}
			// What does not depend on η is taken once.
			g, du, dp, dw, sOut, swOut := more, nothing, nothing, nothing, nothing, nothing
			if i == 0 {
				g, du, dp, dw, sOut, swOut = [][]float64{g1, g2}[set], u, p, u1, s, sw
			}
			if err := e.model.ScoreAdjoint(ctx, &kernels.Adjoint[float64]{X: x, V: eta, CovS: du, CovSV: mean, Grad: g}, t); err != nil {
				return err
			}
			if i > 0 {
				add([][]float64{g1, g2}[set])
			}
			if set == 1 {
				continue
			}
			g = more
			if i == 0 {
				g = gp
			}
			if err := e.model.ScoreAdjoint(ctx, &kernels.Adjoint[float64]{X: x, V: eta, W: w, CovS: dp, CovSW: dw, CovSVW: mean, Grad: g, S: sOut, SW: swOut}, t); err != nil {
				return err
			}
			if i > 0 {
				add(gp)
			}
		}
	}
	return nil
}

// integrand is dℓ₁/dτ, as its two terms (see Expansion), at the state x with the tangent w and the dual z.
func (e *estimator) integrand(half float64, x, w, z, s, sw, p, u1, u2 []float64) (div, grad float64) {
	if e.blocks != nil {
		return e.blocks.blockIntegrand(half, x, w, z, s, sw, p, u1, u2)
	}
	return integrand(half, z, s, sw, p, u1, u2, u2)
}

// integrand is that sum; q2 is u₂ as the diffusion has it.
func integrand(half float64, z, s, sw, p, u1, u2, q2 []float64) (div, grad float64) {
	for j := range z {
		div += half * z[j] * (sw[j] - p[j])
		grad += half * (s[j]*(u1[j]+u2[j])/2 - u1[j]*q2[j])
	}
	return div, grad
}

// forwardPaths integrates (x, w) or, with a dual, (x, w, z) towards Tmax. y is rows×2D or rows×3D, in place.
func (e *estimator) forwardPaths(ctx context.Context, y, from, to []float64, width int) ([]ode.Result, error) {
	d := e.d
	var c coefficients
	buf := make([][]float64, 6)
	sys := ode.System{Width: width, Eval: func(ctx context.Context, dst, y, tau []float64, _ []int) error {
		n := len(tau)
		e.coefficients(&c, tau)
		b := func(i int) []float64 { return grow(&buf[i], n*d) }
		x, w, z := b(0), b(1), b(2)
		for j, part := range [][]float64{x, w, z}[:width/d] {
			for i := range n {
				copy(part[i*d:(i+1)*d], y[i*width+j*d:])
			}
		}
		s, sw, gz := b(3), b(4), b(5)
		if err := e.model.ScoreJVP(ctx, s, sw, x, w, 1, c.t); err != nil {
			return err
		}
		if width == 3*d {
			if err := e.model.ScoreVJP(ctx, nil, gz, x, z, c.t); err != nil {
				return err
			}
		}
		for i := range n {
			for j := range d {
				a, f := i*d+j, dst[i*width+j:]
				f[0] = c.drift[i]*x[a] - c.half[i]*s[a]
				f[d] = c.drift[i]*w[a] - c.half[i]*sw[a]
				if width == 3*d {
					f[2*d] = c.half[i]*gz[a] - c.drift[i]*z[a]
				}
			}
		}
		return nil
	}}
	set := forward(e.o.settings())
	set.Skip = e.skip
	res, err := ode.Solve(ctx, sys, y, from, to, set)
	e.flagEscaped(res, y, width)
	return res, err
}

// backwardPaths integrates from Tmax back to the times to. ends are the states (x, w and, with a dual, z) at Tmax, arrived the results
// of the integrations that led there.
func (e *estimator) backwardPaths(ctx context.Context, ends []float64, arrived []ode.Result, to []float64, dual bool) (y []float64, res []ode.Result, err error) {
	d, sys := e.d, e.backSystem(dual)
	width, in := sys.Width, len(ends)/e.rows
	y = make([]float64, e.rows*width)
	sd := e.s.PriorStd()
	for r := range e.rows {
		row, from := y[r*width:(r+1)*width], ends[r*in:(r+1)*in]
		copy(row, from[:2*d])
		if e.blocks != nil {
			inverse := e.blocks.prior.inv
			e.blocks.apply(row[partP*d:(partP+1)*d], -1, inverse, row[partW*d:(partW+1)*d])
			e.blocks.apply(row[partU1*d:(partU1+1)*d], -1, inverse, row[:d])
			copy(row[partU2*d:(partU2+1)*d], row[partU1*d:])
		} else {
			for j := range d {
				row[partP*d+j] = -row[partW*d+j] / (sd * sd)
				row[partU1*d+j] = -row[j] / (sd * sd)
				row[partU2*d+j] = -row[j] / (sd * sd)
			}
		}
		if dual {
			copy(row[partZ*d:], from[2*d:])
		}
	}
	set := e.o.settings()
	set.Skip = func(r int) bool { return arrived[r].Status != OK }
	res, err = ode.Solve(ctx, sys, y, fill(e.end(), e.rows), to, set)
	for r := range res {
		if arrived[r].Status != OK {
			res[r].Status = arrived[r].Status
		}
		res[r].Evals += arrived[r].Evals
	}
	return y, res, err
}

func (e *estimator) dual(ctx context.Context) (*replicates, error) {
	d := e.d
	start := make([]float64, e.rows*3*d)
	for r := range e.rows {
		copy(start[r*3*d:], e.x[r*d:(r+1)*d])
		copy(start[(r*3+1)*d:], e.v[r*d:(r+1)*d])
		copy(start[(r*3+2)*d:], e.v[r*d:(r+1)*d])
	}
	first, last := fill(e.start(), e.rows), fill(e.end(), e.rows)
	arrived, err := e.forwardPaths(ctx, start, first, last, 3*d)
	if err != nil {
		return nil, err
	}
	y, res, err := e.backwardPaths(ctx, start, arrived, first, true)
	if err != nil {
		return nil, err
	}
	rep := newReplicates(res)
	width := parts*d + 2
	for r := range e.rows {
		rep.divTerm[r], rep.gradTerm[r] = y[r*width+parts*d], y[r*width+parts*d+1]
	}
	return rep, nil
}

func (e *estimator) times(ctx context.Context) (*replicates, error) {
	d := e.d
	at := make([]float64, e.rows)
	for r := range at {
		f := (float64(r%e.k) + e.random[r]) / float64(e.k)
		at[r] = e.start() + f*(e.end()-e.start())
	}
	// First x to the time that was drawn, then x and w, with w = v at that time, to Tmax, then everything back to that time.
	set := forward(e.o.settings())
	set.Skip = e.skip
	xs, met, err := e.pathsTo(ctx, e.x, at, set)
	if err != nil {
		return nil, err
	}
	start := make([]float64, e.rows*2*d)
	for r := range e.rows {
		copy(start[r*2*d:], xs[r*d:(r+1)*d])
		copy(start[(r*2+1)*d:], e.v[r*d:(r+1)*d])
	}
	arrived, err := e.forwardPaths(ctx, start, at, fill(e.end(), e.rows), 2*d)
	if err != nil {
		return nil, err
	}
	for r := range arrived {
		arrived[r].Evals += met[r].Evals
		if met[r].Status != OK {
			arrived[r].Status = met[r].Status
		}
	}
	y, res, err := e.backwardPaths(ctx, start, arrived, at, false)
	if err != nil {
		return nil, err
	}
	rep := newReplicates(res)
	width := partZ * d
	x, w := make([]float64, e.rows*d), make([]float64, e.rows*d)
	s, sw := make([]float64, e.rows*d), make([]float64, e.rows*d)
	for r := range e.rows {
		copy(x[r*d:(r+1)*d], y[r*width:])
		copy(w[r*d:(r+1)*d], y[r*width+partW*d:])
	}
	var c coefficients
	e.coefficients(&c, at)
	if err := e.model.ScoreJVP(ctx, s, sw, x, w, 1, c.t); err != nil {
		return nil, err
	}
	if e.blocks == nil {
		rep.trust = make([]float64, e.rows)
	}
	span := e.start() - e.end()
	for r := range e.rows {
		row := func(part int) []float64 { return y[r*width+part*d : r*width+(part+1)*d] }
		wr := w[r*d : (r+1)*d]
		div, grad := e.integrand(c.half[r], x[r*d:(r+1)*d], wr, wr, s[r*d:(r+1)*d], sw[r*d:(r+1)*d], row(partP), row(partU1), row(partU2))
		rep.divTerm[r], rep.gradTerm[r] = span*div, span*grad
		if e.blocks == nil {
			su := (dot(s[r*d:(r+1)*d], row(partU1)) + dot(s[r*d:(r+1)*d], row(partU2))) / 2
			rep.trust[r] = trustOf(dot(row(partU1), row(partU2))/su, e.s.Lambda(c.t[r])-e.s.Lambda(e.s.Tmax()))
		}
	}
	return rep, nil
}
