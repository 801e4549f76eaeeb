package main

import (
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hbar/checkpoint"
	"hbar/cmd/internal/gputest"
	"hbar/cmd/internal/rundir"
	"hbar/cmd/internal/ui"
	"hbar/train"
)

// weightDistance is the distance of the weights of two models relative to their size.
func weightDistance(t *testing.T, a, b string) float64 {
	t.Helper()
	var m [2]*checkpoint.Model
	for i, dir := range []string{a, b} {
		var err error
		if m[i], err = checkpoint.Load(filepath.Join(dir, train.ModelFile)); err != nil {
			t.Fatal(err)
		}
	}
	num, den := 0.0, 0.0
	weights := func(m *checkpoint.Model) [][]float32 {
		if m.Net != nil {
			return m.Net.Weights
		}
		var all [][]float32
		for _, p := range m.Params {
			all = append(all, p.Data)
		}
		return all
	}
	a0, b0 := slices.Concat(weights(m[0])...), slices.Concat(weights(m[1])...)
	for j, v := range a0 {
		e := float64(v) - float64(b0[j])
		num += e * e
		den += float64(v) * float64(v)
	}
	return math.Sqrt(num / den)
}

// trained is the command without its pictures, which would take an emulated GPU long.
func trained(t *testing.T, args string) {
	t.Helper()
	quiet := ui.Streams{Out: io.Discard, Err: io.Discard}
	o, err := parse(strings.Fields(args), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	device, err := openDevice(o.Device)
	if err != nil {
		t.Fatal(err)
	}
	set, err := o.load()
	if err == nil {
		err = o.openRunDirectory()
	}
	if err == nil {
		err = rundir.WriteJSON(filepath.Join(o.Dir, optionsFile), o)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer o.lock.Close()
	if err := o.trainOn(device, io.Discard); err != nil {
		t.Fatal(err)
	}
	job, err := train.New(set, o.Options)
	if err != nil {
		t.Fatal(err)
	}
	if on := device.gpu != nil; on != (o.Device.Kind == "cuda") {
		t.Errorf("%s: on %s", args, device)
	}
	if _, _, err := o.fit(t.Context(), job, set, nil, device, quiet); err != nil {
		t.Fatalf("%s: %v", args, err)
	}
	if err := device.close(); err != nil {
		t.Error(err)
	}
}

// The same flags give the same run on CPU and GPU, to what rounding makes of some dozen steps; also where a run changes from one
// to the other on the way.
func TestDevice(t *testing.T) {
	gputest.NeedGPU(t)
	const tol = 1e-5
	for _, kind := range []string{"--times grid", "--times uniform --time fourier --residual --clip 1 --act gelu", "--schedule edm"} {
		t.Chdir(t.TempDir())
		flags := kind + " --width 12 --depth 2 --batch 20 --n-data 100 --decay none --log-every 8"
		for _, c := range []string{
			flags + " --steps 40 --out cpu --device cpu", flags + " --steps 40 --out gpu --device cuda",
			flags + " --steps 16 --out mixed --device cuda", "--resume --steps 32 --out mixed --device cpu", "--resume --steps 40 --out mixed --device cuda",
		} {
			trained(t, c)
		}
		for _, other := range []string{"gpu", "mixed"} {
			if e := weightDistance(t, "cpu", other); !(e <= tol) {
				t.Errorf("%s: weights on %s differ by %.2g", kind, other, e)
			}
			want, err := readLog(filepath.Join("cpu", logFile))
			if err != nil {
				t.Fatal(err)
			}
			got, err := readLog(filepath.Join(other, logFile))
			if err != nil || len(got) != 5 || len(want) != 5 {
				t.Fatalf("%s: %d and %d lines of log, %v", kind, len(got), len(want), err)
			}
			for i := range got {
				if got[i].Step != want[i].Step || !(math.Abs(float64(got[i].Loss-want[i].Loss)) <= tol*float64(want[i].Loss)) {
					t.Errorf("%s: %s logs loss %v of step %d, want %v of %d", kind, other, got[i].Loss, got[i].Step, want[i].Loss, want[i].Step)
				}
			}
		}
	}
}

// Ctrl-C ends a run on the GPU soon, with a checkpoint of the steps taken.
func TestDeviceInterrupt(t *testing.T) {
	gputest.NeedGPU(t)
	dir := t.TempDir()
	c, out := command(dir, strings.Fields("--width 8 --depth 1 --batch 8 --steps 1000000 --n-data 100 --log-every 4 --device cuda --out run")...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if r, _ := readLog(filepath.Join(dir, "run", logFile)); len(r) > 4 {
			break
		}
		if time.Now().After(deadline) {
			c.Process.Kill()
			t.Fatalf("no log after 20 s:\n%s", out)
		}
	}
	asked := time.Now()
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := c.Wait(); !errors.As(err, &exit) || exit.ExitCode() != ui.ExitInterrupted {
		t.Fatalf("interrupted process: %v\n%s", err, out)
	}
	if took := time.Since(asked); took > 5*time.Second { // about one, where nothing else runs
		t.Errorf("stopped after %v", took)
	}
	if s, err := checkpoint.LoadState(filepath.Join(dir, "run", train.StateFile)); err != nil || s.Step < 16 {
		t.Errorf("checkpoint %v, %v", s, err)
	}
}

// A GPU that is not there or has no room: an error if it was asked for, else the CPU, and why.
func TestDeviceMissing(t *testing.T) {
	args := strings.Join(tiny("--steps", "4", "--overwrite", "--out", filepath.Join(t.TempDir(), "run")), " ")
	gputest.Missing(t, args)
	gputest.NeedEmulator(t)
	const memory = "HBAR_EMU_MEMORY=5000"
	out, err := gputest.Command(t, args+" --device cuda", memory)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != ui.ExitFailure || !strings.Contains(out, "CUDA_ERROR_OUT_OF_MEMORY") || !strings.Contains(out, "asked for") {
		t.Errorf("no room: %v\n%s", err, out)
	}
	if out, err = gputest.Command(t, args, memory); err != nil || !strings.Contains(out, "device    cpu (cuMemAllocFromPoolAsync: CUDA_ERROR_OUT_OF_MEMORY") {
		t.Errorf("no room, auto: %v\n%s", err, out)
	}
}

// Networks of convolutions and attention train on a GPU as on the CPU, in one precision and another, and a run goes on from one device on the
// other. The batch is drawn by the same numbers; three steps leave float32's rounding.
func TestNetworkOnGPU(t *testing.T) {
	gputest.NeedGPU(t)
	args := "--data digits --n-data 32 --net dit --width 24 --depth 1 --heads 2 --patch 4 --steps 3 --batch 4 --no-grids --overwrite --out "
	dir := t.TempDir()
	weights := func(name, more string) string {
		t.Helper()
		to := filepath.Join(dir, name)
		trained(t, args+to+" "+more)
		return to
	}
	want := weights("cpu", "--device cpu")
	var out strings.Builder
	if err := run(t.Context(), strings.Fields(args+filepath.Join(dir, "said")+" --device cuda --precision bf16"), ui.Streams{Out: &out, Err: io.Discard}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), " GFLOP/s of products in bf16 on tensor cores") {
		t.Errorf("no peak of the GPU in\n%s", &out)
	}
	for _, c := range []struct {
		name, more  string
		least, most float64
	}{{"gpu", "--device cuda", 0, 1e-4}, {"micro", "--device cuda --micro-batch 3", 0, 1e-4}, {"bf16", "--device cuda --precision bf16", 1e-6, 3e-2}} {
		e := weightDistance(t, want, weights(c.name, c.more))
		t.Logf("%s: weights differ by %.2g of their size", c.more, e)
		if !(e >= c.least && e < c.most) {
			t.Errorf("%s: weights differ by %.2g of their size; want %g to %g", c.more, e, c.least, c.most)
		}
	}
	for _, bad := range []string{"--net mlp --device cuda", "--net unet --device cpu"} {
		if _, err := parse(strings.Fields("--data digits --precision bf16 "+bad), io.Discard); err == nil || !strings.Contains(err.Error(), "--precision bf16 is for") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
