package dynamics

import (
	"context"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"gonum.org/v1/gonum/mat"

	"hbar/data/npz"
)

// A fitted chain's log density on data of its system is near the system's own, which is the largest on average; as a file
// it is the same model.
func TestModels(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 1))
	s, _ := rotated(rng, []complex128{-0.2 + 2i, -0.2 - 2i, -0.5})
	data := sequence(t, s, 0.2, 3000, 1)
	truth := &StateSpace{System: s, C: identity(3), R: mat.NewDense(3, 3, nil), M0: make([]float64, 3), P0: s.Step(1e4).P}
	want, err := truth.LogLik(data)
	if err != nil {
		t.Fatal(err)
	}
	space, err := mustFit(t, data, LiftOptions{}, FitOptions{}).StateSpace()
	if err != nil {
		t.Fatal(err)
	}
	quadratic := mustFit(t, data, LiftOptions{Degree: 2}, FitOptions{OmitBranch: true}).Lifted()
	for name, m := range map[string]*Model{"linear": {Space: space}, "quadratic": {Lifted: quadratic}} {
		l, err := m.LogLik(data)
		// Fitted to these data, it gains half of a χ² with as many degrees as parameters: 18 for the chain.
		if err != nil || l.LogLik < want.LogLik-3 || l.LogLik > want.LogLik+40 || l.Observations != 3000 {
			t.Errorf("%s: log p %v (%v), of the system %v", name, l, err, want)
		}
		path := filepath.Join(t.TempDir(), "m.json")
		if err := m.Save(path); err != nil {
			t.Fatal(err)
		}
		again, err := LoadModel(path)
		if err != nil {
			t.Fatal(err)
		}
		if k, err := again.LogLik(data); err != nil || k != l {
			t.Errorf("%s from its file: %v (%v), want %v", name, k, err, l)
		}
	}
	fit, err := FitLikelihood(context.Background(), &Data{P: 3, Records: []Record{{Times: data.Records[0].Times[:300], X: data.Records[0].X[:900]}}}, LikelihoodOptions{Order: 1, NoNoise: true})
	if err != nil {
		t.Fatal(err)
	}
	l, err := fit.Model.LogLik(data)
	if err != nil || l.LogLik > want.LogLik || l.LogLik < want.LogLik-150 {
		t.Errorf("fitted to a tenth: log p of all %v (%v), of the system %v", l, err, want)
	}
}

// The density of the lifted model is that of the chain where features are linear.
func TestLiftedIsChain(t *testing.T) {
	rng := rand.New(rand.NewPCG(32, 1))
	s, _ := rotated(rng, []complex128{-0.2 + 2i, -0.2 - 2i})
	data := sequence(t, s, 0.2, 500, 1)
	data.Records[0].X[301] = math.NaN()
	for _, delays := range []int{1, 3} {
		e := mustFit(t, data, LiftOptions{Delays: delays}, FitOptions{NoBias: true})
		space, err := e.StateSpace()
		if err != nil {
			t.Fatal(err)
		}
		whole := &Data{P: 2, Records: []Record{{Times: data.Records[0].Times[:150], X: data.Records[0].X[:300]}}}
		a, err := e.Lifted().LogLik(whole)
		if err != nil {
			t.Fatal(err)
		}
		b, err := space.LogLik(whole)
		if err != nil {
			t.Fatal(err)
		}
		// The chain's first window begins at the first snapshot, whose past it integrates over; the lifted model's ends delays
		// later. Both count every snapshot.
		if a.Observations != 150 || b.Observations != 150 || math.Abs(a.LogLik-b.LogLik) > map[int]float64{1: 1e-9, 3: 8}[delays] {
			t.Errorf("%d delays: log p %v, of the chain %v", delays, a, b)
		}
	}
}

// Sequences that a model draws have the density that it says: the mean of log p is minus its entropy rate, and a seed is one
// sequence however many are drawn.
func TestGenerate(t *testing.T) {
	m := oscillator(0.2, 2, 1, 0.3)
	times := []float64{0, 0.1, 0.5, 0.6, 1.5, 1.6, 3}
	mean, second, n := 0.0, 0.0, 2000.0
	for k := range int(n) {
		r, err := m.Generate(times, 1, uint64(k))
		if err != nil {
			t.Fatal(err)
		}
		l, err := m.LogLik(&Data{P: 1, Records: []Record{*r}})
		if err != nil {
			t.Fatal(err)
		}
		mean += l.LogLik / n
		second += l.LogLik * l.LogLik / n
	}
	// E log p = −½ (n log 2πe + log det S)
	r, _ := m.Generate(times, 1, 0)
	_, _, cov, _ := observed(m, r)
	ld, _ := mat.LogDet(cov)
	want := -0.5 * (float64(len(times))*math.Log(2*math.Pi*math.E) + ld)
	if se := math.Sqrt((second - mean*mean) / n); math.Abs(mean-want) > 4*se {
		t.Errorf("mean log p of %g sequences %g ± %g; minus the entropy is %g", n, mean, se, want)
	}
}

// Growth that would overflow is clamped, and said; other growth is left.
func TestClampGrowth(t *testing.T) {
	m := &StateSpace{System: &System{A: mat.NewDense(2, 2, []float64{0.5, -2, 2, 0.5}), Q: identity(2)}, C: identity(2), R: identity(2), M0: make([]float64, 2), P0: identity(2)}
	if same, grown, err := m.ClampGrowth(100); err != nil || same != m || grown != nil {
		t.Errorf("a growth of e⁵⁰ is changed: %v, %v", grown, err)
	}
	clamped, grown, err := m.ClampGrowth(1e4)
	if err != nil || len(grown) != 2 {
		t.Fatalf("a growth of e⁵⁰⁰⁰: %v, %v", grown, err)
	}
	if a := clamped.System.A; math.Abs(a.At(0, 0)) > 1e-14 || math.Abs(a.At(0, 1)+2) > 1e-14 { // roundings of eigenvectors
		t.Errorf("clamped A: %v", mat.Formatted(a))
	}
	if _, err := clamped.Generate([]float64{0, 5e3, 1e4}, 1, 0); err != nil {
		t.Error(err)
	}
	if _, err := m.Generate([]float64{0, 5e3, 1e4}, 1, 0); err == nil || !contains(err.Error(), "overflows") {
		t.Errorf("without: error %v", err)
	}
	chain := *m
	chain.System, chain.Chain, chain.Dt = nil, m.System.Step(0.1), 0.1
	if c, grown, err := chain.ClampGrowth(1e4); err != nil || len(grown) != 2 || math.Abs(math.Hypot(c.Chain.F.At(0, 0), c.Chain.F.At(0, 1))-1) > 1e-14 { // roundings of eigenvectors
		t.Errorf("chain: %v, %v", grown, err)
	}
}

func TestModelFiles(t *testing.T) {
	dir := t.TempDir()
	one := func(x ...float64) *npz.Array { return &npz.Array{Shape: []int{len(x)}, X: x} }
	square := func(n int, x ...float64) *npz.Array { return &npz.Array{Shape: []int{n, len(x) / n}, X: x} }
	good := func() map[string]*npz.Array {
		return map[string]*npz.Array{"A": square(2, 0, 1, -4, -0.4), "Q": square(2, 0, 0, 0, 1), "C": one(1, 0), "R": {Shape: []int{}, X: []float64{0.1}}, "m0": one(0, 0), "P0": square(2, 1, 0, 0, 1)}
	}
	path := filepath.Join(dir, "m.npz")
	if err := npz.Write(path, good()); err != nil {
		t.Fatal(err)
	}
	m, err := LoadModel(path)
	if err != nil || m.Outputs() != 1 || m.Space.Dim() != 2 {
		t.Fatalf("%v, %v", m, err)
	}
	for want, change := range map[string]func(a map[string]*npz.Array){
		"Q is missing or empty":  func(a map[string]*npz.Array) { delete(a, "Q") },
		"arrays C, P0, Q, R, m0": func(a map[string]*npz.Array) { delete(a, "A") },
		"not positive semi":      func(a map[string]*npz.Array) { a["Q"].X[3] = -1 },
		"R is not positive":      func(a map[string]*npz.Array) { a["R"].X[0] = -1 },
		"unobservable":           func(a map[string]*npz.Array) { a["C"].X[0] = 0 },
		"element 2 of A is NaN":  func(a map[string]*npz.Array) { a["A"].X[2] = math.NaN() },
		"m0 has 3":               func(a map[string]*npz.Array) { a["m0"] = one(1, 2, 3) },
	} {
		a := good()
		change(a)
		if err := npz.Write(path, a); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadModel(path); err == nil || !contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
