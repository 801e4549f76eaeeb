//go:build gpu && cgo

package cudatest

import (
	"os"
	"strings"
	"testing"

	"hbar/cuda/driver"
)

// Need skips the test if there is no device, and says why. If HBAR_LIBCUDA is set (to the emulator, where there is no GPU) the test
// fails instead.
func Need(t testing.TB) {
	t.Helper()
	err := driver.Available()
	if err != nil && os.Getenv("HBAR_LIBCUDA") != "" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
}

// Open returns device 0.
func Open(t testing.TB) *driver.Device {
	t.Helper()
	Need(t)
	d, err := driver.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// OnEmulator reports whether the device is the emulated one.
func OnEmulator() bool { return os.Getenv("HBAR_LIBCUDA") != "" }

// Emulated skips where the device's memory cannot be set by the test.
func Emulated(t *testing.T) {
	t.Helper()
	if !OnEmulator() {
		t.Skip("sets what the emulated device has: no HBAR_LIBCUDA")
	}
}

// Wants fails the test if an error does not contain all parts: the driver's call, a size, the message.
func Wants(t *testing.T, what string, err error, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("%s: error %v, want %q in it", what, err, p)
		}
	}
}

// Ramp is n different numbers.
func Ramp(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(i) + 0.5
	}
	return x
}
