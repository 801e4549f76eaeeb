package dynamics

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// space is a state space of d states and p outputs with the given modes.
func space(rng *rand.Rand, lambda []complex128, p int) *StateSpace {
	s, _ := rotated(rng, lambda)
	d := len(lambda)
	s.Drift = make([]float64, d)
	m0 := make([]float64, d)
	offset := make([]float64, p)
	for i := range d {
		s.Drift[i], m0[i] = rng.NormFloat64(), rng.NormFloat64()
	}
	for i := range offset {
		offset[i] = rng.NormFloat64()
	}
	return &StateSpace{System: s, C: random(rng, p, d), Offset: offset, R: covariance(rng, p), M0: m0, P0: covariance(rng, d)}
}

// dense is the joint law of all states of a record, from which everything follows without a filter.
func dense(m *StateSpace, r *Record) (mean []float64, cov *mat.Dense) {
	d, n := m.Dim(), r.Len()
	mean, cov = make([]float64, n*d), mat.NewDense(n*d, n*d, nil)
	step := &Propagator{F: identity(d), B: make([]float64, d), P: mat.NewDense(d, d, nil)}
	at := func(i, j int) *mat.Dense { return cov.Slice(i*d, (i+1)*d, j*d, (j+1)*d).(*mat.Dense) }
	copy(mean, m.M0)
	at(0, 0).Copy(m.P0)
	for i := 1; i < n; i++ {
		step = m.System.Step(r.Times[i] - r.Times[i-1])
		v := mat.NewVecDense(d, mean[i*d:(i+1)*d])
		v.MulVec(step.F, mat.NewVecDense(d, mean[(i-1)*d:i*d]))
		v.AddVec(v, mat.NewVecDense(d, step.B))
		for j := range i {
			at(i, j).Mul(step.F, at(i-1, j))
			at(j, i).Copy(at(i, j).T())
		}
		var a mat.Dense
		a.Product(step.F, at(i-1, i-1), step.F.T())
		at(i, i).Add(&a, step.P)
	}
	return mean, cov
}

// observed is the joint law of the values that were observed, and the values.
func observed(m *StateSpace, r *Record) (y, mean []float64, cov *mat.SymDense, cross *mat.Dense) {
	zm, zc := dense(m, r)
	d, p := m.Dim(), m.Outputs()
	type spot struct{ i, j int }
	var seen []spot
	for k, v := range r.X {
		if v == v {
			seen = append(seen, spot{k / p, k % p})
			y = append(y, v)
		}
	}
	pick := mat.NewDense(len(seen), len(zm), nil)
	for k, s := range seen {
		for l := range d {
			pick.Set(k, s.i*d+l, m.C.At(s.j, l))
		}
	}
	mean = make([]float64, len(seen))
	mat.NewVecDense(len(seen), mean).MulVec(pick, mat.NewVecDense(len(zm), zm))
	cross = &mat.Dense{}
	cross.Mul(zc, pick.T())
	var c mat.Dense
	c.Mul(pick, cross)
	cov = mat.NewSymDense(len(seen), nil)
	for a, s := range seen {
		mean[a] += m.Offset[s.j]
		for b := a; b < len(seen); b++ {
			v := (c.At(a, b) + c.At(b, a)) / 2
			if s.i == seen[b].i {
				v += m.R.At(s.j, seen[b].j)
			}
			cov.SetSym(a, b, v)
		}
	}
	return y, mean, cov, cross
}

// irregular are n times with steps between 0.01 and some.
func irregular(rng *rand.Rand, n int) []float64 {
	t := make([]float64, n)
	for i := 1; i < n; i++ {
		t[i] = t[i-1] + 0.01 + rng.ExpFloat64()*0.3
	}
	return t
}

// The filter's log density and the smoother's moments are those of the dense joint Gaussian; with gaps, irregular times,
// drift and offset, for decaying, neutral and growing modes.
func TestFilterAgainstDense(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 1))
	for _, c := range []struct {
		lambda []complex128
		p      int
	}{
		{[]complex128{-1}, 1},
		{[]complex128{-0.3 + 2i, -0.3 - 2i}, 1},
		{[]complex128{-0.2, 2i, -2i}, 2},
		{[]complex128{0.2, -0.5, -1 + 3i, -1 - 3i}, 3},
	} {
		m := space(rng, c.lambda, c.p)
		if err := m.Validate(); err != nil {
			t.Fatal(err)
		}
		r, err := m.Generate(irregular(rng, 40), 3, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range []int{3, 4, 11, 12, 13, 30} { // gaps, some whole rows
			r.X[k] = math.NaN()
		}
		l, err := m.LogLik(&Data{P: c.p, Records: []Record{*r}})
		if err != nil {
			t.Fatal(err)
		}
		y, mean, cov, cross := observed(m, r)
		var chol mat.Cholesky
		if !chol.Factorize(cov) {
			t.Fatal("the joint covariance is not positive definite")
		}
		dev := mat.NewVecDense(len(y), nil)
		for i := range y {
			dev.SetVec(i, y[i]-mean[i])
		}
		var x mat.VecDense
		if err := chol.SolveVecTo(&x, dev); err != nil {
			t.Fatal(err)
		}
		want := -0.5 * (float64(len(y))*math.Log(2*math.Pi) + chol.LogDet() + mat.Dot(dev, &x))
		// the condition number of the dense matrix times rounding
		if tol := 1e-13 * math.Abs(want) * math.Max(1, chol.Cond()*1e-4); !(math.Abs(l.LogLik-want) <= tol) || l.Values != len(y) {
			t.Errorf("λ %v: log p of %d values %.15g, dense %.15g of %d", c.lambda, l.Values, l.LogLik, want, len(y))
		}
		smooth, err := m.Smooth(r)
		if err != nil {
			t.Fatal(err)
		}
		zm, zc := dense(m, r)
		var shift mat.VecDense
		shift.MulVec(cross, &x)
		var kt, kc mat.Dense
		if err := chol.SolveTo(&kt, cross.T()); err != nil {
			t.Fatal(err)
		}
		kc.Mul(cross, &kt)
		d := len(c.lambda)
		for i := range zm {
			sd := math.Sqrt(zc.At(i, i) - kc.At(i, i))
			if e := math.Abs(smooth.Mean[i] - zm[i] - shift.AtVec(i)); !(e <= 1e-11*math.Max(1, sd)) { // rounding, times the condition of the joint covariance, some 10³
				t.Errorf("λ %v: smoothed mean of state %d off by %.1e", c.lambda, i, e)
			}
			if e := math.Abs(smooth.Cov[i/d].At(i%d, i%d) - sd*sd); !(e <= 1e-11*math.Max(sd*sd, 1)) { // the same
				t.Errorf("λ %v: smoothed variance of state %d is %g, dense %g", c.lambda, i, smooth.Cov[i/d].At(i%d, i%d), sd*sd)
			}
		}
	}
}

// On equal steps the filter becomes steady; its log density is that of one which never does.
func TestSteady(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 1))
	for _, lambda := range [][]complex128{{-0.3 + 2i, -0.3 - 2i, -0.02}, {1i, -1i}, {0.01, -1}} {
		m := space(rng, lambda, 2)
		times := make([]float64, 600)
		for i := range times {
			times[i] = 0.1 * float64(i) // whose differences are not all the same float64
		}
		r, err := m.Generate(times, 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		r.X[90] = math.NaN()
		r.X[100], r.X[101] = math.NaN(), math.NaN()
		fast, slow := newFilter(m), newFilter(m)
		if err := fast.run(r, nil); err != nil {
			t.Fatal(err)
		}
		if !fast.steady {
			t.Errorf("λ %v: not steady after %d steps", lambda, len(times))
		}
		if err := slow.run(r, func(int, moment) {}); err != nil {
			t.Fatal(err)
		}
		if e := math.Abs(fast.total.LogLik - slow.total.LogLik); !(e <= 1e-13*math.Abs(slow.total.LogLik)) { // rounding of sums over all observations
			t.Errorf("λ %v: log p %.15g, step by step %.15g", lambda, fast.total.LogLik, slow.total.LogLik)
		}
		if len(fast.steps.known) > 3 {
			t.Errorf("λ %v: %d steps of times 0.1 k", lambda, len(fast.steps.known))
		}
	}
}

// A chain of steps is the system at those times; it takes gaps of whole steps and refuses others.
func TestChain(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 1))
	m := space(rng, []complex128{-0.3 + 2i, -0.3 - 2i, -0.1}, 1)
	r, err := m.Generate([]float64{0, 0.5, 1, 2.5, 3, 7}, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	data := &Data{P: 1, Records: []Record{*r}}
	want, err := m.LogLik(data)
	if err != nil {
		t.Fatal(err)
	}
	chain := *m
	chain.System, chain.Chain, chain.Dt = nil, m.System.Step(0.5), 0.5
	if err := chain.Validate(); err != nil {
		t.Fatal(err)
	}
	if got, err := chain.LogLik(data); err != nil || math.Abs(got.LogLik-want.LogLik) > 1e-13*math.Abs(want.LogLik) { // rounding of sums over all observations
		t.Errorf("log p of the chain %v (%v), of the system %v", got, err, want)
	}
	data.Records[0].Times[2] = 1.1
	if _, err := chain.LogLik(data); err == nil || !contains(err.Error(), "two times are 0.6") {
		t.Errorf("a step of 0.6: error %v", err)
	}
}

func TestStateSpaceErrors(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 1))
	good := func() *StateSpace { return space(rng, []complex128{-0.3, -0.5}, 1) }
	for want, change := range map[string]func(m *StateSpace){
		"R is not positive":    func(m *StateSpace) { m.R.Set(0, 0, -1) },
		"P0 is not positive":   func(m *StateSpace) { m.P0.Scale(-1, m.P0) },
		"no output sees":       func(m *StateSpace) { m.C.Zero() },
		"C is 1×3":             func(m *StateSpace) { m.C = mat.NewDense(1, 3, nil) },
		"m0 has 1":             func(m *StateSpace) { m.M0 = m.M0[:1]; m.P0 = m.P0.Slice(0, 1, 0, 1).(*mat.Dense) },
		"element 0 of C is":    func(m *StateSpace) { m.C.Set(0, 0, math.Inf(1)) },
		"neither A nor a step": func(m *StateSpace) { m.System = nil },
		"element 1 of m0 is N": func(m *StateSpace) { m.M0[1] = math.NaN() },
	} {
		m := good()
		change(m)
		if err := m.Validate(); err == nil || !contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	// A mode that C does not see, hidden by a rotation.
	s, _ := rotated(rng, []complex128{-1, -2})
	var eig mat.Eigen
	eig.Factorize(s.A, mat.EigenRight)
	var v mat.CDense
	eig.VectorsTo(&v)
	m := &StateSpace{System: s, C: mat.NewDense(1, 2, []float64{real(v.At(1, 0)), -real(v.At(0, 0))}), R: identity(1), M0: make([]float64, 2), P0: identity(2)}
	if err := m.Validate(); err == nil || !contains(err.Error(), "unobservable") {
		t.Errorf("a hidden mode: error %v", err)
	}
	// Two outputs that are one, without noise.
	m = &StateSpace{System: s, C: mat.NewDense(2, 2, []float64{1, 2, 1, 2}), R: mat.NewDense(2, 2, nil), M0: make([]float64, 2), P0: identity(2)}
	if _, err := m.LogLik(&Data{P: 2, Records: []Record{{Times: []float64{0}, X: []float64{1, 1}}}}); err == nil || !contains(err.Error(), "singular") {
		t.Errorf("twice the same output: error %v", err)
	}
}

func BenchmarkLogLik(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	m := space(rng, []complex128{-0.1, -0.2, -0.3 + 1i, -0.3 - 1i, -0.5 + 2i, -0.5 - 2i, -1 + 3i, -1 - 3i}, 2)
	const n = 100_000
	equal := make([]float64, n)
	for i := range equal {
		equal[i] = 0.1 * float64(i)
	}
	for name, times := range map[string][]float64{"equal": equal, "irregular": irregular(rng, n)} {
		r, err := m.Generate(times, 1, 0)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("d=8/n=%d/%s", n, name), func(b *testing.B) {
			for b.Loop() {
				if _, err := m.LogLik(&Data{P: 2, Records: []Record{*r}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
