package classify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"hbar/data/npz"
	"hbar/kernels"
	"hbar/metrics"
)

// Features are what samples are compared with: a set of rows, or a mean and a covariance alone.
type Features struct {
	D         int
	X         []float64 // n×D; nil: unknown
	Mu, Sigma []float64 // nil: those of X
}

// ReadFeatures reads an .npz of features [n, F], or of mu [F] and sigma [F, F]. The first rows of a file, at most n of them, or all if n is
// 0, are put in random order by the seed.
func ReadFeatures(path string, n int, seed uint64) (*Features, error) {
	arrays, err := npz.Read(path)
	if err != nil {
		return nil, err
	}
	if a := arrays["features"]; a != nil {
		if len(a.Shape) != 2 || a.Shape[0] < 1 || a.Shape[1] < 1 {
			return nil, fmt.Errorf("%s: features of shape %v; want a row of numbers for each sample", path, a.Shape)
		}
		f := &Features{D: a.Shape[1], X: a.X}
		if n > 0 && n < a.Shape[0] {
			f.X = f.X[:n*f.D]
		}
		f.Shuffle(seed)
		return f, nil
	}
	mu, sigma := arrays["mu"], arrays["sigma"]
	if mu == nil || sigma == nil {
		return nil, fmt.Errorf("%s has the arrays %v; want features [n, F], or mu [F] and sigma [F, F]", path, npz.Names(arrays))
	}
	if len(mu.Shape) != 1 || len(sigma.Shape) != 2 || sigma.Shape[0] != mu.Shape[0] || sigma.Shape[1] != mu.Shape[0] {
		return nil, fmt.Errorf("%s: mu of shape %v and sigma of shape %v; want [F] and [F, F]", path, mu.Shape, sigma.Shape)
	}
	return &Features{D: mu.Shape[0], Mu: mu.X, Sigma: sigma.X}, nil
}

// Shuffle puts the rows in random order: errors come from leaving out groups of rows that follow each other.
func (f *Features) Shuffle(seed uint64) {
	n := len(f.X) / f.D
	row := make([]float64, f.D)
	rand.New(kernels.NewSource(seed, kernels.StreamResample, 1)).Shuffle(n, func(i, j int) {
		a, b := f.X[i*f.D:(i+1)*f.D], f.X[j*f.D:(j+1)*f.D]
		copy(row, a)
		copy(a, b)
		copy(b, row)
	})
}

// Frechet is the Fréchet distance of the features x of samples to f, with errors by leaving out groups; moments alone count as exact.
func (f *Features) Frechet(ctx context.Context, x []float64, groups int) (*metrics.Resampled, error) {
	if f.X != nil {
		return metrics.FrechetSamples(ctx, x, f.X, f.D, groups)
	}
	return metrics.FrechetTo(ctx, x, f.Mu, f.Sigma, groups)
}

// Kernel is the kernel distance of the features x of samples to f, which must have rows.
func (f *Features) Kernel(ctx context.Context, x []float64, groups int) (*metrics.Resampled, error) {
	if f.X == nil {
		return nil, errors.New("classify: the kernel distance needs features, a row for each sample, and there are moments only")
	}
	return metrics.KernelDistance(ctx, x, f.X, f.D, groups)
}
