package loglik

import (
	"math"
	"testing"
)

func TestFixed(t *testing.T) {
	for _, c := range []struct {
		v             float64
		fixed, signed string
	}{{1.25, "1.25000", "+1.25000"}, {-3, "-3.00000", "-3.00000"}, {9999999, "9999999.00000", "+9999999.00000"}, {-7.5516912345e18, "-7.55169e+18", "-7.55169e+18"}, {1e300, "1e+300", "+1e+300"}, {math.NaN(), "–", "–"}, {math.Inf(1), "+Inf", ""}} {
		if Fixed(c.v) != c.fixed || !math.IsInf(c.v, 0) && Signed(c.v) != c.signed {
			t.Errorf("%g: %s, %s", c.v, Fixed(c.v), Signed(c.v))
		}
	}
}
