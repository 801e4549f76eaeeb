package samplecmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hbar/checkpoint"
	"hbar/cmd/internal/gputest"
	"hbar/cmd/internal/ui"
	"hbar/data"
)

// swissRoll is the network that checkpoint/testdata/README.md describes, trained and saved by PyTorch.
const swissRoll = "../../../checkpoint/testdata/sr_simple.safetensors"

// sample runs the command in a folder of its own and returns its samples.
func sample(t *testing.T, args string) (x []float64, dir, stdout string) {
	t.Helper()
	dir = t.TempDir()
	var out, diag bytes.Buffer
	full := append([]string{"--device", "cpu", "--out", filepath.Join(dir, "x.npy")}, strings.Fields(strings.ReplaceAll(args, "DIR", dir))...)
	if err := run(context.Background(), full, ui.Streams{Out: &out, Err: &diag}); err != nil {
		t.Fatalf("%s: %v", args, err)
	}
	return read(t, filepath.Join(dir, "x.npy")).X, dir, out.String()
}

func read(t *testing.T, path string) *data.Dataset {
	t.Helper()
	set, err := data.LoadWith(path, data.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// The same seed gives the same samples for any batch, any number of workers and any range of sample numbers.
func TestReproducible(t *testing.T) {
	const base = "--checkpoint " + swissRoll + " --n 70 --steps 30 --seed 12 "
	for _, method := range []string{"--sampler em", "--sampler exp2 --grid lambda --h 0.5", "--sampler heun --grid karras --h 0"} {
		want, _, _ := sample(t, base+method)
		if len(want) != 140 {
			t.Fatalf("%d numbers for 70 samples", len(want))
		}
		for _, more := range []string{" --batch 1", " --batch 33 --workers 3", " --workers 1", " --trajectory 0.5"} {
			if got, _, _ := sample(t, base+method+more); !slices.Equal(got, want) {
				t.Errorf("%s%s changes the samples", method, more)
			}
		}
		if got, _, _ := sample(t, base+method+" --first 50 --n 20"); !slices.Equal(got, want[100:]) {
			t.Errorf("%s: samples 50 to 69 by themselves differ", method)
		}
		if got, _, _ := sample(t, base+method+" --seed 13"); got[0] == want[0] {
			t.Errorf("%s: another seed, the same sample", method)
		}
	}
}

// h = 0, same seed: the fused float32 samples and those of a plain float64 loop differ by rounding.
func TestReference(t *testing.T) {
	for _, method := range []string{"--sampler em", "--sampler exp2 --grid lambda"} {
		args := "--checkpoint " + swissRoll + " --n 60 --h 0 --seed 3 --steps 400 " + method
		x, _, _ := sample(t, args)
		want, _, _ := sample(t, args+" --reference")
		for i := range x {
			// Roundings of float32 states and networks in each of 400 steps: 6e-8 each, some of which add up. Measured 2.4e-6.
			if !(math.Abs(x[i]-want[i]) < 3e-5) {
				t.Errorf("%s: number %d is %v, in float64 %v", method, i, x[i], want[i])
			}
		}
		if slices.Equal(x, want) {
			t.Errorf("%s: float32 and float64 agree to the last bit: the reference did not run", method)
		}
	}
}

// The swiss roll that comes out has the moments of the data: standard deviation about 1 (it was divided by 6.865).
func TestSwissRoll(t *testing.T) {
	x, _, out := sample(t, "--checkpoint "+swissRoll+" --device auto --n 500 --steps 100 --sampler exp2 --grid lambda --plot DIR/x.png")
	set, err := data.ByName("swissroll", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	y := make([]float64, len(set.X))
	set.Norm.Apply(y, set.X, 2)
	for j := range 2 {
		m, s := moments(x, j)
		wantM, wantS := moments(y, j)
		// standard errors are 1/√500 = 0.045 of each mean, 0.03 of each deviation
		if !(math.Abs(m-wantM) < 0.2) || !(math.Abs(s/wantS-1) < 0.12) {
			t.Errorf("coordinate %d: mean %.3f, std %.3f; data %.3f, %.3f", j, m, s, wantM, wantS)
		}
	}
	for _, want := range []string{"D = 2, 3 layers of 128, schedule simple\nnetwork   activation silu (assumed: the checkpoint does not say; --act does), score prediction (assumed: the checkpoint does not say; --prediction does)\n", gputest.AutoDevice(), "sample-steps/s", "500 × 2", "picture"} {
		if !strings.Contains(out, want) {
			t.Errorf("report lacks %q:\n%s", want, out)
		}
	}
}

func moments(x []float64, j int) (mean, std float64) {
	n := float64(len(x) / 2)
	for i := j; i < len(x); i += 2 {
		mean += x[i] / n
	}
	for i := j; i < len(x); i += 2 {
		std += (x[i] - mean) * (x[i] - mean) / n
	}
	return mean, math.Sqrt(std)
}

func TestTrajectory(t *testing.T) {
	x, dir, out := sample(t, "--checkpoint "+swissRoll+" --n 9 --steps 10 --batch 4 --trajectory 1,0.52,0.01")
	states := read(t, filepath.Join(dir, "x-trajectory.npy"))
	times := read(t, filepath.Join(dir, "x-times.npy"))
	if states.D != 6 || states.N() != 9 {
		t.Fatalf("states: %d of shape %v", states.N(), states.Shape)
	}
	if len(times.X) != 3 || times.X[0] != 1 || math.Abs(times.X[1]-0.505) > 1e-15 /* a rounding */ || times.X[2] != 0.01 {
		t.Errorf("times %v", times.X)
	}
	if !strings.Contains(out, "states at t = 1 0.505 0.01") {
		t.Errorf("report lacks the times:\n%s", out)
	}
	for i := range 9 {
		if !slices.Equal(states.X[6*i+4:6*i+6], x[2*i:2*i+2]) {
			t.Errorf("sample %d: the state at Tmin is %v, the sample %v", i, states.X[6*i+4:6*i+6], x[2*i:2*i+2])
		}
	}
	// the state at Tmax is the prior, the same for every method
	_, dir, _ = sample(t, "--checkpoint "+swissRoll+" --n 9 --steps 3 --sampler heun --trajectory 1")
	if prior := read(t, filepath.Join(dir, "x-trajectory.npy")); prior.X[4] != states.X[12] {
		t.Errorf("prior %v by heun, %v by em", prior.X[4], states.X[12])
	}
}

// variant saves a changed copy of the swiss-roll checkpoint.
func variant(t *testing.T, change func(*checkpoint.Model)) string {
	t.Helper()
	m, err := checkpoint.Load(swissRoll)
	if err != nil {
		t.Fatal(err)
	}
	change(m)
	path := filepath.Join(t.TempDir(), "m.safetensors")
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Samples come out in data units.
func TestDataUnits(t *testing.T) {
	norm := data.Normalisation{Mean: []float64{5, -3}, Scale: []float64{2, 10}}
	path := variant(t, func(m *checkpoint.Model) { m.Norm = norm })
	const args = " --n 20 --steps 20 --trajectory 0.5"
	x, dir, _ := sample(t, "--checkpoint "+path+args)
	y, dirY, _ := sample(t, "--checkpoint "+swissRoll+args)
	s := read(t, filepath.Join(dir, "x-trajectory.npy")).X
	z := read(t, filepath.Join(dirY, "x-trajectory.npy")).X
	norm.Invert(y, y, 2)
	norm.Invert(z, z, 2)
	for i := range x {
		if !(math.Abs(x[i]-y[i]) < 1e-5) || !(math.Abs(s[i]-z[i]) < 1e-5) { // roundings to float32 of numbers up to 30
			t.Errorf("number %d: %v, want %v; state %v, want %v", i, x[i], y[i], s[i], z[i])
		}
	}
}

// A checkpoint that does not name its schedule takes --schedule, and only then samples.
func TestScheduleFlag(t *testing.T) {
	path := variant(t, func(m *checkpoint.Model) { m.Schedule = "" })
	err := run(context.Background(), []string{"--checkpoint", path, "--out", filepath.Join(t.TempDir(), "x.npy")}, ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
	if err == nil || !strings.Contains(err.Error(), "give it with --schedule") {
		t.Errorf("error %v", err)
	}
	if _, _, out := sample(t, "--checkpoint "+swissRoll+" --schedule cosine --n 5 --steps 5"); !strings.Contains(out, "schedule  cosine, as --schedule says; the network was trained for simple\n") {
		t.Errorf("another schedule than the checkpoint's, and not a word:\n%s", out)
	}
	got, _, _ := sample(t, "--checkpoint "+path+" --schedule simple --n 5 --steps 5")
	want, _, _ := sample(t, "--checkpoint "+swissRoll+" --n 5 --steps 5")
	if !slices.Equal(got, want) {
		t.Error("--schedule simple is not the schedule simple of the metadata")
	}
}

// Samples that leave the range of float64, here of data of 10³⁰⁸: they are kept, and counted aloud.
func TestNonFinite(t *testing.T) {
	path := variant(t, func(m *checkpoint.Model) { m.Norm = data.Normalisation{Scale: []float64{1.3e308, 1}} })
	dir := t.TempDir()
	var out, diag bytes.Buffer
	if err := run(context.Background(), []string{"--device", "cpu", "--checkpoint", path, "--n", "100", "--steps", "40", "--out", dir + "/x.npy"}, ui.Streams{Out: &out, Err: &diag}); err != nil {
		t.Fatal(err)
	}
	plain, _, _ := sample(t, "--checkpoint "+swissRoll+" --n 100 --steps 40")
	n, first := 0, -1
	for i := 0; i < len(plain); i += 2 {
		if math.Abs(plain[i])*1.3 > 1.797693134862315 {
			if n == 0 {
				first = i / 2
			}
			n++
		}
	}
	file, err := os.ReadFile(dir + "/x.npy") // our reader refuses infinities
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 || n == 100 || !bytes.Contains(file, []byte("'shape': (100, 2)")) {
		t.Errorf("%d samples overflow; the file begins %.120q", n, file)
	}
	if want := fmt.Sprintf("not finite: %d of 100 samples, the first in row %d", n, first); !strings.Contains(diag.String(), want) {
		t.Errorf("messages lack %q:\n%s", want, diag.String())
	}
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	net := variant(t, func(*checkpoint.Model) {}) // a copy: a slip here may cost it
	out := " --out " + filepath.Join(dir, "x.npy")
	for args, want := range map[string]string{
		"--n 5":                               "--checkpoint FILE is missing",
		"--checkpoint none.safetensors" + out: "no checkpoint none.safetensors; train one with",
		"--checkpoint " + swissRoll + " --schedule cosin" + out:                                       `schedule "cosin" unknown; have simple, cosine, vp, subvp, ve, edm, ddpm, ddpm-cosine`,
		"--checkpoint " + swissRoll + " --sampler rk4" + out:                                          `--sampler: "rk4" unknown; have em, exp, exp2, heun`,
		"--checkpoint " + swissRoll + " --grid log" + out:                                             `--grid: "log" unknown; have t, lambda, karras`,
		"--checkpoint " + swissRoll + " --h -1" + out:                                                 "--h: -1 is out of range; need ≥ 0",
		"--checkpoint " + swissRoll + " --n 0" + out:                                                  "--n: 0 is out of range; need ≥ 1",
		"--checkpoint " + swissRoll + " --steps 0" + out:                                              "--steps: 0 is out of range",
		"--checkpoint " + swissRoll + " --device cuda:9" + out:                                        "--device cuda:9: cuda: ",
		"--checkpoint " + swissRoll + " --device tpu" + out:                                           "auto, cpu, cuda",
		"--checkpoint " + swissRoll + " --trajectory 7" + out:                                         "cannot record at t = 7; the run goes from 1 to 0.01",
		"--checkpoint " + swissRoll + " --out none/x.npy":                                             "--out none/x.npy: there is no folder none",
		"--checkpoint " + swissRoll + " --plot none/x.png" + out:                                      "--plot none/x.png: there is no folder none",
		"--checkpoint " + swissRoll + " --first 18446744073709551615":                                 "sample numbers end at 2⁶⁴−1",
		"--checkpoint sample_test.go" + out:                                                           "sample_test.go",
		"--checkpoint " + swissRoll + " --out " + dir + " --n 3":                                      "is a directory",
		"--checkpoint " + swissRoll + " --smapler em" + out:                                           "did you mean --sampler?",
		"--checkpoint " + net + " --out " + net:                                                       "would replace the file of --checkpoint",
		"--checkpoint " + net + out + " --plot " + filepath.Join(dir, "x.npy"):                        "--plot " + filepath.Join(dir, "x.npy") + " would replace the file of --out",
		"--checkpoint " + net + out + " --plot " + dir:                                                "is a directory",
		"--checkpoint " + net + out + " --trajectory 0.5 --plot " + filepath.Join(dir, "x-times.npy"): "pictures are PNG files",
	} {
		err := run(context.Background(), strings.Fields(args), ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", args, err, want)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 0 {
		t.Errorf("failed runs leave %v, %v", files, err)
	}
}

// Ctrl-C: nothing is left behind, and the exit status says so.
func TestInterrupt(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := run(ctx, strings.Fields("--checkpoint "+swissRoll+" --n 1000 --trajectory 0.5 --out "+filepath.Join(dir, "x.npy")), ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
	if !errors.Is(err, ui.ErrInterrupted) {
		t.Errorf("error %v", err)
	}
	if code := ui.Report("sample", err, &bytes.Buffer{}); code != ui.ExitInterrupted {
		t.Errorf("exit status %d", code)
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("an interrupted run leaves %v", files)
	}
}

// --denoise ends with the posterior mean: the samples of the fused network and of the float64 loop agree, and states on the way
// stay those of the process.
func TestDenoise(t *testing.T) {
	const base = "--checkpoint " + swissRoll + " --n 30 --h 0 --seed 3 --steps 100 --sampler exp2 --grid lambda --trajectory 0.01"
	plain, _, _ := sample(t, base)
	x, dir, out := sample(t, base+" --denoise")
	want, _, _ := sample(t, base+" --denoise --reference")
	if !strings.Contains(out, "then denoised") {
		t.Errorf("the report says nothing of the last step:\n%s", out)
	}
	last := read(t, filepath.Join(dir, "x-trajectory.npy")).X
	moved := 0.0
	for i := range x {
		if math.Abs(last[i]-plain[i]) > 1e-6 { // both float32 of the same state
			t.Errorf("state %v at Tmin, without the denoising step %v", last[i], plain[i])
		}
		if !(math.Abs(x[i]-want[i]) < 1e-3) { // float32 over 100 steps, as in TestReference
			t.Errorf("number %d is %v, in float64 %v", i, x[i], want[i])
		}
		moved = max(moved, math.Abs(x[i]-plain[i]))
	}
	if moved == 0 || moved > 1 { // σ(Tmin) = 0.1 for this schedule, data of size 10
		t.Errorf("denoising moves samples by at most %v", moved)
	}
}

// A run that is stopped keeps the samples that are finished: they begin the file that it would have written.
func TestInterruptKeeps(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // as soon as samples come
		for {
			found, _ := filepath.Glob(filepath.Join(dir, ".x.npy.tmp-*"))
			for _, f := range found {
				if st, err := os.Stat(f); err == nil && st.Size() > 4096 {
					cancel()
					return
				}
			}
			time.Sleep(time.Millisecond)
		}
	}()
	args := "--checkpoint " + swissRoll + " --device cpu --n 500000000 --steps 20 --seed 4 --out " + filepath.Join(dir, "x.npy")
	err := run(ctx, strings.Fields(args), ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
	if !errors.Is(err, ui.ErrInterrupted) {
		t.Fatalf("error %v", err)
	}
	x := read(t, filepath.Join(dir, "x.npy")).X
	n := len(x) / 2
	if want := fmt.Sprintf("--first %d --n %d and another --out give the others", n, 500000000-n); !strings.Contains(err.Error(), want) {
		t.Errorf("error %v\nlacks %s", err, want)
	}
	want, _, _ := sample(t, "--checkpoint "+swissRoll+" --n 300 --steps 20 --seed 4")
	if len(x) < len(want) || !slices.Equal(x[:len(want)], want) {
		t.Errorf("%d samples are kept, and they are not the first of the whole run", n)
	}
}
