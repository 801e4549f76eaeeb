package metrics

import (
	"fmt"

	"gonum.org/v1/gonum/mat"
)

// Moments are the mean and the covariance (divided by n − 1), d×d row-major, of n ≥ 2 points.
func Moments(x []float64, d int) (mu, sigma []float64, err error) {
	if _, _, err := check(x, x, d); err != nil {
		return nil, nil, err
	}
	n := len(x) / d
	if n < 2 {
		return nil, nil, fmt.Errorf("metrics: the covariance of %d point; want at least two", n)
	}
	mu = mean(x, d)
	var s mat.SymDense
	s.SymOuterK(1/float64(n-1), mat.NewDense(n, d, shifted(x, mu)).T())
	sigma = make([]float64, d*d)
	for i := range d {
		for j := range d {
			sigma[i*d+j] = s.At(i, j)
		}
	}
	return mu, sigma, nil
}
