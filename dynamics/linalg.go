package dynamics

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

func finite(v float64) bool { return v-v == 0 }

// checkFinite names the first number of x that is none.
func checkFinite(name string, x []float64) error {
	for i, v := range x {
		if !finite(v) {
			return fmt.Errorf("dynamics: element %d of %s is %g; want finite numbers", i, name, v)
		}
	}
	return nil
}

// checkCovariance checks that m is d×d, finite, symmetric and positive semidefinite up to rounding.
func checkCovariance(name string, m *mat.Dense, d int) error {
	if m == nil {
		return fmt.Errorf("dynamics: %s is missing", name)
	}
	if r, c := m.Dims(); r != d || c != d {
		return fmt.Errorf("dynamics: %s is %d×%d; want %d×%d", name, r, c, d, d)
	}
	if err := checkFinite(name, m.RawMatrix().Data); err != nil {
		return err
	}
	scale := 0.0
	for i := range d {
		scale = math.Max(scale, math.Abs(m.At(i, i)))
	}
	sym := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			if math.Abs(m.At(i, j)-m.At(j, i)) > 1e-8*math.Max(scale, math.SmallestNonzeroFloat64) {
				return fmt.Errorf("dynamics: %s is not symmetric: element (%d, %d) is %g and (%d, %d) is %g", name, i, j, m.At(i, j), j, i, m.At(j, i))
			}
			sym.SetSym(i, j, (m.At(i, j)+m.At(j, i))/2)
		}
	}
	var eig mat.EigenSym
	if !eig.Factorize(sym, false) {
		return fmt.Errorf("dynamics: the eigenvalues of %s do not converge", name)
	}
	if v := eig.Values(nil); v[0] < -1e-10*math.Max(v[d-1], scale) {
		return fmt.Errorf("dynamics: %s is not positive semidefinite: its eigenvalues are from %.3g to %.3g", name, v[0], v[d-1])
	}
	return nil
}

func identity(d int) *mat.Dense {
	m := mat.NewDense(d, d, nil)
	for i := range d {
		m.Set(i, i, 1)
	}
	return m
}

func scaled(x []float64, f float64) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = f * v
	}
	return out
}

// addScaled adds f x to dst.
func addScaled(dst []float64, f float64, x []float64) {
	for i, v := range x {
		dst[i] += f * v
	}
}

// addSymmetric adds the symmetric part of m to dst.
func addSymmetric(dst, m *mat.Dense) {
	a, b := dst.RawMatrix(), m.RawMatrix()
	for i := range a.Rows {
		for j := range i + 1 {
			v := (b.Data[i*b.Stride+j] + b.Data[j*b.Stride+i]) / 2
			a.Data[i*a.Stride+j] += v
			if i != j {
				a.Data[j*a.Stride+i] += v
			}
		}
	}
}

// root is a matrix L with L Lᵀ = m for m positive semidefinite, singular ones included: Cholesky's factor where it exists,
// else eigenvectors times the roots of eigenvalues.
func root(m *mat.Dense) *mat.Dense {
	d, _ := m.Dims()
	sym := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			sym.SetSym(i, j, (m.At(i, j)+m.At(j, i))/2)
		}
	}
	l := mat.NewDense(d, d, nil)
	var chol mat.Cholesky
	if chol.Factorize(sym) {
		var t mat.TriDense
		chol.LTo(&t)
		l.Copy(&t)
		return l
	}
	var eig mat.EigenSym
	if !eig.Factorize(sym, true) {
		return l
	}
	values := eig.Values(nil)
	eig.VectorsTo(l)
	for j, v := range values {
		f := math.Sqrt(math.Max(v, 0))
		for i := range d {
			l.Set(i, j, f*l.At(i, j))
		}
	}
	return l
}

// blasSize is the order from which a general matrix product is faster than plain loops.
const blasSize = 24

// multiply sets dst (n×m) to a (n×k) times b (k×m), all row-major and without gaps.
func multiply(dst, a, b []float64, n, k, m int) {
	if n*k*m > blasSize*blasSize*blasSize {
		blas64.Gemm(blas.NoTrans, blas.NoTrans, 1, blas64.General{Rows: n, Cols: k, Stride: k, Data: a}, blas64.General{Rows: k, Cols: m, Stride: m, Data: b},
			0, blas64.General{Rows: n, Cols: m, Stride: m, Data: dst})
		return
	}
	for i := range n {
		row := dst[i*m : (i+1)*m]
		clear(row)
		for l, v := range a[i*k : (i+1)*k] {
			for j, w := range b[l*m : (l+1)*m] {
				row[j] += v * w
			}
		}
	}
}

// multiplyT sets dst (n×m) to a (n×k) times the transpose of b (m×k).
func multiplyT(dst, a, b []float64, n, k, m int) {
	if n*k*m > blasSize*blasSize*blasSize {
		blas64.Gemm(blas.NoTrans, blas.Trans, 1, blas64.General{Rows: n, Cols: k, Stride: k, Data: a}, blas64.General{Rows: m, Cols: k, Stride: k, Data: b},
			0, blas64.General{Rows: n, Cols: m, Stride: m, Data: dst})
		return
	}
	for i := range n {
		x := a[i*k : (i+1)*k]
		for j := range m {
			y := b[j*k : (j+1)*k]
			s := 0.0
			for l, v := range x {
				s += v * y[l]
			}
			dst[i*m+j] = s
		}
	}
}

// cholesky overwrites the lower triangle of a symmetric n×n matrix with its factor; false where it is not positive definite.
func cholesky(a []float64, n int) bool {
	for i := range n {
		for j := range i + 1 {
			s := a[i*n+j]
			for k := range j {
				s -= a[i*n+k] * a[j*n+k]
			}
			if i == j {
				// What is left of the diagonal by rounding alone is no variance.
				if !(s > 1e-14*a[i*n+i]) {
					return false
				}
				a[i*n+i] = math.Sqrt(s)
			} else {
				a[i*n+j] = s / a[j*n+j]
			}
		}
	}
	return true
}
