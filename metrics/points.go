package metrics

import (
	"errors"
	"fmt"
)

// check tests two samples of d coordinates and returns their numbers of points.
func check(x, y []float64, d int) (n, m int, err error) {
	if d < 1 {
		return 0, 0, fmt.Errorf("metrics: d is %d; want at least 1", d)
	}
	for _, s := range []struct {
		name string
		v    []float64
	}{{"first", x}, {"second", y}} {
		if len(s.v) == 0 || len(s.v)%d != 0 {
			return 0, 0, fmt.Errorf("metrics: the %s sample has %d values, not a whole number ≥ 1 of points of %d coordinates", s.name, len(s.v), d)
		}
		for i, v := range s.v {
			if v-v != 0 { // NaN and ±Inf only
				return 0, 0, fmt.Errorf("metrics: point %d of the %s sample has the coordinate %g; leave such points out and report how many", i/d, s.name, v)
			}
		}
	}
	return len(x) / d, len(y) / d, nil
}

// checkEqual is check for distances that need samples of one size.
func checkEqual(x, y []float64, d int) (int, error) {
	n, m, err := check(x, y, d)
	if err == nil && n != m {
		err = fmt.Errorf("metrics: samples of %d and %d points; this distance needs equal numbers", n, m)
	}
	if err == nil && n < 2 {
		err = errors.New("metrics: samples of one point; want at least two")
	}
	return n, err
}

// squaredDistances writes |x − y_j|² for all points y_j to dst.
func squaredDistances(dst, x, y []float64) {
	switch d := len(x); d {
	case 1:
		for j, v := range y {
			dst[j] = (x[0] - v) * (x[0] - v)
		}
	case 2:
		x0, x1 := x[0], x[1]
		for j := range dst {
			a, b := x0-y[2*j], x1-y[2*j+1]
			dst[j] = a*a + b*b
		}
	default:
		for j := range dst {
			q := y[j*d : j*d+d]
			var sum float64
			for k, v := range x {
				sum += (v - q[k]) * (v - q[k])
			}
			dst[j] = sum
		}
	}
}

// stride takes m of n points, evenly spread over their order.
func stride(x []float64, d, n, m int) []float64 {
	out := make([]float64, 0, m*d)
	for i := range m {
		k := i * n / m
		out = append(out, x[k*d:(k+1)*d]...)
	}
	return out
}

// mean is the mean point.
func mean(x []float64, d int) []float64 {
	m := make([]float64, d)
	for i, v := range x {
		m[i%d] += v
	}
	for k := range m {
		m[k] /= float64(len(x) / d)
	}
	return m
}

// shifted is x with the point m taken off.
func shifted(x, m []float64) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = v - m[i%len(m)]
	}
	return out
}

// row writes the costs of row i.
func (c *cloud) row(i int, dst []float64) {
	squaredDistances(dst, c.x[i*c.d:(i+1)*c.d], c.y)
}

// buffers makes a row of n for each worker.
func buffers(n int) [][]float64 {
	b := make([][]float64, workers())
	for w := range b {
		b[w] = make([]float64, n)
	}
	return b
}
