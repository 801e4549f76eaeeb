package kernels

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestTimeFeature(t *testing.T) {
	var raw [1]float32
	if f := (TimeFeature{}); f.Width() != 1 {
		t.Errorf("width %d of the raw time", f.Width())
	}
	TimeFeature{}.Fill(raw[:], 0.3)
	if raw[0] != 0.3 {
		t.Errorf("raw time %v", raw[0])
	}

	r := rand.New(rand.NewPCG(1, 2))
	freqs := []float32{0, 0.125, 0.25, 0.5, 0.75, -1, 1e-20, 3e6}
	for range 500 {
		freqs = append(freqs, float32(16*r.NormFloat64()))
	}
	f := TimeFeature{Freqs: freqs}
	dst := make([]float32, f.Width())
	for _, tau := range []float64{0, 1, -1, 0.01, math.Pi, 80} {
		f.Fill(dst, tau)
		for i, q := range freqs {
			x := math.Remainder(float64(q)*tau, 1)
			s, c := math.Sincos(2 * math.Pi * x)
			// Half a unit in the last place for the rounding to float32, which near 1 is 2⁻²⁵, and the series' 2·10⁻¹⁰.
			const tol = 0x1p-25 + 1e-9
			if !(math.Abs(float64(dst[i])-s) <= tol && math.Abs(float64(dst[len(freqs)+i])-c) <= tol) {
				t.Fatalf("f = %v, τ = %v: %v, %v; want %v, %v", q, tau, dst[i], dst[len(freqs)+i], s, c)
			}
		}
	}
	f.Fill(dst, math.NaN())
	if dst[3] == dst[3] {
		t.Error("the features of NaN are numbers")
	}
}

func BenchmarkTimeFeature(b *testing.B) {
	f := TimeFeature{Freqs: make([]float32, 64)}
	for i := range f.Freqs {
		f.Freqs[i] = float32(i) - 30.3
	}
	dst := make([]float32, f.Width())
	for b.Loop() {
		f.Fill(dst, 0.37)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/frequency")
}
