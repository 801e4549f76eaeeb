package ownscore

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"hbar/kernels"
	"hbar/solver"
	"hbar/solver/exact"
	"hbar/solver/likelihood"
)

// planted is a score of each kind with random weights.
func planted(t *testing.T, r *rand.Rand, k Kind, shape []int) *Score {
	t.Helper()
	s, err := solver.NewSchedule("cosine", nil)
	if err != nil {
		t.Fatal(err)
	}
	d := 1
	for _, n := range shape {
		d *= n
	}
	c := &Score{Schedule: s, D: d, Features: k, Knots: knots(s, 3)}
	if k == Filters {
		c.Shape = shape
	}
	if k == Cosines {
		c.draw(5, 1)
	}
	for range c.Knots {
		w := make([]float64, c.weightsAtKnot())
		for i := range w {
			w[i] = r.NormFloat64()
		}
		c.Weights = append(c.Weights, w)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return c
}

func normals64(r *rand.Rand, n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = r.NormFloat64()
	}
	return x
}

var shapes = map[string][]int{"image": {3, 4, 2}, "sequence": {5, 2}, "point": {3}}

func kindsOf(name string) []Kind {
	if name == "point" {
		return []Kind{Scalars, Coordinates, Cosines}
	}
	return []Kind{Scalars, Coordinates, Filters}
}

// A c that is of a kind is found again from values without noise, to the rounding of the normal equations, at times between the knots
// too; and its tangents are its derivatives, to the square of the difference.
func TestKindsAreFound(t *testing.T) {
	r := rand.New(kernels.NewSource(3, kernels.StreamInit, 0))
	for name, shape := range shapes {
		for _, k := range kindsOf(name) {
			c := planted(t, r, k, shape)
			sums := newSums(c)
			const n = 120
			for step := range 9 {
				at := c.Schedule.TimeOfLambda(c.Knots[0] + (c.Knots[2]-c.Knots[0])*float64(step)/8)
				x, s, own := normals64(r, n*c.D), normals64(r, n*c.D), make([]float64, n*c.D)
				c.Write(own, x, s, at)
				sigma, norm := scales(c.Schedule, at)
				for i := range own {
					own[i] *= sigma
				}
				for i := range s { // features of one size at all times
					s[i] /= sigma
				}
				c.Write(own, x, s, at)
				for i := range own {
					own[i] *= sigma
				}
				sums.train.add(c, at, x, s, own, sigma, norm)
			}
			w, ok := sums.train.solve(1e-13)
			if !ok {
				t.Fatalf("%s of a %s: not solved", k, name)
			}
			for i := range w {
				for j := range w[i] {
					if math.Abs(w[i][j]-c.Weights[i][j]) > 1e-6 { // the ridge of 10⁻¹³, and roundings times the condition of the normal equations
						t.Fatalf("%s of a %s: weight %d of knot %d is %g, planted %g", k, name, j, i, w[i][j], c.Weights[i][j])
					}
				}
			}
			if zero, loss := sums.train.loss(nil), sums.train.loss(w); !(math.Abs(loss) < 1e-9*zero) { // the loss is a difference of sums as large as the first
				t.Errorf("%s of a %s: loss %g of %g", k, name, loss, zero)
			}
			checkTangents(t, r, c, name)
		}
	}
}

func checkTangents(t *testing.T, r *rand.Rand, c *Score, name string) {
	t.Helper()
	const step = 1e-5
	at := c.Schedule.TimeOfLambda(0.3)
	x, s, v, sv := normals64(r, 2*c.D), normals64(r, 2*c.D), normals64(r, 2*c.D), normals64(r, 2*c.D)
	got := make([]float64, 2*c.D)
	c.tangents(got, x, v, s, sv, 1, at)
	moved := func(by float64) []float64 {
		y, q, out := make([]float64, len(x)), make([]float64, len(x)), make([]float64, len(x))
		for i := range x {
			y[i], q[i] = x[i]+by*v[i], s[i]+by*sv[i]
		}
		c.Write(out, y, q, at)
		return out
	}
	up, down := moved(step), moved(-step)
	for i := range got {
		if want := (up[i] - down[i]) / (2 * step); math.Abs(got[i]-want) > 1e-6*max(1, math.Abs(want)) { // roundings divided by the step of 10⁻⁵, and its square
			t.Fatalf("%s of a %s: tangent %d is %g, by differences %g", c.Features, name, i, got[i], want)
		}
	}
}

// lame adds numbers to the score: 1 to the even coordinates and −1 to the odd ones, to each at one half of the times.
type lame struct {
	*exact.Gaussian
	off float64
}

func (l lame) add(s, t []float64) {
	late := 0
	if l.Schedule.Lambda(t[0]) > 0 {
		late = 1
	}
	for i := range s {
		if i%2 == late {
			s[i] += l.off * float64(1-2*(i%2))
		}
	}
}

func (l lame) Score(ctx context.Context, dst, x, t []float64) error {
	err := l.Gaussian.Score(ctx, dst, x, t)
	l.add(dst, t)
	return err
}

func (l lame) ScoreVJP(ctx context.Context, s, g, x, v, t []float64) error {
	err := l.Gaussian.ScoreVJP(ctx, s, g, x, v, t)
	l.add(s, t)
	return err
}

// Where coordinates differ in what is wrong with their score, two numbers for all of them are not enough: the fit takes three for each,
// and the bounds come together by more than half, on points and paths that it has not seen.
func TestFitCoordinates(t *testing.T) {
	const d, h = 16, 0.5
	g, s := gaussian(t, d)
	m := lame{g, 1}
	path := likelihood.PathOptions{Grid: solver.GridLambda, Steps: 40, Paths: 4, Seed: 3}
	c, report, err := Fit(ctx, m, s, h, Options{Path: path, Paths: 300, Shape: []int{4, 4, 1}})
	if err != nil {
		t.Fatal(err)
	}
	if report.Chosen != string(Coordinates) || !(report.Loss < report.Zero) {
		t.Errorf("%+v", report)
	}
	path.Sample0 = 1 << 20
	lower, upper := enclose(t, m, s, h, 60, path)
	path.Corrections = []likelihood.Correction{c}
	lowerOwn, upperOwn := enclose(t, m, s, h, 60, path)
	t.Logf("%+v, width %.3f, with own score %.3f", report, upper-lower, upperOwn-lowerOwn)
	if !(upperOwn-lowerOwn < (upper-lower)/2) {
		t.Errorf("width %.3f, with own score %.3f", upper-lower, upperOwn-lowerOwn)
	}
	if _, _, err := Fit(ctx, m, s, h, Options{Path: path, Paths: 8, Shape: []int{4, 5, 1}}); err == nil || !strings.Contains(err.Error(), "shape [4 5 1] of 16 dimensions") {
		t.Errorf("a shape of another size: %v", err)
	}
}
