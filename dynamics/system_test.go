package dynamics

import (
	"fmt"
	"math"
	"math/cmplx"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// random is a d×d matrix of normals.
func random(rng *rand.Rand, r, c int) *mat.Dense {
	m := mat.NewDense(r, c, nil)
	for i := range r {
		for j := range c {
			m.Set(i, j, rng.NormFloat64())
		}
	}
	return m
}

// covariance is a random positive definite matrix.
func covariance(rng *rand.Rand, d int) *mat.Dense {
	g := random(rng, d, d)
	m := mat.NewDense(d, d, nil)
	m.Mul(g, g.T())
	return m
}

func difference(a, b *mat.Dense) float64 {
	var m mat.Dense
	m.Sub(a, b)
	return mat.Norm(&m, math.Inf(1)) / math.Max(mat.Norm(b, math.Inf(1)), 1e-300)
}

// vanLoan is the step by one exponential of the doubled system.
func vanLoan(s *System, dt float64) *Propagator {
	d := s.Dim()
	m := mat.NewDense(2*d, 2*d, nil)
	for i := range d {
		for j := range d {
			m.Set(i, j, -s.A.At(i, j)*dt)
			m.Set(i, d+j, s.Q.At(i, j)*dt)
			m.Set(d+i, d+j, s.A.At(j, i)*dt)
		}
	}
	var e mat.Dense
	e.Exp(m)
	out := &Propagator{F: mat.NewDense(d, d, nil), P: mat.NewDense(d, d, nil)}
	out.F.Copy(e.Slice(d, 2*d, d, 2*d).T())
	out.P.Mul(out.F, e.Slice(0, d, d, 2*d))
	return out
}

func TestStepAgainstVanLoan(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, d := range []int{1, 2, 3, 8} {
		for _, dt := range []float64{1e-8, 0.01, 0.3, 1} {
			s := &System{A: random(rng, d, d), Q: covariance(rng, d)}
			got, want := s.Step(dt), vanLoan(s, dt)
			// Van Loan's form loses digits with exp(2‖A‖dt).
			tol := 1e-14 * math.Exp(2*mat.Norm(s.A, 2)*dt) * 10
			if e := difference(got.F, want.F); !(e <= tol) {
				t.Errorf("d = %d, dt = %g: F differs by %.1e", d, dt, e)
			}
			if e := difference(got.P, want.P); !(e <= tol) {
				t.Errorf("d = %d, dt = %g: P differs by %.1e", d, dt, e)
			}
		}
	}
}

// rotated builds a system with known eigenvalues: two complex pairs or reals mixed by a well-conditioned matrix, its law
// in closed form by Diagonal.
func rotated(rng *rand.Rand, lambda []complex128) (s *System, law func(dt float64) (f, p *mat.Dense)) {
	d := len(lambda)
	block := mat.NewDense(d, d, nil)
	toModes := make([]complex128, d*d) // modes = toModes · block coordinates
	for i := 0; i < d; i++ {
		block.Set(i, i, real(lambda[i]))
		toModes[i*d+i] = 1
		if imag(lambda[i]) != 0 { // with λ̄ behind it
			block.Set(i, i+1, -imag(lambda[i]))
			block.Set(i+1, i, imag(lambda[i]))
			block.Set(i+1, i+1, real(lambda[i]))
			toModes[i*d+i+1] = 1i
			toModes[(i+1)*d+i], toModes[(i+1)*d+i+1] = 1, -1i
			i++
		}
	}
	mix := random(rng, d, d)
	var qr mat.QR
	qr.Factorize(mix)
	var o mat.Dense
	qr.QTo(&o)
	q := covariance(rng, d) // in block coordinates
	turn := func(m *mat.Dense) *mat.Dense {
		var out mat.Dense
		out.Product(&o, m, o.T())
		return &out
	}
	s = &System{A: turn(block), Q: turn(q)}
	law = func(dt float64) (*mat.Dense, *mat.Dense) {
		qm := make([]complex128, d*d)
		for i := range d {
			for j := range d {
				for k := range d {
					for l := range d {
						qm[i*d+j] += toModes[i*d+k] * complex(q.At(k, l), 0) * cmplx.Conj(toModes[j*d+l])
					}
				}
			}
		}
		f, p := Diagonal(lambda, qm, dt)
		// back: block coordinate 2k is (m + m̄)/2 of its pair, 2k+1 is (m − m̄)/2i
		back := make([]complex128, d*d)
		for i := 0; i < d; i++ {
			back[i*d+i] = 1
			if imag(lambda[i]) != 0 {
				back[i*d+i], back[i*d+i+1] = 0.5, 0.5
				back[(i+1)*d+i], back[(i+1)*d+i+1] = -0.5i, 0.5i
				i++
			}
		}
		fb, pb := mat.NewDense(d, d, nil), mat.NewDense(d, d, nil)
		for i := range d {
			for j := range d {
				var a, b complex128
				for k := range d {
					a += back[i*d+k] * f[k] * toModes[k*d+j]
					for l := range d {
						b += back[i*d+k] * p[k*d+l] * cmplx.Conj(back[j*d+l])
					}
				}
				fb.Set(i, j, real(a))
				pb.Set(i, j, real(b))
			}
		}
		return turn(fb), turn(pb)
	}
	return s, law
}

// Stiff, neutral and growing modes over twelve orders of magnitude of the step, against the closed form.
func TestStepAgainstModes(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 1))
	for _, c := range []struct {
		lambda []complex128
		dt     []float64
	}{
		{[]complex128{-1, -0.5 + 2i, -0.5 - 2i}, []float64{1e-8, 1e-3, 0.1, 1, 10, 100, 1e4}},
		{[]complex128{-100, -0.01, -3 + 1i, -3 - 1i}, []float64{1e-8, 1e-3, 0.1, 1, 10, 100}},
		{[]complex128{1i, -1i, 0}, []float64{1e-8, 1e-3, 0.1, 1, 10, 100}},
		{[]complex128{0.3, 0.1 + 5i, 0.1 - 5i, -2}, []float64{1e-8, 1e-3, 0.1, 1, 10, 100}},
	} {
		s, law := rotated(rng, c.lambda)
		size := 0.0
		for _, l := range c.lambda {
			size = math.Max(size, cmplx.Abs(l))
		}
		for _, dt := range c.dt {
			got := s.Step(dt)
			f, p := law(dt)
			// 2ᵏ steps of rounding in the phase of what has not decayed, and some roundings in the closed form.
			tol := 1e-13 + 4e-16*size*dt
			if e := difference(got.P, p); !(e <= tol) {
				t.Errorf("λ %v, dt = %g: P differs by %.1e of %.1e", c.lambda, dt, e, tol)
			}
			if mat.Norm(f, 2) < 1e-30 { // what has decayed to rounding of zero has no relative error
				continue
			}
			if e := difference(got.F, f); !(e <= tol*10) {
				t.Errorf("λ %v, dt = %g: F differs by %.1e", c.lambda, dt, e)
			}
		}
	}
}

// Where other ways to the same numbers fail: one exponential of the doubled system loses digits with e^{−AΔ}, and Σ − FΣFᵀ with the
// smallness of the step. The step keeps 13 digits at both ends.
func TestStepWhereOthersFail(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 1))
	s, law := rotated(rng, []complex128{-1, -0.5 + 0.4i, -0.5 - 0.4i})
	for _, dt := range []float64{1e-8, 10, 100, 1e4} {
		_, p := law(dt)
		if e := difference(s.Step(dt).P, p); !(e <= 1e-13) { // roundings, of sums of a few products a doubling
			t.Errorf("dt = %g: P differs by %.1e", dt, e)
		}
	}
	_, p := law(100)
	if e := difference(vanLoan(s, 100).P, p); e < 1 { // NaN is as good an answer
		t.Errorf("dt = 100: one exponential of the doubled system is off by %.1e only", e)
	}
	_, sigma := law(1e3) // stationary
	step := s.Step(1e-8)
	var loss mat.Dense
	loss.Product(step.F, sigma, step.F.T())
	loss.Sub(sigma, &loss)
	_, p = law(1e-8)
	if e := difference(&loss, p); e < 1e-10 || e > 1e-6 {
		t.Errorf("Σ − FΣFᵀ over a step of 10⁻⁸ is off by %.1e, want about 10⁻⁸", e)
	}
}

// The drift: the mean of a stable system goes to −A⁻¹c, and two steps are one of both lengths.
func TestDriftAndComposition(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	s, _ := rotated(rng, []complex128{-1, -0.5 + 2i, -0.5 - 2i})
	s.Drift = []float64{1, -2, 0.5}
	var rest mat.VecDense
	if err := rest.SolveVec(s.A, mat.NewVecDense(3, s.Drift)); err != nil {
		t.Fatal(err)
	}
	far := s.Step(1000)
	for i, b := range far.B {
		if math.Abs(b+rest.AtVec(i)) > 1e-14 { // roundings, and e^{−λ·1000} that is left of the start
			t.Errorf("mean %d goes to %g, not %g", i, b, -rest.AtVec(i))
		}
	}
	both, one := s.Step(0.3).Then(s.Step(1.1)), s.Step(1.4)
	const rounding = 1e-14 // of products of two steps' matrices, of numbers of size one
	if e := difference(both.F, one.F); e > rounding {
		t.Errorf("F of two steps differs by %.1e", e)
	}
	if e := difference(both.P, one.P); e > rounding {
		t.Errorf("P of two steps differs by %.1e", e)
	}
	for i := range both.B {
		if math.Abs(both.B[i]-one.B[i]) > rounding {
			t.Errorf("b of two steps: %g, of one %g", both.B[i], one.B[i])
		}
	}
}

// Growth beyond float64 is reported, not hidden.
func TestOverflow(t *testing.T) {
	s := &System{A: mat.NewDense(1, 1, []float64{1}), Q: mat.NewDense(1, 1, []float64{1})}
	if !s.Step(300).Finite() || s.Step(1000).Finite() {
		t.Error("a growth of e³⁰⁰ is finite, one of e¹⁰⁰⁰ is not")
	}
}

func TestSystemErrors(t *testing.T) {
	one := mat.NewDense(1, 1, []float64{1})
	for want, s := range map[string]*System{
		"A is 1×2":                      {A: mat.NewDense(1, 2, nil), Q: one},
		"Q is missing":                  {A: one},
		"element 0 of A is NaN":         {A: mat.NewDense(1, 1, []float64{math.NaN()}), Q: one},
		"Q is not positive":             {A: identity(2), Q: mat.NewDense(2, 2, []float64{1, 2, 2, 1})},
		"Q is not symmetric":            {A: identity(2), Q: mat.NewDense(2, 2, []float64{1, 0.5, 0, 1})},
		"Q is 1×1; want 2×2":            {A: identity(2), Q: one},
		"the drift has 2 numbers, A is": {A: one, Q: one, Drift: []float64{1, 2}},
	} {
		if err := s.Validate(); err == nil || !contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func BenchmarkStep(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, d := range []int{2, 8, 32} {
		s := &System{A: random(rng, d, d), Q: covariance(rng, d)}
		b.Run(fmt.Sprintf("d=%d", d), func(b *testing.B) {
			for b.Loop() {
				s.Step(1)
			}
		})
	}
}
