package metrics

import (
	"context"
	"fmt"
	"math"

	"hbar/kernels"
)

// SlicedOptions are the settings of SlicedW2.
type SlicedOptions struct {
	Directions int    // 0: 128
	Seed       uint64 // of the directions
}

// withDefaults are the settings, with the number of directions; nil has the defaults.
func (o *SlicedOptions) withDefaults() (*SlicedOptions, int, error) {
	if o == nil {
		o = &SlicedOptions{}
	}
	k := o.Directions
	if k == 0 {
		k = 128
	}
	if k < 2 {
		return nil, 0, fmt.Errorf("metrics: %d directions; want at least 2, for their standard error", k)
	}
	return o, k, nil
}

// SlicedW2 is the root of the mean of W2² of the projections of x and y (n points each) on random directions, uniform on
// the unit sphere. (Multiplied by √d it equals |shift| for samples that differ by a shift.) The standard error counts the
// samples, by the averaged dual variables as in W2, and the choice of directions. Cost: a sort for each direction.
func SlicedW2(ctx context.Context, x, y []float64, d int, o *SlicedOptions) (*Wasserstein, error) {
	o, k, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	n, err := checkEqual(x, y, d)
	if err != nil {
		return nil, err
	}
	squares := make([]float64, k)
	// Groups of directions share an accumulator of the duals; their number does not depend on the CPUs.
	groups := min(k, 16)
	us, vs := make([][]float64, groups), make([][]float64, groups)
	err = eachRow(ctx, groups, func(_, g int) {
		us[g], vs[g] = make([]float64, n), make([]float64, n)
		for q := g; q < k && ctx.Err() == nil; q += groups {
			dir := direction(d, o.Seed, uint64(q))
			px, py := project(x, dir), project(y, dir)
			ox, oy := order(px), order(py)
			for i := range n {
				t := px[ox[i]] - py[oy[i]]
				squares[q] += t * t / float64(n)
			}
			sortedDuals(us[g], vs[g], px, py, ox, oy)
		}
	})
	if err != nil {
		return nil, err
	}
	u, v := make([]float64, n), make([]float64, n)
	for g := range groups {
		for i := range n {
			u[i] += us[g][i] / float64(k)
			v[i] += vs[g][i] / float64(k)
		}
	}
	m, variance := meanVar(squares)
	square := normal(m, math.Hypot(dualStdErr(u, v), math.Sqrt(variance/float64(k)))).atLeast0()
	return &Wasserstein{W2: square.sqrt(), W2Squared: square}, nil
}

// direction is a unit vector, uniform on the sphere.
func direction(d int, seed, k uint64) []float64 {
	z := make([]float32, d)
	kernels.Normals(z, kernels.Noise{Seed: seed, Stream: kernels.StreamProbe, Sample0: k}, 0, 1, d)
	out := make([]float64, d)
	var norm float64
	for i, v := range z {
		out[i] = float64(v)
		norm += out[i] * out[i]
	}
	for i := range out {
		out[i] /= math.Sqrt(norm)
	}
	return out
}

// project is the coordinate of each point along dir.
func project(x, dir []float64) []float64 {
	d := len(dir)
	out := make([]float64, len(x)/d)
	for i := range out {
		for k, v := range dir {
			out[i] += v * x[i*d+k]
		}
	}
	return out
}
