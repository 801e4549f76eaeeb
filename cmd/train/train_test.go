package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hbar/checkpoint"
	"hbar/cmd/internal/gputest"
	"hbar/cmd/internal/ui"
	"hbar/train"
)

// TestMain lets the test binary be the command: a process that can be interrupted.
func TestMain(m *testing.M) {
	if os.Getenv("HBAR_TEST_MAIN") == "train" {
		main()
	}
	gputest.Main(m, main)
}

// command is the command as a process in dir.
func command(dir string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	c := exec.Command(os.Args[0], args...)
	c.Dir, c.Env = dir, append(os.Environ(), "HBAR_TEST_MAIN=train")
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	return c, &out
}

// call runs the command in this process, in a directory of its own.
func call(t *testing.T, args ...string) (dir, out string, err error) {
	t.Helper()
	dir = t.TempDir()
	t.Chdir(dir)
	var o, e bytes.Buffer
	err = run(context.Background(), args, ui.Streams{Out: &o, Err: &e})
	return dir, o.String() + e.String(), err
}

// tiny are options of a run that takes no time.
func tiny(more ...string) []string {
	return append(strings.Fields("--width 16 --depth 1 --steps 64 --batch 64 --n-data 200"), more...)
}

func TestRunLeavesEverything(t *testing.T) {
	dir, out, err := call(t, tiny("--seed", "5")...)
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(dir, "runs", "swissroll-simple")
	m, err := checkpoint.Load(filepath.Join(at, train.ModelFile))
	if err != nil {
		t.Fatal(err)
	}
	if m.Schedule != "simple" || m.Data != "swissroll" || m.Prediction != "edm" || m.Spec.Width != 16 || !(m.SigmaData > 0.5 && m.SigmaData < 1.5) {
		t.Errorf("model of schedule %q, data %q, prediction %q, width %d, σ_data %g", m.Schedule, m.Data, m.Prediction, m.Spec.Width, m.SigmaData)
	}
	if s, err := checkpoint.LoadState(filepath.Join(at, train.StateFile)); err != nil || s.Step != 64 {
		t.Errorf("state %+v, %v", s, err)
	}
	var o map[string]any
	b, err := os.ReadFile(filepath.Join(at, optionsFile))
	if err == nil {
		err = json.Unmarshal(b, &o)
	}
	if err != nil || o["seed"] != 5.0 || o["width"] != 16.0 || o["weight"] != "g2" || o["device"] != "auto" || o["version"] == "" {
		t.Errorf("options.json: %v, %v", o, err)
	}
	records, err := readLog(filepath.Join(at, logFile))
	if err != nil || len(records) != 64 || records[63].Step != 64 || !(records[63].Loss > 0) {
		t.Errorf("%d lines in the log, %v", len(records), err)
	}
	for _, name := range []string{lossFile, samplesFile} {
		f, err := os.Open(filepath.Join(at, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := png.Decode(f); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		f.Close()
	}
	for _, want := range []string{"swissroll, 200 samples of 2", "64 steps of 64", "loss ", "look at", "cmd/sample --checkpoint runs/swissroll-simple/model.safetensors"} {
		if !strings.Contains(out, want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
}

// The same seed gives the same file, whatever the number of workers; the second run gets a name of its own.
func TestSameSeedSameModel(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	quiet := ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}
	for _, more := range [][]string{{"--workers", "1"}, {"--workers", "3"}, {"--seed", "1"}} {
		if err := run(context.Background(), tiny(more...), quiet); err != nil {
			t.Fatal(err)
		}
	}
	load := func(name string) *checkpoint.Model {
		m, err := checkpoint.Load(filepath.Join(dir, "runs", name, train.ModelFile))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	a, b, c := load("swissroll-simple"), load("swissroll-simple-2"), load("swissroll-simple-3")
	if !sameWeights(a, b) {
		t.Error("the same seed gives other weights with other workers")
	}
	if sameWeights(a, c) {
		t.Error("another seed gives the same weights")
	}
}

func sameWeights(a, b *checkpoint.Model) bool {
	for i := range a.Params {
		for j, v := range a.Params[i].Data {
			if math.Float32bits(v) != math.Float32bits(b.Params[i].Data[j]) {
				return false
			}
		}
	}
	return true
}

// A process that gets Ctrl-C leaves a checkpoint, says how to go on, and exits with 130; --resume then ends with the bits
// and the log of a run that was left alone.
func TestInterruptAndResume(t *testing.T) {
	dir := t.TempDir()
	args := strings.Fields("--width 32 --depth 2 --steps 3000 --batch 64 --n-data 200 --log-every 10 --device cpu")
	c, out := command(dir, append(args, "--out", "whole")...)
	if err := c.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	c, out = command(dir, append(args, "--out", "cut")...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	logged := func() int { r, _ := readLog(filepath.Join(dir, "cut", logFile)); return len(r) }
	for deadline := time.Now().Add(20 * time.Second); logged() < 5; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			c.Process.Kill()
			t.Fatalf("no log after 20 s:\n%s", out)
		}
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := c.Wait(); !errors.As(err, &exit) || exit.ExitCode() != ui.ExitInterrupted {
		t.Fatalf("interrupted process: %v, want status %d\n%s", err, ui.ExitInterrupted, out)
	}
	for _, want := range []string{"train: stopping in order", "train: interrupted after step ", ui.Program("train") + " --resume --out cut"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
	s, err := checkpoint.LoadState(filepath.Join(dir, "cut", train.StateFile))
	if err != nil {
		t.Fatal(err)
	}
	if s.Step < 50 || s.Step >= 3000 {
		t.Fatalf("checkpoint of step %d", s.Step)
	}
	// A crash after the checkpoint may have logged further: those lines must go.
	f, err := os.OpenFile(filepath.Join(dir, "cut", logFile), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("{\"step\":2990,\"loss\":1}\n{\"step\":30")
	f.Close()

	c, out = command(dir, "--resume", "--out", "cut")
	if err := c.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	whole, err := checkpoint.Load(filepath.Join(dir, "whole", train.ModelFile))
	if err != nil {
		t.Fatal(err)
	}
	cut, err := checkpoint.Load(filepath.Join(dir, "cut", train.ModelFile))
	if err != nil || !sameWeights(whole, cut) {
		t.Errorf("the resumed run ends with other weights: %v", err)
	}
	a, _ := readLog(filepath.Join(dir, "whole", logFile))
	b, err := readLog(filepath.Join(dir, "cut", logFile))
	if err != nil || len(a) != 300 || len(b) != len(a) {
		t.Fatalf("logs of %d and %d lines, want 300: %v", len(a), len(b), err)
	}
	for i := range a {
		if a[i].Step != b[i].Step || a[i].Loss != b[i].Loss {
			t.Errorf("line %d: step %d, loss %v; uninterrupted step %d, loss %v", i, b[i].Step, b[i].Loss, a[i].Step, a[i].Loss)
		}
	}
}

func TestResumeFindsLatest(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	quiet := ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}
	var usage ui.UsageError
	if err := run(context.Background(), []string{"--resume"}, quiet); !errors.As(err, &usage) || !strings.Contains(err.Error(), "there is no run runs/swissroll-simple") {
		t.Errorf("nothing to resume: %v", err)
	}
	for range 2 {
		if err := run(context.Background(), tiny("--decay", "none"), quiet); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(context.Background(), []string{"--resume", "--steps", "80"}, quiet); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint64{"swissroll-simple": 64, "swissroll-simple-2": 80} {
		if s, err := checkpoint.LoadState(filepath.Join("runs", name, train.StateFile)); err != nil || s.Step != want {
			t.Errorf("%s is at step %d, want %d: %v", name, s.Step, want, err)
		}
	}
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if c, out := command(dir, tiny("--out", "run")...); c.Run() != nil {
		t.Fatal(out)
	}
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"--precision f16", 2, `--precision: "f16": gradients need a wider range than half precision has; have fp32, tf32, bf16`},
		{"--schedule cosin", 2, `--schedule: "cosin" unknown; have simple, cosine, vp, subvp, ve, edm, ddpm, ddpm-cosine`},
		{"--lr -1", 2, "--lr: -1 is out of range; need > 0"},
		{"--times lognormal --importance on", 2, "importance sampling is for times grid and uniform"},
		{"--out run", 2, "run holds a run already; go on with it by --resume"},
		{"--resume --out nowhere", 2, "nowhere holds no run"},
		{"--resume --out run --lr 0.5 --n-data 100", 1, "run was made with other options: --lr 0.002, now 0.5; --n-data 200, now 100; leave these out"},
		{"--batch 16777216 --width 4096", 1, "would fit"},
		{"--batch 16777216 --width 4096 --out new", 1, "would fit"},
		{"--n-data 1000000000000000", 1, "would fit"},
		{"--data swisroll", 1, `set "swisroll" unknown; have swissroll, gaussians25`},
		{"--data none.npy", 1, "none.npy"},
		{"--data file.npy", 1, "file.npy"},
		{"--out file/run", 1, "not a directory"},
		{"--device cuda:99", 1, "--device cuda:99: cuda: "},
	} {
		p, out := command(dir, append(tiny(), strings.Fields(c.args)...)...)
		if strings.Contains(c.args, "--resume") {
			p, out = command(dir, strings.Fields(c.args)...)
		}
		err := p.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != c.status || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: %v, want status %d and %q:\n%s", c.args, err, c.status, c.want, out)
		}
		if n := strings.Count(out.String(), "train: "); n != 1 || strings.Contains(out.String(), "goroutine") {
			t.Errorf("%s: not one line of error:\n%s", c.args, out)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("failed calls left %v", left)
	}
}

func TestDryRun(t *testing.T) {
	dir, out, err := call(t, "--dry-run", "--preset", "paper", "--data", "gaussians25", "--schedule", "cosine")
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("--dry-run left %v", left)
	}
	var o options
	if err := json.Unmarshal([]byte(out[strings.Index(out, "{"):]), &o); err != nil {
		t.Fatal(err)
	}
	// The experiments of arXiv:2403.11262: 3000 points, batch 512, Adam 1e-3, 80000 steps, t uniform on 1000 grid points, 128-128-128 swish, weight g².
	p := o.Options
	if p.Steps != 80000 || p.Batch != 512 || p.LR != 1e-3 || p.Decay != "none" || p.Warmup != 0 || p.EMA != 0 || p.Clip != 0 ||
		p.WeightDecay != 0 || p.Times != "grid" || p.GridPoints != 1000 || p.Importance || p.Width != 128 || p.Depth != 3 ||
		p.Act != "silu" || p.Residual || p.Time != "raw" || p.Prediction != "score" || p.Weight != "g2" || p.Schedule != "cosine" {
		t.Errorf("--preset paper is %+v", p)
	}
	if !strings.Contains(out, "gaussians25, 3,000 samples of 2") || !strings.Contains(out, "runs/gaussians25-cosine") {
		t.Errorf("output:\n%s", out)
	}
}

func TestOwnData(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	var csv strings.Builder
	for i := range 60 {
		csv.WriteString(strings.Join([]string{num(100 + float64(i%7)), num(3 * float64(i%11)), num(-5 + float64(i%3))}, ",") + "\n")
	}
	if err := os.WriteFile("my points.csv", []byte(csv.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	quiet := ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}
	if err := run(context.Background(), strings.Split("--data|my points.csv|--width|16|--depth|1|--steps|20|--schedule|edm", "|"), quiet); err != nil {
		t.Fatal(err)
	}
	m, err := checkpoint.Load(filepath.Join("runs", "my points-edm", train.ModelFile))
	if err != nil {
		t.Fatal(err)
	}
	if m.Spec.D != 3 || len(m.Norm.Mean) != 3 || m.Columns != nil || !(math.Abs(m.Norm.Scale[0]-2) < 0.02) || !(math.Abs(m.Norm.Scale[1]-9.5) < 0.02) || m.Prediction != "edm" || math.Abs(m.SigmaData-1) > 1e-6 { // standard deviations of the columns that the test writes, to a hundredth
		t.Errorf("D %d, normalisation %+v, prediction %s, σ_data %g", m.Spec.D, m.Norm, m.Prediction, m.SigmaData)
	}
}

// A run is resumed from another folder with the data it began with, and says from which step it goes on.
func TestResumeElsewhere(t *testing.T) {
	dir, _, err := call(t, "--out", "none", "--dry-run")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("points.csv", []byte("1,2\n2,1\n0,4\n3,3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	quiet := ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}
	if err := run(context.Background(), tiny("--n-data", "0", "--data", "points.csv", "--out", "run", "--decay", "none"), quiet); err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	var out bytes.Buffer
	resume := []string{"--resume", "--steps", "80", "--out", filepath.Join(dir, "run")}
	if err := run(context.Background(), resume, ui.Streams{Out: &out, Err: &bytes.Buffer{}}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "resumed   from step 64 of 80\n") || !strings.Contains(out.String(), "memory    about ") {
		t.Errorf("output:\n%s", out.String())
	}
	points := filepath.Join(dir, "points.csv")
	if err := os.WriteFile(points, []byte("1,2\n2,1\n0,4\n3,4\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(context.Background(), resume, quiet); err == nil || !strings.Contains(err.Error(), "other data") {
		t.Errorf("other numbers in the file: %v", err)
	}
	if err := os.Remove(points); err != nil {
		t.Fatal(err)
	}
	if err := run(context.Background(), resume, quiet); err == nil || !strings.Contains(err.Error(), "name them by --data") {
		t.Errorf("no file: %v", err)
	}
}

func num(v float64) string { b, _ := json.Marshal(v); return string(b) }

func TestHelp(t *testing.T) {
	c, out := command(t.TempDir(), "--help")
	if err := c.Run(); err != nil || !strings.Contains(out.String(), "Usage: train [options]") || !strings.Contains(out.String(), "Examples") {
		t.Errorf("%v\n%s", err, out)
	}
}
