package fokkerplanck

import (
	"fmt"
	"math"
	"math/cmplx"
	"math/rand/v2"
	"testing"
)

// TestTransform compares with the defining sum.
func TestTransform(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 4, 6, 8, 9, 12, 16, 24, 27, 48, 64, 72, 96, 128, 144, 192} {
		x := make([]complex128, n)
		for i := range x {
			x[i] = complex(rng.NormFloat64(), rng.NormFloat64())
		}
		want := make([]complex128, n)
		for k := range want {
			for j, v := range x {
				want[k] += v * cmplx.Rect(1, -2*math.Pi*float64(j*k%n)/float64(n))
			}
		}
		got := planFFT(n).transform(x, make([]complex128, n))
		for k := range want {
			// n roundings of terms of size 1, in both sums
			if err := cmplx.Abs(got[k] - want[k]); !(err < 4e-16*float64(n)+1e-15) {
				t.Errorf("n = %d, k = %d: error %g", n, k, err)
				break
			}
		}
	}
}

func TestPlanRefusesOtherLengths(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("length 10 accepted")
		}
	}()
	planFFT(10)
}

func BenchmarkTransform(b *testing.B) {
	for _, n := range []int{64, 192, 256, 384, 512} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			p, x, y := planFFT(n), make([]complex128, n), make([]complex128, n)
			for b.Loop() {
				p.transform(x, y)
			}
			flops := 5 * float64(n) * math.Log2(float64(n))
			b.ReportMetric(flops*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
		})
	}
}
