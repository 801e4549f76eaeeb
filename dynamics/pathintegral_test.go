package dynamics

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// The path integral behind the propagator: the Onsager–Machlup action
//
//	S = ½∫(ż − Az − c)ᵀ Q⁻¹ (ż − Az − c) dt
//
// cut into N slices, its Gaussian integral over z_1 … z_{N−1} done by block elimination, against System.Step.

// product is that of matrices and a vector at their end.
func product(ms ...mat.Matrix) *mat.VecDense {
	v := ms[len(ms)-1]
	for i := len(ms) - 2; i >= 0; i-- {
		var o mat.Dense
		o.Mul(ms[i], v)
		v = &o
	}
	return mat.NewVecDense(len(mat.Col(nil, 0, v)), mat.Col(nil, 0, v))
}

// backSubstitution is the path z_0 … z_n of schur_k z_k = rhs_k − off z_{k+1}, given its ends.
func backSubstitution(schurs []*mat.Dense, rhss []*mat.VecDense, off *mat.Dense, z0, zT *mat.VecDense) []*mat.VecDense {
	n := len(schurs) + 1
	path := make([]*mat.VecDense, n+1)
	path[0], path[n] = z0, zT
	for k := n - 1; k >= 1; k-- {
		rhs := mat.VecDenseCopyOf(rhss[k-1])
		if k < n-1 {
			rhs.SubVec(rhs, product(off, path[k+1]))
		}
		path[k] = &mat.VecDense{}
		if err := path[k].SolveVec(schurs[k-1], rhs); err != nil {
			panic(err)
		}
	}
	return path
}

// sliced is log K(z_T | z_0) by N slices, with the middle point of the path of least action (N even). The slice's residual
// is r = M₁ z_{k+1} − M₀ z_k − εc: Itô's M₁ = 1, M₀ = 1 + εA, or the midpoint's M₁ = 1 − εA/2, M₀ = 1 + εA/2.
func sliced(s *System, z0, zT *mat.VecDense, total float64, n int, midpoint bool) (logK float64, middle []float64) {
	d := s.Dim()
	eps := total / float64(n)
	m1, m0 := identity(d), identity(d)
	var a mat.Dense
	a.Scale(eps, s.A)
	if midpoint {
		a.Scale(0.5, &a)
		m1.Sub(m1, &a)
	}
	m0.Add(m0, &a)
	var w mat.Dense // (εQ)⁻¹
	if err := w.Inverse(s.Q); err != nil {
		panic(err)
	}
	w.Scale(1/eps, &w)
	var diag, off, t mat.Dense
	diag.Product(m1.T(), &w, m1)
	t.Product(m0.T(), &w, m0)
	diag.Add(&diag, &t)
	off.Product(m0.T(), &w, m1)
	off.Scale(-1, &off)
	c := mat.NewVecDense(d, scaled(s.Drift, eps))

	// Forward elimination over z_1 … z_{n−1}: schur_k z_k = rhs_k − off z_{k+1}.
	logDet := 0.0
	var schurs []*mat.Dense
	var rhss []*mat.VecDense
	var prev *mat.Dense
	var prevRHS *mat.VecDense
	for k := 1; k < n; k++ {
		schur := mat.DenseCopyOf(&diag)
		rhs := product(m1.T(), &w, c) // of the slice before
		rhs.SubVec(rhs, product(m0.T(), &w, c))
		if k == 1 {
			rhs.AddVec(rhs, product(m1.T(), &w, m0, z0))
		} else {
			var x mat.Dense
			if err := x.Solve(prev, &off); err != nil {
				panic(err)
			}
			var y mat.Dense
			y.Mul(off.T(), &x)
			schur.Sub(schur, &y)
			var v mat.VecDense
			if err := v.SolveVec(prev, prevRHS); err != nil {
				panic(err)
			}
			rhs.SubVec(rhs, product(off.T(), &v))
		}
		if k == n-1 {
			rhs.SubVec(rhs, product(&off, zT))
		}
		ld, _ := mat.LogDet(schur)
		logDet += ld
		schurs, rhss = append(schurs, schur), append(rhss, rhs)
		prev, prevRHS = schur, rhs
	}
	path := backSubstitution(schurs, rhss, &off, z0, zT)
	action := 0.0
	for k := range n {
		r := product(m1, path[k+1])
		r.SubVec(r, product(m0, path[k]))
		r.SubVec(r, c)
		action += 0.5 * mat.Inner(r, &w, r)
	}
	ldq, _ := mat.LogDet(s.Q)
	logK = -0.5*float64(d)*math.Log(2*math.Pi) - 0.5*float64(n)*(ldq+float64(d)*math.Log(eps)) - 0.5*logDet - action
	// The slice's density is of M₁ z_{k+1}: |det M₁|ᴺ, which is 1 by Itô and goes to exp(−½T tr A) at the midpoint.
	ldm, _ := mat.LogDet(m1)
	logK += float64(n) * ldm
	return logK, path[n/2].RawVector().Data
}

// logKernel is log N(zT; F z0 + b, P).
func logKernel(p *Propagator, z0, zT *mat.VecDense) float64 {
	d := len(p.B)
	r := mat.NewVecDense(d, nil)
	r.MulVec(p.F, z0)
	r.AddVec(r, mat.NewVecDense(d, p.B))
	r.SubVec(zT, r)
	var x mat.VecDense
	if err := x.SolveVec(p.P, r); err != nil {
		panic(err)
	}
	ld, _ := mat.LogDet(p.P)
	return -0.5*(float64(d)*math.Log(2*math.Pi)+ld) - 0.5*mat.Dot(r, &x)
}

// pathSystem is a system of three dimensions with everything in it.
func pathSystem() (s *System, z0, zT *mat.VecDense) {
	rng := rand.New(rand.NewPCG(5, 1))
	s, _ = rotated(rng, []complex128{-0.7, -0.3 + 1.5i, -0.3 - 1.5i})
	s.Drift = []float64{0.3, -0.2, 0.5}
	return s, mat.NewVecDense(3, []float64{1, -0.5, 0.2}), mat.NewVecDense(3, []float64{0.1, 0.4, -0.6})
}

// Itô's slicing is the Euler chain exactly.
func TestSlicingIsEulerChain(t *testing.T) {
	s, z0, zT := pathSystem()
	const n, total = 40, 1.3
	eps := total / n
	step := &Propagator{F: identity(3), B: scaled(s.Drift, eps), P: mat.NewDense(3, 3, scaled(s.Q.RawMatrix().Data, eps))}
	var a mat.Dense
	a.Scale(eps, s.A)
	step.F.Add(step.F, &a)
	chain := step
	for range n - 1 {
		chain = chain.Then(step)
	}
	got, _ := sliced(s, z0, zT, total, n, false)
	if want := logKernel(chain, z0, zT); math.Abs(got-want) > 1e-12*math.Max(1, math.Abs(want)) { // a rounding or two a slice
		t.Errorf("log K of %d slices %.15g, of the Euler chain %.15g", n, got, want)
	}
}

// log K of the slices goes to that of the step: with order 1 in 1/N by Itô, 2 by the midpoint, and far further by
// Richardson's extrapolation.
func TestSlicingConverges(t *testing.T) {
	s, z0, zT := pathSystem()
	const total = 1.3
	want := logKernel(s.Step(total), z0, zT)
	for _, c := range []struct {
		midpoint      bool
		slices        int
		order, within float64 // of the order, of what extrapolation leaves
		remainder     float64
	}{{false, 800, 1, 0.003, 2e-5}, {true, 400, 2, 0.001, 1e-10}} { // measured: orders 0.998 and 2.000, what is left 9·10⁻⁶ and 3·10⁻¹¹
		coarse, _ := sliced(s, z0, zT, total, c.slices, c.midpoint)
		fine, _ := sliced(s, z0, zT, total, 2*c.slices, c.midpoint)
		order := math.Log2((coarse - want) / (fine - want))
		f := math.Pow(2, c.order)
		left := (f*fine-coarse)/(f-1) - want
		t.Logf("midpoint %t: order %.4f, extrapolated error %.1e", c.midpoint, order, left)
		if math.Abs(order-c.order) > c.within || math.Abs(left) > c.remainder {
			t.Errorf("midpoint %t: order %.4f, want %g; extrapolated error %.1e, want %.0e", c.midpoint, order, c.order, left, c.remainder)
		}
	}
}

// Gel'fand–Yaglom: J = P F⁻ᵀ is the upper right block of the Hamiltonian flow of the action, and
// K = (2π)^(−d/2) |J|^(−½) exp(−½T tr A) exp(−S_cl).
func TestGelfandYaglom(t *testing.T) {
	s, z0, zT := pathSystem()
	const total = 1.3
	d := s.Dim()
	p := s.Step(total)
	h := mat.NewDense(2*d, 2*d, nil)
	for i := range d {
		for j := range d {
			h.Set(i, j, s.A.At(i, j)*total)
			h.Set(i, d+j, s.Q.At(i, j)*total)
			h.Set(d+i, d+j, -s.A.At(j, i)*total)
		}
	}
	var flow, j, back mat.Dense
	flow.Exp(h)
	j.CloneFrom(flow.Slice(0, d, d, 2*d))
	back.Mul(&j, p.F.T())
	if e := difference(&back, p.P); e > 1e-14 { // roundings of numbers below one
		t.Errorf("J Fᵀ differs from P by %.1e", e)
	}
	r := mat.NewVecDense(d, nil)
	r.MulVec(p.F, z0)
	r.AddVec(r, mat.NewVecDense(d, p.B))
	r.SubVec(zT, r)
	var x mat.VecDense
	if err := x.SolveVec(p.P, r); err != nil {
		t.Fatal(err)
	}
	ld, _ := mat.LogDet(&j)
	logK := -0.5*float64(d)*math.Log(2*math.Pi) - 0.5*ld - 0.5*total*mat.Trace(s.A) - 0.5*mat.Dot(r, &x)
	if want := logKernel(p, z0, zT); math.Abs(logK-want) > 1e-13 { // roundings of determinants and of a sum of numbers up to ten
		t.Errorf("log K by J %.15g, by the step %.15g", logK, want)
	}
}

// The classical path F_t z₀ + b_t + P_t F_{T−t}ᵀ P_T⁻¹ r is the limit of the paths of least action.
func TestClassicalPath(t *testing.T) {
	s, z0, zT := pathSystem()
	const total = 1.3
	half, whole := s.Step(total/2), s.Step(total)
	r := mat.NewVecDense(3, nil)
	r.MulVec(whole.F, z0)
	r.AddVec(r, mat.NewVecDense(3, whole.B))
	r.SubVec(zT, r)
	var x, y, z mat.VecDense
	if err := x.SolveVec(whole.P, r); err != nil {
		t.Fatal(err)
	}
	y.MulVec(half.F.T(), &x)
	z.MulVec(half.P, &y)
	want := mat.NewVecDense(3, nil)
	want.MulVec(half.F, z0)
	want.AddVec(want, mat.NewVecDense(3, half.B))
	want.AddVec(want, &z)
	_, coarse := sliced(s, z0, zT, total, 200, true)
	_, fine := sliced(s, z0, zT, total, 400, true)
	for i := range 3 {
		if got := (4*fine[i] - coarse[i]) / 3; math.Abs(got-want.AtVec(i)) > 1e-9 { // the error is of second order in T/N, and extrapolated of fourth: (1/200)⁴
			t.Errorf("middle of the path: coordinate %d is %.12g, classical %.12g", i, got, want.AtVec(i))
		}
	}
}

// The bridge's covariance at half time, P_t − P_t F_{T−t}ᵀ P_T⁻¹ F_{T−t} P_t, is the limit of the inverse Hessian's block there.
func TestBridgeCovariance(t *testing.T) {
	s, _, _ := pathSystem()
	const total = 1.3
	half, whole := s.Step(total/2), s.Step(total)
	var solved, less, want mat.Dense
	var right mat.Dense
	right.Mul(half.F, half.P)
	if err := solved.Solve(whole.P, &right); err != nil {
		t.Fatal(err)
	}
	less.Mul(right.T(), &solved)
	want.Sub(half.P, &less)
	coarse, fine := middleCovariance(s, total, 200), middleCovariance(s, total, 400)
	var got mat.Dense
	got.Scale(4, fine)
	got.Sub(&got, coarse)
	got.Scale(1.0/3, &got)
	if e := difference(&got, &want); e > 1e-8 { // of second order in 1/N, and extrapolated of fourth
		t.Errorf("the bridge's covariance differs by %.1e", e)
	}
}

// middleCovariance is the covariance of the middle of n slices by the midpoint, with both ends fixed: the inverse of the middle block of the
// Hessian less what elimination from both ends takes.
func middleCovariance(s *System, total float64, n int) *mat.Dense {
	d := s.Dim()
	eps := total / float64(n)
	m1, m0 := identity(d), identity(d)
	var a, w, diag, off, t mat.Dense
	a.Scale(eps/2, s.A)
	m1.Sub(m1, &a)
	m0.Add(m0, &a)
	if err := w.Inverse(s.Q); err != nil {
		panic(err)
	}
	w.Scale(1/eps, &w)
	diag.Product(m1.T(), &w, m1)
	t.Product(m0.T(), &w, m0)
	diag.Add(&diag, &t)
	off.Product(m0.T(), &w, m1)
	off.Scale(-1, &off) // of z_k with z_{k+1}
	eliminate := func(off *mat.Dense) *mat.Dense {
		schur := mat.DenseCopyOf(&diag)
		for range n/2 - 2 {
			var x, y mat.Dense
			if err := x.Solve(schur, off); err != nil {
				panic(err)
			}
			y.Mul(off.T(), &x)
			schur.Sub(&diag, &y)
		}
		var x, y mat.Dense
		if err := x.Solve(schur, off); err != nil {
			panic(err)
		}
		y.Mul(off.T(), &x)
		return &y
	}
	var hessian, cov mat.Dense
	hessian.Sub(&diag, eliminate(&off))
	hessian.Sub(&hessian, eliminate(mat.DenseCopyOf(off.T())))
	if err := cov.Inverse(&hessian); err != nil {
		panic(err)
	}
	return &cov
}
