package data

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestNamesAllLoad(t *testing.T) {
	for _, name := range Names() {
		s, err := ByName(name, 100, 7)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if s.N() != 100 || product(s.Shape) != s.D || s.Name != name {
			t.Errorf("%s: n %d, shape %v, D %d, name %q", name, s.N(), s.Shape, s.D, s.Name)
		}
		if err := s.Norm.Validate(s.D); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := newDataset(s.X, s.Shape); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Chosen samples come with their labels, of numbers and of bytes.
func TestChoose(t *testing.T) {
	for _, s := range []*Dataset{{D: 2, X: []float64{0, 1, 2, 3, 4, 5}, Labels: []int32{7, 8, 9}}, {D: 2, Bytes: []byte{0, 1, 2, 3, 4, 5}, Labels: []int32{7, 8, 9}}} {
		s.Choose([]int{2, 0})
		if s.N() != 2 || !slices.Equal(s.Values(), []float64{4, 5, 0, 1}) || !slices.Equal(s.Labels, []int32{9, 7}) {
			t.Errorf("chose %v with labels %v", s.Values(), s.Labels)
		}
	}
}

// Samples depend on (seed, index) alone, and on both.
func TestRangesAreConsistent(t *testing.T) {
	for _, name := range Names() {
		whole, err := ByName(name, 60, 3)
		if err != nil {
			t.Fatal(err)
		}
		part, err := Range(name, 20, 25, 3)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(part.X, whole.X[20*whole.D:45*whole.D]) {
			t.Errorf("%s: samples 20 to 44 differ when made alone", name)
		}
		other, err := ByName(name, 60, 4)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal(other.X, whole.X) {
			t.Errorf("%s: seeds 3 and 4 give the same samples", name)
		}
		for i := 1; i < whole.N(); i++ {
			if slices.Equal(whole.Row(i), whole.Row(0)) {
				t.Errorf("%s: samples 0 and %d are equal", name, i)
			}
		}
	}
}

func TestDefaults(t *testing.T) {
	for name, want := range map[string]int{"swissroll": 3000, "gaussians25": 3000, "digits": 1797} {
		s, err := ByName(name, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if s.N() != want {
			t.Errorf("%s: %d samples by default, want %d", name, s.N(), want)
		}
	}
	rest, err := Range("digits", 1500, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if rest.N() != 297 {
		t.Errorf("digits from 1500 on: %d samples, want the 297 that are left", rest.N())
	}
}

func TestNameErrors(t *testing.T) {
	for _, c := range []struct {
		name  string
		first uint64
		n     int
		want  string
	}{
		{"swisroll", 0, 10, "have swissroll, gaussians25, gaussian1d, moons, checkerboard, digits"},
		{"", 0, 10, "have swissroll"},
		{"moons:2", 0, 10, "takes no parameter"},
		{"gaussian1d:-1", 0, 10, "positive number"},
		{"gaussian1d:NaN", 0, 10, "positive number"},
		{"gaussian1d:x", 0, 10, "positive number"},
		{"digits", 0, 1798, "1797 samples"},
		{"digits", 1797, 1, "1797 samples"},
		{"digits", math.MaxUint64, 0, "1797 samples"},
		{"swissroll", 0, math.MaxInt, "at most"},
	} {
		if _, err := Range(c.name, c.first, c.n, 0); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Range(%q, %d, %d): %v, want %q", c.name, c.first, c.n, err, c.want)
		}
	}
}

// columns splits n×d samples.
func column(s *Dataset, j int) []float64 {
	out := make([]float64, s.N())
	for i := range out {
		out[i] = s.Row(i)[j]
	}
	return out
}

// checkMean allows five standard errors.
func checkMean(t *testing.T, what string, x []float64, want float64) {
	t.Helper()
	m, sd := moments(x)
	if tol := 5 * sd / math.Sqrt(float64(len(x))); !( // five standard errors
	math.Abs(m-want) <= tol) {
		t.Errorf("%s: mean %.5f, want %.5f ± %.5f", what, m, want, tol)
	}
}

func mapped(x []float64, f func(float64) float64) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = f(v)
	}
	return out
}

const manySamples = 40000

// The exact moments of the swiss roll: with T = t uniform on [1.5π, 4.5π], E x = E[T cos T], E x² = E[T² cos² T] + noise².
func TestSwissRollMoments(t *testing.T) {
	s, err := ByName("swissroll", manySamples, 1)
	if err != nil {
		t.Fatal(err)
	}
	integrate := func(f func(float64) float64) float64 { // midpoint rule, error below 10⁻⁶
		const n = 20000
		var sum float64
		for i := range n {
			sum += f(1.5 * math.Pi * (1 + 2*(float64(i)+0.5)/n))
		}
		return sum / n
	}
	sq := func(v float64) float64 { return v * v }
	for j, trig := range []func(float64) float64{math.Cos, math.Sin} {
		c := column(s, j)
		checkMean(t, "first moment", c, integrate(func(u float64) float64 { return u * trig(u) })/6.865)
		checkMean(t, "second moment", mapped(c, sq), (integrate(func(u float64) float64 { return sq(u * trig(u)) })+0.25)/sq(6.865))
	}
	// The distance from the spiral is the noise: radius minus the nearest winding has a spread of about 0.5.
	var r2 []float64
	for i := range s.N() {
		x, y := s.Row(i)[0]*6.865, s.Row(i)[1]*6.865
		r, phi := math.Hypot(x, y), math.Atan2(y, x)
		winding := math.Round((r - phi) / (2 * math.Pi))
		r2 = append(r2, sq(r-phi-2*math.Pi*winding))
	}
	if m, _ := moments(r2); m < 0.2 || m > 0.3 { // a variance of 0.25 to what 3000 samples and the turns that are taken for others do to it
		t.Errorf("mean square radial distance from the spiral %.3f, want about 0.25", m)
	}
}

func TestGaussians25(t *testing.T) {
	s, err := ByName("gaussians25", manySamples, 1)
	if err != nil {
		t.Fatal(err)
	}
	var count [5][5]float64
	var noise []float64
	for i := range s.N() {
		var k [2]int
		for j, v := range s.Row(i) {
			v *= 2.828
			k[j] = int(math.Round(v/2)) + 2
			noise = append(noise, (v-2*math.Round(v/2))/0.05)
		}
		count[k[0]][k[1]]++
	}
	for i, row := range count {
		for j, c := range row {
			if c != manySamples/25 {
				t.Errorf("component %d, %d has %g samples, want %d", i, j, c, manySamples/25)
			}
		}
	}
	checkMean(t, "noise", noise, 0)
	checkMean(t, "noise²", mapped(noise, func(v float64) float64 { return v * v }), 1)
	checkMean(t, "noise⁴", mapped(noise, func(v float64) float64 { return v * v * v * v }), 3)
}

// The moments that the normalisations of the other sets are derived from.
func TestNormalisedMoments(t *testing.T) {
	for _, c := range []struct {
		name         string
		meanSquareOf string
	}{{"moons", "both"}, {"checkerboard", "each"}} {
		s, err := ByName(c.name, manySamples, 1)
		if err != nil {
			t.Fatal(err)
		}
		s.Norm.Apply(s.X, s.X, s.D)
		sq := func(v float64) float64 { return v * v }
		checkMean(t, c.name+" x", column(s, 0), 0)
		checkMean(t, c.name+" y", column(s, 1), 0)
		if c.meanSquareOf == "both" {
			sum := column(s, 0)
			for i, y := range column(s, 1) {
				sum[i] = (sum[i]*sum[i] + y*y) / 2
			}
			checkMean(t, c.name+" mean square", sum, 1)
			continue
		}
		checkMean(t, c.name+" x²", mapped(column(s, 0), sq), 1)
		checkMean(t, c.name+" y²", mapped(column(s, 1), sq), 1)
	}
	s, err := ByName("gaussian1d:2.5", manySamples, 1)
	if err != nil {
		t.Fatal(err)
	}
	checkMean(t, "gaussian1d mean", s.X, 0)
	checkMean(t, "gaussian1d variance", mapped(s.X, func(v float64) float64 { return v * v }), 2.5)
}

func TestCheckerboardSquares(t *testing.T) {
	s, err := ByName("checkerboard", 4000, 1)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[[2]int]int{}
	for i := range s.N() {
		k := [2]int{int(math.Floor(s.Row(i)[0]/2)) + 2, int(math.Floor(s.Row(i)[1]/2)) + 2}
		if (k[0]+k[1])%2 != 0 || min(k[0], k[1]) < 0 || max(k[0], k[1]) > 3 {
			t.Fatalf("sample %v lies on a light square or off the board", s.Row(i))
		}
		seen[k]++
	}
	if len(seen) != 8 {
		t.Errorf("%d squares in use, want 8", len(seen))
	}
}

// The moments were computed by numpy from the array that the file was made of: mean 4.884164579855314, standard deviation
// 6.016787548672236.
func TestDigits(t *testing.T) {
	s, err := ByName("digits", 0, 5)
	if err != nil {
		t.Fatal(err)
	}
	mean, std := moments(s.X)
	if math.Abs(mean-4.884164579855314) > 1e-10 || math.Abs(std-6.016787548672236) > 1e-10 { // sums of 115 008 terms, taken in another order
		t.Errorf("pixel mean %.15f, standard deviation %.15f", mean, std)
	}
	if lo, hi := slices.Min(s.X), slices.Max(s.X); lo != 0 || hi != 16 {
		t.Errorf("pixels span %g to %g, want 0 to 16", lo, hi)
	}
	if y := s.Normalised(); slices.Min(y) != -1 || slices.Max(y) != 1 {
		t.Errorf("normalised pixels span %g to %g, want -1 to 1", slices.Min(y), slices.Max(y))
	}
}
