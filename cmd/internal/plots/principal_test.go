package plots

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// exactShares are the two largest shares of variance, from the whole covariance matrix.
func exactShares(c Cloud) (share [2]float64) {
	x := mat.NewDense(c.N(), c.D, nil)
	for i, v := range c.X {
		x.RawMatrix().Data[i] = float64(v)
	}
	var cov mat.SymDense
	stat.CovarianceMatrix(&cov, x, nil)
	var eigen mat.EigenSym
	eigen.Factorize(&cov, false)
	v := eigen.Values(nil)
	total := 0.0
	for _, e := range v {
		total += e
	}
	return [2]float64{v[len(v)-1] / total, v[len(v)-2] / total}
}

// The shares of variance are those of the whole covariance matrix, and the projected first cloud has them: for decaying, equal
// and flat spectra, for more rows than dimensions and fewer.
func TestPrincipalShares(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, spectrum := range []struct {
		name string
		sd   func(j int) float64
		tol  float64 // relative, of a share
	}{
		{"decaying", func(j int) float64 { return 1 / float64(1+j) }, 1e-6},
		{"a pair", func(j int) float64 { return []float64{3, 3, 1}[min(j, 2)] }, 1e-6},
		{"flat", func(int) float64 { return 1 }, 0.02}, // the largest of nearly equal ones: any will do
	} {
		for _, size := range [][2]int{{600, 3}, {600, 200}, {40, 300}, {2, 5}, {300, 1}} {
			n, d := size[0], size[1]
			c := Cloud{Name: "data", D: d}
			for range n {
				for j := range d {
					c.X = append(c.X, float64(7+spectrum.sd(j)*rng.NormFloat64()))
				}
			}
			if d == 1 {
				c.D, d = 2, 2 // 150 rows
			}
			p, share := principal([]Cloud{c})
			want := exactShares(c)
			variance := [2]float64{}
			for a := range variance {
				v := p[0].column(a)
				variance[a] = stat.Variance(v, nil)
			}
			for a := range share {
				if !(math.Abs(share[a]-want[a]) <= spectrum.tol*want[a]+1e-12) {
					t.Errorf("%s, %d × %d: share %d is %v, want %v", spectrum.name, c.N(), d, a, share[a], want[a])
				}
			}
			if r := variance[0] * share[1] / (variance[1] * share[0]); share[1] > 1e-12 && math.Abs(r-1) > 1e-4 { // float32 coordinates
				t.Errorf("%s, %d × %d: variances %v of the projected cloud, shares %v", spectrum.name, c.N(), d, variance, share)
			}
		}
	}
}

// A picture of wide data needs no D×D matrix.
func BenchmarkPrincipal(b *testing.B) {
	for _, d := range []int{1024, 3072, 12288} {
		b.Run(fmt.Sprint(d), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(3, 4))
			c := Cloud{Name: "data", D: d, X: make([]float64, 4000*d)}
			for i := range c.X {
				c.X[i] = float64(rng.NormFloat64())
			}
			for b.Loop() {
				principal([]Cloud{c})
			}
		})
	}
}
