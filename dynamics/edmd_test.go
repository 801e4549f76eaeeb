package dynamics

import (
	"fmt"
	"math"
	"math/cmplx"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// sequence observes a system wholly and without noise at n equal steps, from its stationary law where it has one.
func sequence(t testing.TB, s *System, dt float64, n int, seed uint64) *Data {
	t.Helper()
	d := s.Dim()
	m := &StateSpace{System: s, C: identity(d), R: mat.NewDense(d, d, nil), M0: make([]float64, d), P0: identity(d)}
	if far := s.Step(1e6); far.Finite() && mat.Norm(far.F, 2) < 1e-6 {
		m.P0 = far.P
	}
	times := make([]float64, n)
	for i := range times {
		times[i] = dt * float64(i)
	}
	r, err := m.Generate(times, seed, 0)
	if err != nil {
		t.Fatal(err)
	}
	return &Data{P: d, Records: []Record{*r}}
}

func mustFit(t testing.TB, data *Data, lift LiftOptions, o FitOptions) *EDMD {
	t.Helper()
	l, err := NewLift(data, lift)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Fit(data, l, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// nearest is the mode next to λ.
func nearest(modes []Mode, lambda complex128) Mode {
	best := modes[0]
	for _, m := range modes {
		if cmplx.Abs(m.Lambda-lambda) < cmplx.Abs(best.Lambda-lambda) {
			best = m
		}
	}
	return best
}

// Without noise the modes are exact: of a linear system seen whole, of one seen through delays with more of them than it
// has modes, and of a closed dictionary of a nonlinear one.
func TestExactWithoutNoise(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 1))
	lambda := []complex128{-0.1 + 2i, -0.1 - 2i, -0.3, 3i, -3i}
	s, _ := rotated(rng, lambda)
	s.Q.Zero()
	s.Drift = []float64{1, 2, 3, 4, 5}
	data := sequence(t, s, 0.1, 400, 1)
	one := &Data{P: 1}
	r := data.Records[0]
	sum := Record{Times: r.Times}
	for i := range r.Len() {
		v := 0.0
		for _, x := range r.Row(i, 5) {
			v += x
		}
		sum.X = append(sum.X, v)
	}
	one.Records = []Record{sum}
	for name, e := range map[string]*EDMD{
		"whole":  mustFit(t, data, LiftOptions{}, FitOptions{}),
		"delays": mustFit(t, one, LiftOptions{Delays: 9}, FitOptions{}),
	} {
		if len(e.Modes) != 5 {
			t.Fatalf("%s: %d modes of rank %d", name, len(e.Modes), e.Rank)
		}
		tol := map[string]float64{"whole": 1e-12, "delays": 1e-8}[name]
		for _, l := range lambda {
			m := nearest(e.Modes, l)
			if d := cmplx.Abs(m.Lambda - l); !(d <= tol) {
				t.Errorf("%s: λ = %v is %v, off by %.1e", name, l, m.Lambda, d)
			}
			want := Decay
			if real(l) == 0 {
				want = Neutral
			}
			if lo, hi := m.ReCI(); m.Class != want || lo > real(l) || hi < real(l) {
				t.Errorf("%s: λ = %v is %s, [%g, %g]", name, l, m.Class, lo, hi)
			}
		}
		for i := 1; i < len(e.Modes); i++ {
			if math.Abs(real(e.Modes[i].Lambda)) < math.Abs(real(e.Modes[i-1].Lambda))-1e-9 {
				t.Errorf("%s: modes are not sorted: %v", name, e.Modes)
			}
		}
	}
	// x' = μx, y' = λ(y − x²): x, y and x² close with eigenvalues of the discrete map μ, λ, μ².
	const mu, la = 0.9, 0.5
	closed := Record{}
	data = &Data{P: 2}
	for k := range 12 {
		x, y := rng.NormFloat64(), rng.NormFloat64()
		closed = Record{}
		for i := range 10 {
			closed.Times = append(closed.Times, float64(i))
			closed.X = append(closed.X, x, y)
			x, y = mu*x, la*y+(mu*mu-la)*x*x
		}
		data.Records = append(data.Records, closed)
		_ = k
	}
	// Monomials of the standardised outputs span those of the outputs, and xy, y² are not closed: leave them out by the
	// spectrum's nearest modes.
	e := mustFit(t, data, LiftOptions{Degree: 2}, FitOptions{})
	for _, want := range []float64{mu, la, mu * mu} {
		m := nearest(e.Modes, complex(math.Log(want), 0))
		if d := cmplx.Abs(m.Mu - complex(want, 0)); !(d <= 1e-12) { // rounding, times the condition of the dictionary's least squares
			t.Errorf("closed dictionary: μ = %g is %v", want, m.Mu)
		}
	}
}

// Pairs are never made across a gap or from one trajectory to the next.
func TestPairs(t *testing.T) {
	nan := math.NaN()
	data := &Data{P: 1, Records: []Record{
		{Times: []float64{0, 1, 2, 3, 4, 5, 6, 7}, X: []float64{1, 2, 3, nan, 5, 6, 7, 8}},
		{Times: []float64{0, 1, 2, 4, 5, 6}, X: []float64{10, 11, 12, 14, 15, 16}},
		{Times: []float64{0, 1}, X: []float64{20, 21}},
	}}
	for delays, want := range map[int]string{1: "1→2 2→3 5→6 6→7 7→8 10→11 11→12 14→15 15→16 20→21", 2: "2→3 6→7 7→8 11→12 15→16", 3: "7→8"} {
		l, err := NewLift(data, LiftOptions{Delays: delays})
		if err != nil {
			t.Fatal(err)
		}
		l.Mean[0], l.SD[0] = 0, 1
		all, n, err := chunks(data, l, 1)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for i := range all {
			x, y := all[i].fill(data, l)
			for k := range all[i].pairs {
				got += fmt.Sprintf(" %g→%g", x(k)[0], y(k)[0])
				for j := 1; j < delays; j++ {
					if x(k)[j] != y(k)[j+1-1] && y(k)[j] != x(k)[j-1] {
						t.Errorf("window %v before %v", x(k), y(k))
					}
				}
			}
		}
		if got != " "+want || n != len(splitFields(want)) {
			t.Errorf("%d delays: %d pairs%s; want %s", delays, n, got, want)
		}
	}
	l, err := NewLift(data, LiftOptions{Delays: 4})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := chunks(data, l, 1); err == nil || !contains(err.Error(), "needs 5 snapshots one step apart without a gap, and the longest stretch has 4") {
		t.Errorf("4 delays: error %v", err)
	}
}

// The triangle made piece by piece is that of all rows at once, and residuals over the pieces are those of the fit.
func TestPieces(t *testing.T) {
	rng := rand.New(rand.NewPCG(12, 1))
	s, _ := rotated(rng, []complex128{-0.1 + 2i, -0.1 - 2i, -0.3})
	data := sequence(t, s, 0.2, 3*chunkPairs+17, 1)
	e := mustFit(t, data, LiftOptions{}, FitOptions{NoBias: true})
	// by plain least squares
	n := e.Pairs
	x, y := mat.NewDense(n, 4, nil), mat.NewDense(n, 3, nil)
	row := make([]float64, 3)
	for i := range n {
		e.Lift.standardise(row, data.Records[0].Row(i, 3))
		x.SetRow(i, append([]float64{1}, row...))
		e.Lift.standardise(row, data.Records[0].Row(i+1, 3))
		y.SetRow(i, row)
	}
	var b mat.Dense
	if err := b.Solve(x, y); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		for j := range 3 {
			if math.Abs(e.K.At(i, j)-b.At(j+1, i)) > 1e-13 { // rounding of two ways to solve well-conditioned equations
				t.Errorf("K[%d,%d] = %g, by plain least squares %g", i, j, e.K.At(i, j), b.At(j+1, i))
			}
		}
	}
	var fit, res, cov mat.Dense
	fit.Mul(x, &b)
	res.Sub(y, &fit)
	cov.Mul(res.T(), &res)
	cov.Scale(1/float64(n-4), &cov)
	if d := difference(e.Noise, &cov); d > 1e-13 { // rounding of sums of squares below one
		t.Errorf("the residuals' covariance differs by %.1e", d)
	}
	// The law of the step: noise of the outputs is that of the propagator.
	step := s.Step(0.2)
	for i := range 3 {
		if got, want := e.Noise.At(i, i)*e.Lift.SD[i]*e.Lift.SD[i], step.P.At(i, i); math.Abs(got/want-1) > 0.1 {
			t.Errorf("noise of output %d: variance %g, of the system %g", i, got, want)
		}
	}
	if !(e.PNoise > 1e-3) { // uniform if nothing is correlated: one seed in a thousand would fail
		t.Errorf("residuals of a whole state seem correlated: P = %g", e.PNoise)
	}
	noisy := *data
	r := data.Records[0]
	r.X = append([]float64(nil), r.X...)
	for i := range r.X {
		r.X[i] += 0.5 * rng.NormFloat64()
	}
	noisy.Records = []Record{r}
	if e := mustFit(t, &noisy, LiftOptions{}, FitOptions{}); !(e.PNoise < 1e-6) || !contains(fmt.Sprint(e.Notes), "measurement noise") { // noise of that size is far beyond chance
		t.Errorf("measurement noise is not noticed: P = %g, notes %v", e.PNoise, e.Notes)
	}
}

func TestEDMDErrors(t *testing.T) {
	line := func(n int, f func(i int) float64) *Data {
		r := Record{}
		for i := range n {
			r.Times = append(r.Times, float64(i))
			r.X = append(r.X, f(i))
		}
		return &Data{P: 1, Records: []Record{r}}
	}
	rng := rand.New(rand.NewPCG(13, 1))
	x := 0.0
	flip := line(500, func(int) float64 { x = -0.9*x + rng.NormFloat64(); return x })
	for want, c := range map[string]struct {
		data *Data
		lift LiftOptions
		o    FitOptions
	}{
		"branch of the logarithm":             {data: flip},
		"features; at most":                   {data: line(50, func(i int) float64 { return math.Sin(float64(i)) }), lift: LiftOptions{Delays: 100, Degree: 3}},
		"cannot fit 20 features":              {data: line(30, func(i int) float64 { return rng.NormFloat64() }), lift: LiftOptions{Delays: 20}},
		"needs 101 snapshots":                 {data: line(30, func(i int) float64 { return rng.NormFloat64() }), lift: LiftOptions{Delays: 100}},
		"has mean 2 and standard deviation 0": {data: line(30, func(i int) float64 { return 2 })},
	} {
		l, err := NewLift(c.data, c.lift)
		if err == nil {
			_, err = Fit(c.data, l, c.o)
		}
		if err == nil || !contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	irregular := line(50, func(i int) float64 { return rng.NormFloat64() })
	irregular.Records[0].Times[10] += 0.3
	if _, err := Fit(irregular, mustLift(t, irregular), FitOptions{}); err == nil || !contains(err.Error(), "no common step") {
		t.Errorf("irregular times: error %v", err)
	}
	l := mustLift(t, flip)
	if _, err := Fit(flip, l, FitOptions{OmitBranch: true}); err == nil || !contains(err.Error(), "no mode is left") {
		t.Errorf("only a mode at the branch, omitted: error %v", err)
	}
}

func mustLift(t *testing.T, data *Data) *Lift {
	t.Helper()
	l, err := NewLift(data, LiftOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func BenchmarkFit(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	lambda := make([]complex128, 64)
	for i := 0; i < 64; i += 2 {
		lambda[i] = complex(-0.1-0.05*float64(i), 1+0.2*float64(i))
		lambda[i+1] = cmplx.Conj(lambda[i])
	}
	s, _ := rotated(rng, lambda)
	data := sequence(b, s, 0.05, 100_000, 1)
	b.Run("n=100000/d=64", func(b *testing.B) {
		for b.Loop() {
			l, err := NewLift(data, LiftOptions{})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := Fit(data, l, FitOptions{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
