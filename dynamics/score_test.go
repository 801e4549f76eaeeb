package dynamics

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The gradient by the way back through filter and steps is that of differences, for all kinds, several records, gaps and
// equal and irregular times.
func TestScore(t *testing.T) {
	rng := rand.New(rand.NewPCG(41, 1))
	equal := []float64{}
	for i := range 30 {
		equal = append(equal, 0.7*float64(i))
	}
	many := irregular(rng, maxKnown+40) // more steps than are kept
	for _, kind := range []Kind{Free, Dissipative, Conservative} {
		for _, c := range []struct{ p, d int }{{1, 1}, {1, 3}, {2, 2}, {2, 4}} {
			q := &parameters{p: c.p, d: c.d, kind: kind, noise: true, offset: true, variance: 10}
			theta := make([]float64, q.len())
			for i := range theta {
				theta[i] = 0.4 * rng.NormFloat64()
			}
			data := &Data{P: c.p}
			for _, times := range [][]float64{equal, many, equal[:5]} {
				r := Record{Times: times}
				for range len(times) * c.p {
					r.X = append(r.X, rng.NormFloat64())
				}
				r.X[3], r.X[c.p*2] = math.NaN(), math.NaN()
				data.Records = append(data.Records, r)
			}
			value, by, err := q.space(theta).score(data)
			if err != nil {
				t.Fatal(err)
			}
			if l, err := q.space(theta).LogLik(data); err != nil || math.Abs(l.LogLik-value) > 1e-13*math.Abs(value) { // rounding of sums over all observations
				t.Errorf("%s %v: log p on the way %.12g, by the filter %v (%v)", kind, c, value, l, err)
			}
			g := q.gradient(theta, by)
			size := 0.0
			for _, v := range g {
				size = math.Max(size, math.Abs(v))
			}
			for i := range theta {
				f := func(s float64) float64 {
					y := append([]float64(nil), theta...)
					y[i] += s
					l, err := q.space(y).LogLik(data)
					if err != nil {
						t.Fatal(err)
					}
					return l.LogLik
				}
				const h = 1e-3
				want := (8*(f(h)-f(-h)) - (f(2*h) - f(-2*h))) / (12 * h)
				if math.Abs(g[i]-want) > 1e-6*size { // fourth order in h = 10⁻³, and log-likelihoods of 10³ rounded to 10⁻¹³, over h
					t.Errorf("%s %v: derivative %d is %.10g, by differences %.10g (largest %.3g)", kind, c, i, g[i], want, size)
				}
			}
		}
	}
}
