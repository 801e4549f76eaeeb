package solver

import "math"

// Matrices of blocks are small, b×b with b up to MaxBlock, row-major. They are values, so that nothing is allocated.

// MaxBlock is the largest size b of a block.
const MaxBlock = 4

type (
	blockVec [MaxBlock]float64
	blockMat [MaxBlock * MaxBlock]float64
)

// blockIdentity is the unit matrix.
func blockIdentity(b int) (m blockMat) {
	for i := range b {
		m[i*b+i] = 1
	}
	return m
}

// mul is x y.
func (x *blockMat) mul(y *blockMat, b int) (m blockMat) {
	for i := range b {
		for j := range b {
			for k := range b {
				m[i*b+j] += x[i*b+k] * y[k*b+j]
			}
		}
	}
	return m
}

// mulT is x yᵀ.
func (x *blockMat) mulT(y *blockMat, b int) (m blockMat) {
	t := y.transpose(b)
	return x.mul(&t, b)
}

func (x *blockMat) transpose(b int) (m blockMat) {
	for i := range b {
		for j := range b {
			m[j*b+i] = x[i*b+j]
		}
	}
	return m
}

// apply is x v.
func (x *blockMat) apply(v *blockVec, b int) (w blockVec) {
	for i := range b {
		for k := range b {
			w[i] += x[i*b+k] * v[k]
		}
	}
	return w
}

// add is x + c y.
func (x *blockMat) add(c float64, y *blockMat) (m blockMat) {
	for i := range m {
		m[i] = x[i] + c*y[i]
	}
	return m
}

// cholesky is the lower triangle L with L Lᵀ = x for a positive semidefinite x, of which the lower triangle is read. Where rounding
// leaves a pivot that is not positive, the column is zero; ok says that there was none.
func (x *blockMat) cholesky(b int) (l blockMat, ok bool) {
	ok = true
	for j := range b {
		d := x[j*b+j]
		for k := range j {
			d -= l[j*b+k] * l[j*b+k]
		}
		if !(d > 0) {
			ok = false
			continue
		}
		l[j*b+j] = math.Sqrt(d)
		for i := j + 1; i < b; i++ {
			v := x[i*b+j]
			for k := range j {
				v -= l[i*b+k] * l[j*b+k]
			}
			l[i*b+j] = v / l[j*b+j]
		}
	}
	return l, ok
}

// lowerInverse is the inverse of a lower triangle.
func (x *blockMat) lowerInverse(b int) (m blockMat) {
	for j := range b {
		m[j*b+j] = 1 / x[j*b+j]
		for i := j + 1; i < b; i++ {
			v := 0.0
			for k := j; k < i; k++ {
				v -= x[i*b+k] * m[k*b+j]
			}
			m[i*b+j] = v / x[i*b+i]
		}
	}
	return m
}

// lowerPart is the lower triangle of x with half of its diagonal: for symmetric x the only lower triangle T with T + Tᵀ = x.
func (x *blockMat) lowerPart(b int) (m blockMat) {
	for i := range b {
		copy(m[i*b:i*b+i], x[i*b:])
		m[i*b+i] = x[i*b+i] / 2
	}
	return m
}

func blockDot(x, y *blockVec) (sum float64) {
	for i, v := range x {
		sum += v * y[i]
	}
	return sum
}
