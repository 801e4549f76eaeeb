package dynamics

import (
	"fmt"
	"math"
	"math/cmplx"

	"gonum.org/v1/gonum/mat"
)

// finish takes the fit to the data's units and computes its modes with their intervals.
func (f *LikelihoodFit) finish() error {
	q, u := f.q, f.u
	f.Span = u.data.Span()
	m := q.space(f.theta)
	if err := f.spectrum(m, u.time); err != nil {
		return err
	}
	// y = sd (C z + offset + v) + mean, time in units: dz/dt = A/unit z, noise Q/unit.
	m.System.A.Scale(1/u.time, m.System.A)
	m.System.Q.Scale(1/u.time, m.System.Q)
	p := q.p
	offset := make([]float64, p)
	f.Noise = make([]float64, p)
	for i := range p {
		for j := range q.d {
			m.C.Set(i, j, u.sd[i]*m.C.At(i, j))
		}
		offset[i] = u.mean[i]
		if m.Offset != nil {
			offset[i] += u.sd[i] * m.Offset[i]
		}
		f.Noise[i] = u.sd[i] * math.Sqrt(m.R.At(i, i))
		m.R.Set(i, i, f.Noise[i]*f.Noise[i])
	}
	m.Offset = offset
	m.System.series = nil
	f.Model = m
	return f.setStart(u)
}

// setStart sets the distribution of the first state. It is the stationary one if the records may have begun in it, else what the
// smoother finds at their beginnings.
func (f *LikelihoodFit) setStart(u *units) error {
	m := f.Model
	d := f.q.d
	slowest := math.Inf(-1)
	for _, mode := range f.Modes {
		slowest = math.Max(slowest, real(mode.Lambda))
	}
	if slowest < 0 && -10/slowest < 1e6*f.Span {
		if far := m.System.Step(-40 / slowest); far.Finite() && mat.Norm(far.F, 2) < 1e-6 {
			var y mat.Dense
			y.Product(m.C, far.P, m.C.T())
			plausible := true
			for i, sd := range u.sd {
				signal := math.Max(sd*sd-m.R.At(i, i), 0)
				plausible = plausible && y.At(i, i) < 10*signal && y.At(i, i) > 0.1*signal
			}
			if plausible {
				m.P0 = far.P
				return nil
			}
		}
	}
	// Over all times if nothing grows or decays much meanwhile: a record may begin at any phase. Else at the beginnings.
	steady := true
	for _, mode := range f.Modes {
		steady = steady && math.Abs(real(mode.Lambda))*f.Span < 3
	}
	mean, second := make([]float64, d), mat.NewDense(d, d, nil)
	n := 0.0
	for k := range u.data.Records {
		r := u.data.Records[k]
		k := min(r.Len(), 2000) // later times add little
		s, err := m.Smooth(&Record{Times: r.Times[:k], X: r.X[:k*u.data.P]})
		if err != nil {
			return err
		}
		if !steady {
			k = 1
		}
		for t := range k {
			z := s.Mean[t*d : (t+1)*d]
			n++
			for i := range d {
				mean[i] += z[i]
				for j := range d {
					second.Set(i, j, second.At(i, j)+s.Cov[t].At(i, j)+z[i]*z[j])
				}
			}
		}
	}
	second.Scale(1/n, second)
	for i := range mean {
		mean[i] /= n
	}
	for i := range d {
		for j := range d {
			m.P0.Set(i, j, (second.At(i, j)+second.At(j, i))/2-mean[i]*mean[j])
		}
	}
	l := root(m.P0) // without what rounding made negative
	m.P0.Mul(l, l.T())
	m.M0 = mean
	return nil
}

// spectrum computes modes per unit of the data's time, with errors by the observed information: Cov λ = J I⁻¹ Jᵀ for the
// derivatives J of λ by the parameters.
func (f *LikelihoodFit) spectrum(m *StateSpace, unit float64) error {
	modal, err := modesOf(m.System.A)
	if err != nil {
		return err
	}
	cov, flat := f.information()
	if cov == nil {
		f.Notes = append(f.Notes, "the likelihood is not defined around its maximum, so that there is no observed information: modes are given without intervals")
	}
	n := len(f.theta)
	na, _, _, _ := f.q.counts()
	for k, l := range modal.mu {
		mode := Mode{Lambda: l / complex(unit, 0), Cov: [2][2]float64{{math.NaN(), 0}, {0, math.NaN()}}}
		if cov != nil {
			re, im := mat.NewVecDense(n, nil), mat.NewVecDense(n, nil)
			for i := range na {
				d := f.derivative(modal, k, i)
				re.SetVec(i, real(d)/unit)
				im.SetVec(i, imag(d)/unit)
			}
			if known(re, flat) && known(im, flat) {
				rr, ri, ii := mat.Inner(re, cov, re), mat.Inner(re, cov, im), mat.Inner(im, cov, im)
				mode.Cov = [2][2]float64{{rr, ri}, {ri, ii}}
			}
		}
		mode.classify(f.Span)
		if f.Kind == Conservative {
			mode.Class = Neutral // by its construction
		}
		f.Modes = append(f.Modes, mode)
	}
	sortModes(f.Modes)
	for _, mode := range f.Modes {
		if cov != nil && mode.Cov[0][0] != mode.Cov[0][0] {
			f.Notes = append(f.Notes, "the data do not determine all parameters: modes that depend on them are given without intervals")
			break
		}
	}
	for i := range f.Modes {
		if tau := f.Modes[i].Tau(); tau > 0 && f.Kind != Conservative && f.Modes[i].Class != Neutral && f.Span < 10*tau && !math.IsInf(tau, 0) {
			f.Notes = append(f.Notes, fmt.Sprintf("the record is short: it lasts %.4g, less than ten times τ = %.4g of the slowest mode; its interval is then too narrow", f.Span, tau))
			break
		}
	}
	return nil
}

// derivative is that of λ_k by parameter i: wᴴ ∂A v.
func (f *LikelihoodFit) derivative(m *modal, k, i int) complex128 {
	step := 1e-6 * math.Max(math.Abs(f.theta[i]), 0.1)
	na, _, _, _ := f.q.counts()
	at := func(s float64) *mat.Dense {
		theta := append([]float64(nil), f.theta[:na]...)
		theta[i] += s
		return f.q.matrixA(theta)
	}
	var d mat.Dense
	d.Sub(at(step), at(-step))
	s := complex(0, 0)
	for a := range f.q.d {
		for b := range f.q.d {
			s += cmplx.Conj(m.left.At(a, k)) * complex(d.At(a, b)/(2*step), 0) * m.right.At(b, k)
		}
	}
	return s
}

// information is the pseudo-inverse of the observed information, and the directions in which the likelihood is flat:
// changes of coordinates, or what the data do not determine.
func (f *LikelihoodFit) information() (cov *mat.SymDense, flat *mat.Dense) {
	h, ok := curvature(f.objective, f.theta)
	if !ok {
		return nil, nil
	}
	n := len(f.theta)
	scale := make([]float64, n) // so that the diagonal is 1
	for i := range n {
		scale[i] = 1 / math.Sqrt(math.Max(math.Abs(h.At(i, i)), 1e-6))
	}
	for i := range n {
		for j := i; j < n; j++ {
			h.SetSym(i, j, h.At(i, j)*scale[i]*scale[j])
		}
	}
	var eig mat.EigenSym
	if !eig.Factorize(h, true) {
		return nil, nil
	}
	values := eig.Values(nil)
	var v mat.Dense
	eig.VectorsTo(&v)
	cov = mat.NewSymDense(n, nil)
	var none [][]float64
	for k, l := range values {
		col := make([]float64, n)
		for i := range n {
			col[i] = v.At(i, k)
		}
		if l < 1e-6*values[n-1] {
			for i := range n {
				col[i] *= scale[i] // a direction, in parameters
			}
			none = append(none, col)
			continue
		}
		for i := range n {
			for j := i; j < n; j++ {
				cov.SetSym(i, j, cov.At(i, j)+col[i]*col[j]*scale[i]*scale[j]/l)
			}
		}
	}
	flat = mat.NewDense(n, max(len(none), 1), nil)
	for k, col := range none {
		size := 0.0
		for i := range n {
			size = math.Hypot(size, col[i])
		}
		for i := range n {
			flat.Set(i, k, col[i]/size)
		}
	}
	return cov, flat
}

// known reports whether a quantity of gradient g does not change along the flat directions.
func known(g *mat.VecDense, flat *mat.Dense) bool {
	var along mat.VecDense
	along.MulVec(flat.T(), g)
	return mat.Norm(&along, 2) <= 1e-2*mat.Norm(g, 2)
}
