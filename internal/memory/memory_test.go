package memory

import (
	"errors"
	"math"
	"testing"
)

func TestBytes(t *testing.T) {
	for b, want := range map[float64]string{0: "0 B", 812: "812 B", 1000: "1.0 kB", 3.44e6: "3.4 MB", 61.2e9: "61 GB", 999.6e6: "1.0 GB", 3e20: "300 EB", 3e30: "3000000000000 EB", math.Inf(1): "unlimited"} {
		if got := Bytes(b); got != want {
			t.Errorf("%g bytes read %q, want %q", b, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	need := func(batch int) float64 { return 1e6 * float64(batch) }
	n := Need{{"activations", need(5000)}, {"weights", 1e9}, {"the rest", 1}}
	suggest := Suggest(Option{"--batch", 5000, func(b int) float64 { return need(b) + 1e9 }}, Option{"--width", 10, func(int) float64 { return 1e12 }})
	err := Check(n, Limit{4e9, "ulimit -v"}, suggest)
	const want = "this needs 6.0 GB (activations 5.0 GB, weights 1.0 GB) of memory; there are 4.0 GB (ulimit -v); --batch 2600 would fit"
	if err == nil || err.Error() != want {
		t.Errorf("error %v\nwant  %s", err, want)
	}
	var e *TooMuch
	if !errors.As(err, &e) {
		t.Errorf("error of type %T", err)
	}
	for _, l := range []float64{6.7e9, math.Inf(1)} {
		if err := Check(n, Limit{l, "available"}, suggest); err != nil {
			t.Error(err)
		}
	}
}

func TestLargest(t *testing.T) {
	for _, c := range []struct {
		usable float64
		most   int
		want   int
	}{{99, 1000, 9}, {100, 1000, 10}, {100, 7, 7}, {0.5, 1000, 0}, {1e300, 1 << 40, 1 << 40}, {50, 0, 0}} {
		if got := Largest(c.usable, c.most, func(n int) float64 { return float64(n) * float64(n) }); got != c.want {
			t.Errorf("largest n ≤ %d with n² ≤ %g is %d, want %d", c.most, c.usable, got, c.want)
		}
	}
	for n, want := range map[int]int{7: 7, 99: 99, 123: 120, 65536: 65000, 0: 0} {
		if got := Round(n); got != want {
			t.Errorf("%d is rounded to %d, want %d", n, got, want)
		}
	}
}
