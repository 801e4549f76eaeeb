package simd

import (
	"math"
	"testing"
)

func TestNormals4(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		worst := 0.0
		for _, q := range []struct {
			seed          uint64
			stream, block uint32
			sample        uint64
			n, stride     int
		}{
			{0, 0, 0, 0, 0, 4},
			{1, 2, 3, 4, 1, 4},
			{math.MaxUint64, math.MaxUint32, math.MaxUint32, math.MaxUint64 - 20, 41, 4}, // the id wraps
			{12345678901234567, 5, 6, 1<<32 - 13, 40, 5},                                 // the low word overflows
			{7, 1, 9, 1<<40 + 3, 17, 64},
			{3, 1, 0, 0, 50000, 4},
		} {
			n := 0
			if q.n > 0 {
				n = (q.n-1)*q.stride + 4
			}
			z := newGuarded[float32](n, 3)
			im.Normals4(z.s, q.stride, q.seed, q.stream, q.block, q.sample, q.n)
			z.intact(t, "z", false)
			for i := range z.s {
				row, col := i/q.stride, i%q.stride
				if col >= 4 {
					if z.s[i] == z.s[i] {
						t.Fatalf("element %d between rows was written", i)
					}
					continue
				}
				id := q.sample + uint64(row)
				w := Philox4x32([4]uint32{q.block, q.stream, uint32(id), uint32(id >> 32)}, [2]uint32{uint32(q.seed), uint32(q.seed >> 32)})
				u := (float64(w[col&2]>>1) + 0.5) / (1 << 31)
				a := 2 * math.Pi * float64(w[col&2+1]) / (1 << 32)
				want := math.Sqrt(-2*math.Log(u)) * []float64{math.Cos(a), math.Sin(a)}[col&1]
				// radius to 3 roundings of up to 6.6, sine and cosine to 1.5 of 1
				tol := 3e-7 * math.Max(1, math.Sqrt(-2*math.Log(u)))
				close64(t, float64(z.s[i]), want, tol, "%+v: z[%d,%d]", q, row, col)
				worst = math.Max(worst, math.Abs(float64(z.s[i])-want))
			}
		}
		t.Logf("largest error %.2g", worst)
	})
}

// TestBoxMullerEdges: the definition at the ends of the range of u, where 1-u or u is 2⁻³².
func TestBoxMullerEdges(t *testing.T) {
	if a, b := boxMuller(0, 0); math.Abs(a-math.Sqrt(2*32*math.Ln2)) > 1e-15*a || b != 0 {
		t.Errorf("u = 2⁻³²: got %v, %v", a, b)
	}
	if a, _ := boxMuller(math.MaxUint32, 0); math.Abs(a-math.Sqrt(2.0/(1<<32))) > 1e-10*a { // the next term of the logarithm, u/4 = 6e-11
		t.Errorf("u = 1-2⁻³²: got %v", a)
	}
}

// TestNormalMoments: mean, variance, third and fourth moments and the correlations of the four columns of 2¹⁸ samples,
// within five standard errors.
func TestNormalMoments(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		const n = 1 << 18
		z := make([]float32, 4*n)
		im.Normals4(z, 4, 42, 1, 0, 0, n)
		var m [4][5]float64
		var cov [4][4]float64
		for i := range n {
			for a := range 4 {
				v := float64(z[4*i+a])
				p := 1.0
				for k := range 5 {
					m[a][k] += p / n
					p *= v
				}
				for b := range a {
					cov[a][b] += v * float64(z[4*i+b]) / n
				}
			}
		}
		se := 1 / math.Sqrt(n)
		for a := range 4 {
			close64(t, m[a][1], 0, 5*se, "mean of column %d", a)
			close64(t, m[a][2], 1, 5*math.Sqrt2*se, "variance of column %d", a)
			close64(t, m[a][3], 0, 5*math.Sqrt(15)*se, "third moment of column %d", a)
			close64(t, m[a][4], 3, 5*math.Sqrt(96)*se, "fourth moment of column %d", a)
			for b := range a {
				close64(t, cov[a][b], 0, 5*se, "covariance of columns %d and %d", a, b)
			}
		}
	})
}
