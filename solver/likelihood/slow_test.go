package likelihood

import (
	"testing"

	"hbar/kernels/simd"
)

// slow skips a study of minutes in a short run without assembly. What it says of the mathematics does not depend on the kernels, and the short run with assembly has it.
func slow(t *testing.T) {
	t.Helper()
	if testing.Short() && simd.Best().Name == "generic" {
		t.Skip("takes minutes without assembly")
	}
}
