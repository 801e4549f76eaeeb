// Package gputest is what the commands' tests of --device share. They need a GPU or the emulated driver: see docs/cuda.md.
package gputest

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"hbar/cmd/internal/ui"
	"hbar/cuda"
)

const asCommand = "HBAR_TEST_AS_COMMAND"

// Main is a TestMain whose test binary is the command itself where Command runs it.
func Main(m *testing.M, command func()) {
	if os.Getenv(asCommand) != "" {
		command()
		return
	}
	os.Exit(m.Run())
}

// Command runs the command in another process, with changes of the environment: what depends on the environment at the
// start of a process.
func Command(t *testing.T, args string, env ...string) (output string, err error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, strings.Fields(args)...)
	c.Env = append(append(os.Environ(), asCommand+"=1"), env...)
	b, err := c.CombinedOutput()
	return string(b), err
}

// NeedGPU skips where there is no device, but not if HBAR_LIBCUDA names a driver.
func NeedGPU(t *testing.T) {
	t.Helper()
	err := cuda.Available()
	if err != nil && os.Getenv("HBAR_LIBCUDA") != "" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
}

// NeedEmulator skips where the device is not the emulated one, whose memory tests can set.
func NeedEmulator(t *testing.T) {
	t.Helper()
	NeedGPU(t)
	if os.Getenv("HBAR_LIBCUDA") == "" {
		t.Skip("the emulated driver is not in use: no HBAR_LIBCUDA")
	}
}

// NeedDriverBuild skips builds that cannot use any GPU.
func NeedDriverBuild(t *testing.T) {
	t.Helper()
	if err := cuda.Available(); err != nil && strings.Contains(err.Error(), "no CUDA in this build") {
		t.Skip(err)
	}
}

// AutoDevice is what the report says of --device auto in this build, on this machine.
func AutoDevice() string {
	if err := cuda.Available(); err != nil {
		return "device    cpu (" + strings.TrimPrefix(err.Error(), "cuda: ") + ")"
	}
	return "device    cuda:0 "
}

// Missing runs the command where there is no driver, no visible device, no such device: --device cuda fails and says why, auto
// computes on the CPU and says why. args is a command line that works.
func Missing(t *testing.T, args string) {
	t.Helper()
	NeedDriverBuild(t)
	for _, c := range []struct{ env, why string }{
		{"HBAR_LIBCUDA=/nowhere/libcuda.so", "no GPU: no driver: /nowhere/libcuda.so: cannot open"},
		{"CUDA_VISIBLE_DEVICES=", "no GPU: cuInit: CUDA_ERROR_NO_DEVICE"},
	} {
		if err := cuda.Available(); err != nil && strings.Contains(err.Error(), "no driver:") && !strings.Contains(c.why, "no driver:") {
			continue // there is none that could see or hide devices
		}
		out, err := Command(t, args+" --device cuda", c.env)
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != ui.ExitFailure || !strings.Contains(out, "--device cuda: cuda: "+c.why) {
			t.Errorf("%s, cuda: %v\n%s", c.env, err, out)
		}
		out, err = Command(t, args, c.env)
		if err != nil || !strings.Contains(out, "device    cpu ("+c.why) {
			t.Errorf("%s, auto: %v\n%s", c.env, err, out)
		}
	}
	if cuda.Available() != nil {
		return
	}
	out, err := Command(t, args+" --device cuda:7")
	if err == nil || !strings.Contains(out, "--device cuda:7: cuda: device 7 does not exist; have 0 to ") {
		t.Errorf("cuda:7: %v\n%s", err, out)
	}
}
