package float16

import (
	"math"
	"testing"
)

func TestFloat32(t *testing.T) {
	for _, c := range []struct {
		bits uint16
		want float64
	}{{0, 0}, {0x3c00, 1}, {0xc000, -2}, {0x3555, 0.333251953125}, {0x7bff, 65504}, {1, 0x1p-24}, {0x03ff, 1023 * 0x1p-24}, {0x83ff, -1023 * 0x1p-24}, {0x0400, 0x1p-14}, {0x7c00, math.Inf(1)}, {0xfc00, math.Inf(-1)}} {
		if got := float64(Float32(c.bits)); got != c.want {
			t.Errorf("%#04x is %g, want %g", c.bits, got, c.want)
		}
	}
	if v := Float32(0x7e00); v == v {
		t.Errorf("0x7e00 is %g, want NaN", v)
	}
	if v := Float32(0x8000); v != 0 || !math.Signbit(float64(v)) {
		t.Errorf("0x8000 is %g, want −0", v)
	}
}
