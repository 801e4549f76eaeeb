//go:build gpu && cgo

package programs

import (
	"testing"

	"hbar/cuda/exec"
)

// The rate of products in registers is a rate, in every precision.
func TestPeak(t *testing.T) {
	d, _ := device(t)
	for _, p := range []exec.Precision{exec.FP32, exec.TF32, exec.BF16, exec.F16} {
		if rate, err := Peak(d, p); err != nil || !(rate > 0) {
			t.Errorf("%v: %g operations a second, %v", p, rate, err)
		}
	}
}
