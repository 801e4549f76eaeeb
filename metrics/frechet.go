package metrics

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Frechet is the squared Fréchet distance |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½) of two normal distributions (Dowson and Landau, J. Multivar.
// Anal. 12, 450, 1982), of means [d] and covariances [d, d]. It is what is called FID on the features of an Inception network.
func Frechet(mu1, sigma1, mu2, sigma2 []float64) (float64, error) {
	d := len(mu1)
	if d < 1 || len(mu2) != d || len(sigma1) != d*d || len(sigma2) != d*d {
		return 0, fmt.Errorf("metrics: means of %d and %d, covariances of %d and %d numbers; want one dimension", len(mu1), len(mu2), len(sigma1), len(sigma2))
	}
	sum := 0.0
	for i := range d {
		sum += (mu1[i]-mu2[i])*(mu1[i]-mu2[i]) + sigma1[i*d+i] + sigma2[i*d+i]
	}
	if sum-sum != 0 {
		return 0, errors.New("metrics: a mean or covariance is not finite")
	}
	root, err := rootTrace(symmetric(sigma1, d), symmetric(sigma2, d))
	return sum - 2*root, err
}

func symmetric(s []float64, d int) *mat.SymDense {
	out := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			out.SetSym(i, j, (s[i*d+j]+s[j*d+i])/2)
		}
	}
	return out
}

// rootTrace is tr (AB)^½ of positive semidefinite A and B: the eigenvalues of AB are those of FᵀBF for any F with A = FFᵀ.
func rootTrace(a, b *mat.SymDense) (float64, error) {
	d := a.SymmetricDim()
	var f, bf, m mat.Dense
	var chol mat.Cholesky
	if chol.Factorize(a) {
		var l mat.TriDense
		chol.LTo(&l)
		f.CloneFrom(&l)
	} else { // singular: a feature that never varies, say
		var e mat.EigenSym
		if !e.Factorize(a, true) {
			return 0, errors.New("metrics: the eigenvalues of a covariance do not converge")
		}
		var v mat.Dense
		e.VectorsTo(&v)
		roots := e.Values(nil)
		for i, w := range roots {
			roots[i] = math.Sqrt(max(w, 0))
		}
		f.Mul(&v, mat.NewDiagDense(d, roots))
	}
	bf.Mul(b, &f)
	m.Mul(f.T(), &bf)
	var e mat.EigenSym
	if !e.Factorize(symmetric(m.RawMatrix().Data, d), false) {
		return 0, errors.New("metrics: the eigenvalues of a product of covariances do not converge")
	}
	sum := 0.0
	for _, w := range e.Values(nil) {
		sum += math.Sqrt(max(w, 0))
	}
	return sum, nil
}

// enough refuses a sample with too few points for its covariance, also without a group. Fewer than two groups are refused by checkGroups.
func enough(name string, n, d, groups int) error {
	if groups < 2 {
		return nil
	}
	if left := n - (n+groups-1)/groups; left <= d {
		return fmt.Errorf("metrics: the %s sample has %d points for a covariance of %d features; want more than %d", name, n, d, (d+1)*groups/(groups-1))
	}
	return nil
}

// FrechetSamples is the Fréchet distance of n and m points in d dimensions, by their means and covariances (divided by n − 1 and m − 1).
// groups 0: DefaultGroups.
func FrechetSamples(ctx context.Context, x, y []float64, d, groups int) (*Resampled, error) {
	n, m, err := check(x, y, d)
	if err != nil {
		return nil, err
	}
	for _, s := range []struct {
		name string
		n    int
	}{{"first", n}, {"second", m}} {
		if err := enough(s.name, s.n, d, orDefault(groups)); err != nil {
			return nil, err
		}
	}
	if groups, err = checkGroups(groups, n, m); err != nil {
		return nil, err
	}
	a, b := newPower(x, d), newPower(y, d)
	return resample(ctx, n, groups, func(g int) (float64, error) {
		mu1, sigma1 := a.without(group(g, groups, n))
		mu2, sigma2 := b.without(group(g, groups, m))
		return Frechet(mu1, sigma1, mu2, sigma2)
	})
}

// FrechetTo is the Fréchet distance of n points to a known normal distribution, which is taken to be exact.
func FrechetTo(ctx context.Context, x []float64, mu, sigma []float64, groups int) (*Resampled, error) {
	d := len(mu)
	n, _, err := check(x, x, d)
	if err != nil {
		return nil, err
	}
	if groups, err = checkGroups(groups, n, n); err != nil {
		return nil, err
	}
	if err := enough("first", n, d, groups); err != nil {
		return nil, err
	}
	a := newPower(x, d)
	return resample(ctx, n, groups, func(g int) (float64, error) {
		mu1, sigma1 := a.without(group(g, groups, n))
		return Frechet(mu1, sigma1, mu, sigma)
	})
}

// power has the sums of a sample, of which those of parts can be taken off. The points are taken about their mean, so that nothing is
// lost in the differences.
type power struct {
	x     []float64 // shifted
	d     int
	shift []float64
	sums  *mat.SymDense // Σ x xᵀ
}

func newPower(x []float64, d int) *power {
	p := &power{d: d, shift: mean(x, d)}
	p.x = shifted(x, p.shift)
	p.sums = p.products(0, len(x)/d)
	return p
}

// products is Σ x xᵀ of the points lo … hi − 1.
func (p *power) products(lo, hi int) *mat.SymDense {
	s := mat.NewSymDense(p.d, nil)
	if hi > lo {
		s.SymOuterK(1, mat.NewDense(hi-lo, p.d, p.x[lo*p.d:hi*p.d]).T())
	}
	return s
}

// without are mean and covariance of all points but lo … hi − 1.
func (p *power) without(lo, hi int) (mu, sigma []float64) {
	d, n := p.d, float64(len(p.x)/p.d-(hi-lo))
	part := p.products(lo, hi)
	m := make([]float64, d)
	for _, v := range []struct {
		from, to int
	}{{0, lo}, {hi, len(p.x) / d}} {
		for i := v.from * d; i < v.to*d; i++ {
			m[i%d] += p.x[i]
		}
	}
	mu, sigma = make([]float64, d), make([]float64, d*d)
	for i := range m {
		m[i] /= n
		mu[i] = m[i] + p.shift[i]
	}
	for i := range d {
		for j := range d {
			sigma[i*d+j] = (p.sums.At(i, j) - part.At(i, j) - n*m[i]*m[j]) / (n - 1)
		}
	}
	return mu, sigma
}
