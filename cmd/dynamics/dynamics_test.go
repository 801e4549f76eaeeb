package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"gonum.org/v1/gonum/mat"

	"hbar/cmd/internal/ui"
	"hbar/data/npz"
	"hbar/dynamics"
)

// call runs the command in dir; DIR in the arguments is that folder.
func call(dir, args string) (string, error) {
	var out bytes.Buffer
	err := run(context.Background(), strings.Fields(strings.ReplaceAll(args, "DIR", dir)), ui.Streams{Out: &out, Err: &bytes.Buffer{}})
	return out.String(), err
}

func must(t *testing.T, dir, args string) string {
	t.Helper()
	out, err := call(dir, args)
	if err != nil {
		t.Fatalf("%s: %v", args, err)
	}
	return out
}

// parsed is the JSON as its readers see it.
type parsed struct {
	Method string
	Modes  []struct {
		Re, Im, Tau *float64
		ReCI        []*float64 `json:"re_ci"`
		ImCI        []*float64 `json:"im_ci"`
		Class       string
	}
	LogLik       *float64
	Observations int
}

func read(t *testing.T, path string) (p parsed) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// oscillator writes a model of z̈ = −4z − 2γż + noise q, whose position and velocity are seen with noise r.
func oscillator(t *testing.T, path string, gamma, q, r float64, outputs int) {
	t.Helper()
	square := func(x ...float64) *npz.Array { return &npz.Array{Shape: []int{2, 2}, X: x} }
	a := map[string]*npz.Array{"A": square(0, 1, -4, -2*gamma), "Q": square(0, 0, 0, q), "P0": square(0.5, 0, 0, 2), "m0": {Shape: []int{2}, X: []float64{1, 0}},
		"C": square(1, 0, 0, 1), "R": square(r*r, 0, 0, r*r)}
	if outputs == 1 {
		a["C"], a["R"] = &npz.Array{Shape: []int{1, 2}, X: []float64{1, 0}}, &npz.Array{Shape: []int{1, 1}, X: []float64{r * r}}
	}
	if err := npz.Write(path, a); err != nil {
		t.Fatal(err)
	}
}

// From a model to sequences, to their spectrum, to a model of them: by least squares, and through hidden states where there
// is measurement noise.
func TestRoundTrip(t *testing.T) {
	for _, c := range []struct {
		name            string
		gamma, q, noise float64
		outputs         int
		method, class   string
	}{
		{"damped, whole", 0.3, 1, 0, 2, "edmd", "decay"},
		{"damped, noise", 0.3, 1, 0.2, 2, "ml", "decay"},
		{"damped, position alone", 0.3, 1, 0.1, 1, "ml", "decay"},
		{"undamped without noise, position alone", 0, 0, 0, 1, "edmd", "neutral"},
		{"undamped, noise", 0, 0, 0.2, 1, "ml", "neutral"},
	} {
		dir := t.TempDir()
		oscillator(t, filepath.Join(dir, "truth.npz"), c.gamma, c.q, c.noise, c.outputs)
		must(t, dir, "generate --model DIR/truth.npz --steps 600 --dt 0.2 --out DIR/x.npy")
		out := must(t, dir, "fit --data DIR/x.npy --dt 0.2 --out DIR/m.json --json DIR/s.json --plot DIR/s.png")
		s := read(t, filepath.Join(dir, "s.json"))
		if s.Method != c.method || len(s.Modes) < 2 {
			t.Fatalf("%s: method %s, %d modes\n%s", c.name, s.Method, len(s.Modes), out)
		}
		want := math.Sqrt(4 - c.gamma*c.gamma)
		for k, sign := range []float64{1, -1} {
			m := s.Modes[k]
			re, im := (*m.ReCI[1]-*m.ReCI[0])/3.92, (*m.ImCI[1]-*m.ImCI[0])/3.92
			if math.Abs(*m.Re+c.gamma) > 4*re || math.Abs(*m.Im-sign*want) > 4*im || re > 0.1 || m.Class != c.class || math.Abs(*m.Tau**m.Re+1) > 1e-12 {
				t.Errorf("%s: mode %d is %g ± %g, %g ± %g, %s; want %g, %g, %s\n%s", c.name, k, *m.Re, re, *m.Im, im, m.Class, -c.gamma, sign*want, c.class, out)
			}
		}
		if b, err := os.ReadFile(filepath.Join(dir, "s.png")); err != nil || !bytes.HasPrefix(b, []byte("\x89PNG")) {
			t.Errorf("%s: picture: %v", c.name, err)
		}
		if c.q == 0 && c.noise == 0 {
			continue // no density
		}
		must(t, dir, "loglik --model DIR/truth.npz --data DIR/x.npy --dt 0.2 --json DIR/truth.json")
		must(t, dir, "loglik --model DIR/m.json --data DIR/x.npy --dt 0.2 --json DIR/fit.json")
		truth, fit := read(t, filepath.Join(dir, "truth.json")), read(t, filepath.Join(dir, "fit.json"))
		if truth.Observations != 600 || fit.Observations != 600 || math.Abs(*truth.LogLik-*fit.LogLik) > 25 {
			t.Errorf("%s: log p of the truth %g, of the fit %g, of %d observations", c.name, *truth.LogLik, *fit.LogLik, fit.Observations)
		}
	}
}

// The log density of a file is that of the dense joint Gaussian of its values.
func TestLoglik(t *testing.T) {
	dir := t.TempDir()
	oscillator(t, filepath.Join(dir, "m.npz"), 0.3, 1, 0.2, 1)
	rng := rand.New(rand.NewPCG(1, 1))
	times, x := []float64{}, []float64{}
	for i := range 12 {
		times, x = append(times, float64(i)+0.8*rng.Float64()), append(x, rng.NormFloat64())
	}
	x[4] = math.NaN()
	if err := npz.Write(filepath.Join(dir, "x.npz"), map[string]*npz.Array{"x": {Shape: []int{12, 1}, X: x}, "times": {Shape: []int{12}, X: times}}); err != nil {
		t.Fatal(err)
	}
	out := must(t, dir, "loglik --model DIR/m.npz --data DIR/x.npz --json DIR/l.json --states DIR/z.npz")
	got := read(t, filepath.Join(dir, "l.json"))

	sys := &dynamics.System{A: mat.NewDense(2, 2, []float64{0, 1, -4, -0.6}), Q: mat.NewDense(2, 2, []float64{0, 0, 0, 1})}
	var rows []int
	for i, v := range x {
		if v == v {
			rows = append(rows, i)
		}
	}
	n := len(rows)
	mean, cov := make([]float64, n), mat.NewSymDense(n, nil)
	for a, i := range rows {
		to := sys.Step(times[i] - times[0])
		mean[a] = to.F.At(0, 0)
		var p mat.Dense // of the state at i
		p.Product(to.F, mat.NewDense(2, 2, []float64{0.5, 0, 0, 2}), to.F.T())
		p.Add(&p, to.P)
		for b := a; b < n; b++ {
			step := sys.Step(times[rows[b]] - times[i])
			var c mat.Dense
			c.Mul(step.F, &p)
			v := c.At(0, 0)
			if a == b {
				v += 0.04
			}
			cov.SetSym(a, b, v)
		}
	}
	var chol mat.Cholesky
	if !chol.Factorize(cov) {
		t.Fatal("not positive definite")
	}
	dev := mat.NewVecDense(n, nil)
	for a, i := range rows {
		dev.SetVec(a, x[i]-mean[a])
	}
	var y mat.VecDense
	if err := chol.SolveVecTo(&y, dev); err != nil {
		t.Fatal(err)
	}
	want := -0.5 * (float64(n)*math.Log(2*math.Pi) + chol.LogDet() + mat.Dot(dev, &y))
	const rounding = 1e-12 // of a sum of 11 log densities of size one, and of a Cholesky factor
	if got.LogLik == nil || math.Abs(*got.LogLik-want) > rounding || got.Observations != n || !strings.Contains(out, "11 observations") {
		t.Errorf("log p %v of %d observations, dense %g\n%s", got.LogLik, got.Observations, want, out)
	}
	z, err := npz.Read(filepath.Join(dir, "z.npz"))
	if err != nil || fmt.Sprint(z["mean0"].Shape, z["variance0"].Shape, z["times0"].Shape) != "[12 2] [12 2] [12]" {
		t.Errorf("states %v, %v", z, err)
	}
}

// Sequences come with their densities, by any form of file, and growth is clamped.
func TestGenerate(t *testing.T) {
	dir := t.TempDir()
	oscillator(t, filepath.Join(dir, "m.npz"), 0.3, 1, 0.2, 2)
	out := must(t, dir, "generate --model DIR/m.npz --n 3 --steps 50 --dt 0.1 --seed 4 --out DIR/x.npz")
	a, err := npz.Read(filepath.Join(dir, "x.npz"))
	if err != nil || fmt.Sprint(a["x"].Shape, a["times"].Shape, a["loglik"].Shape) != "[3 50 2] [50] [3]" || !strings.Contains(out, "standard error") {
		t.Fatalf("%v, %v\n%s", a, err, out)
	}
	must(t, dir, "loglik --model DIR/m.npz --data DIR/x.npz --json DIR/l.json")
	if l, sum := read(t, filepath.Join(dir, "l.json")), a["loglik"].X[0]+a["loglik"].X[1]+a["loglik"].X[2]; math.Abs(*l.LogLik-sum) > 1e-12*math.Abs(sum) /* the order of three terms */ || l.Observations != 150 {
		t.Errorf("log p %g of %d observations, of the generator %g", *l.LogLik, l.Observations, sum)
	}
	must(t, dir, "generate --model DIR/m.npz --n 1 --steps 50 --dt 0.1 --seed 4 --out DIR/y.csv")
	one, err := dynamics.Load([]string{filepath.Join(dir, "y.csv")}, dynamics.ReadOptions{})
	if err != nil || one.P != 2 || one.Len() != 50 || one.Records[0].X[99] != a["x"].X[99] {
		t.Errorf("the first of three sequences is not that of one: %v", err)
	}
	oscillator(t, filepath.Join(dir, "g.npz"), -1, 1, 0.2, 2)
	out = must(t, dir, "generate --model DIR/g.npz --steps 5000 --dt 0.1 --out DIR/x.npy")
	if strings.Count(out, "clamped   λ = 1") != 2 {
		t.Errorf("growth of e⁵⁰⁰:\n%s", out)
	}
}

// Polynomials make a Markov model that is not a state space.
func TestNonlinear(t *testing.T) {
	dir := t.TempDir()
	oscillator(t, filepath.Join(dir, "m.npz"), 0.3, 1, 0, 2)
	must(t, dir, "generate --model DIR/m.npz --steps 800 --dt 0.2 --out DIR/x.npy")
	must(t, dir, "fit --data DIR/x.npy --dt 0.2 --poly 2 --branch omit --out DIR/p.json --json DIR/s.json")
	must(t, dir, "fit --data DIR/x.npy --dt 0.2 --fourier 10 --branch omit --out DIR/f.json")
	for _, m := range []string{"p", "f"} {
		out := must(t, dir, "generate --model DIR/"+m+".json --n 2 --steps 100 --out DIR/y.npz")
		a, err := npz.Read(filepath.Join(dir, "y.npz"))
		if err != nil || fmt.Sprint(a["x"].Shape) != "[2 100 2]" || !(a["loglik"].X[1] < 1e3) && !strings.Contains(out, "clamped") {
			t.Errorf("%v, %v\n%s", a, err, out)
		}
	}
	if _, err := call(dir, "loglik --model DIR/p.json --data DIR/x.npy --dt 0.2 --states DIR/z.npz"); err == nil || !strings.Contains(err.Error(), "no hidden states") {
		t.Errorf("states of a lifted model: error %v", err)
	}
}

func TestText(t *testing.T) {
	dir := t.TempDir()
	text := strings.Repeat("the quick brown fox jumps over the lazy dog and runs away from the other dogs. ", 60)
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	out := must(t, dir, "spectrum --data DIR/a.txt --json DIR/s.json")
	if s := read(t, filepath.Join(dir, "s.json")); len(s.Modes) < 5 || s.Method != "edmd" {
		t.Errorf("%d modes by %s\n%s", len(s.Modes), s.Method, out)
	}
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	oscillator(t, filepath.Join(dir, "m.npz"), 0.3, 1, 0.2, 1)
	must(t, dir, "generate --model DIR/m.npz --steps 50 --dt 0.2 --out DIR/x.npz")
	for name, text := range map[string]string{"const.csv": "1,2\n2,2\n3,2\n1,2\n", "nan.csv": "1,\n2,\n3,\n1,\n", "back.csv": "t,x\n0,1\n2,2\n1,3\n", "flip.csv": flip(),
		"short.csv": "1\n2\n4\n3\n", "one.csv": "1,2\n", "twice.csv": twice(), "bad.txt": "ab\xffcd", "bad.json": "{}"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	before, _ := os.ReadDir(dir)
	for args, want := range map[string]string{
		"":                              "say what to do: spectrum, fit, loglik, generate",
		"spectra":                       `"spectra" is not one of spectrum`,
		"spectrum":                      "--data FILE is missing",
		"spectrum --data DIR/none.npy":  "no such file",
		"spectrum --data DIR/const.csv": "x[1] is constant, 2",
		"spectrum --data DIR/nan.csv":   "x[1] is NaN everywhere",
		"spectrum --data DIR/back.csv":  "times should increase",
		"spectrum --data DIR/flip.csv":  "branch of the logarithm",
		"spectrum --data DIR/short.csv --delays 5":                        "needs 6 snapshots",
		"spectrum --data DIR/one.csv":                                     "no trajectory has more than one time",
		"spectrum --data DIR/twice.csv --method ml":                       "x[1] repeats x[0]",
		"spectrum --data DIR/none.csv":                                    "none.csv: no such file",
		"spectrum --data DIR/bad.txt":                                     "not UTF-8 text: byte 2",
		"spectrum --data DIR/x.npz --dt 0.1":                              "--dt 0.1 does not go with the times in the data, which are 0.2 apart",
		"spectrum --data DIR/x.npz --json DIR/none/s.json":                "there is no folder",
		"spectrum --data DIR/x.npz --json DIR/x.npz":                      "would replace the file of --data",
		"spectrum --data DIR/x.npz --method ml --delays 3":                "--method ml has hidden states in place of lifts",
		"spectrum --data DIR/x.npz --method edmd --order 2":               "belong to --method ml",
		"spectrum --data DIR/x.npz --delays 0":                            "--delays",
		"spectrum --data DIR/x.npz --method ml --order 24":                "are too few for 24 states",
		"fit --data DIR/x.npz --out DIR":                                  "is a directory",
		"fit --data DIR/x.npz --out DIR/m2.npz":                           "have .json", // loglik would read it as an archive
		"loglik --data DIR/x.npz":                                         "--model FILE is missing",
		"loglik --model DIR/bad.json --data DIR/x.npz":                    "is not a model that fit wrote",
		"loglik --model DIR/m.npz --data DIR/const.csv":                   "the data have 2 outputs, the model has 1",
		"generate --model DIR/m.npz --out DIR/x.dat":                      "written as .npz, .npy or .csv",
		"generate --model DIR/m.npz --n 1000000 --steps 1000 --out x.npz": "more than 2²⁸ numbers",
	} {
		if _, err := call(dir, args); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want %s", args, err, want)
		}
	}
	if after, _ := os.ReadDir(dir); len(after) != len(before) {
		t.Errorf("failed runs leave files: %v", after)
	}
}

// twice is one output and the same in other units.
func twice() string {
	rng := rand.New(rand.NewPCG(4, 1))
	var b strings.Builder
	x := 0.0
	for range 100 {
		x = 0.8*x + rng.NormFloat64()
		fmt.Fprintf(&b, "%g,%g\n", x, 1+100*x)
	}
	return b.String()
}

// Outputs of which no two are seen at times that follow each other have no pairs of snapshots, and have a likelihood.
func TestGapsEverywhere(t *testing.T) {
	dir := t.TempDir()
	oscillator(t, filepath.Join(dir, "m.npz"), 0.3, 1, 0.1, 2)
	must(t, dir, "generate --model DIR/m.npz --steps 400 --dt 0.2 --out DIR/x.csv")
	d, err := dynamics.Load([]string{filepath.Join(dir, "x.csv")}, dynamics.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r := d.Records[0]
	for i := range r.Len() {
		r.X[2*i+i%2] = math.NaN()
	}
	if err := npz.Write(filepath.Join(dir, "x.npz"), map[string]*npz.Array{"x": {Shape: []int{400, 2}, X: r.X}, "times": {Shape: []int{400}, X: r.Times}}); err != nil {
		t.Fatal(err)
	}
	out := must(t, dir, "spectrum --data DIR/x.npz --json DIR/s.json")
	s := read(t, filepath.Join(dir, "s.json"))
	if m := s.Modes[0]; s.Method != "ml" || !(math.Abs(*m.Re+0.3) < 0.25) || !(math.Abs(*m.Im-math.Sqrt(4-0.09)) < 0.25) { // the record is 80 long: an error of 0.09
		t.Errorf("method %s, λ = %g%+gi\n%s", s.Method, *m.Re, *m.Im, out)
	}
}

// flip is a series that turns by half a turn in each step.
func flip() string {
	rng := rand.New(rand.NewPCG(3, 1))
	var b strings.Builder
	x := 0.0
	for range 300 {
		x = -0.9*x + rng.NormFloat64()
		fmt.Fprintln(&b, x)
	}
	return b.String()
}

func TestInterrupt(t *testing.T) {
	dir := t.TempDir()
	oscillator(t, filepath.Join(dir, "m.npz"), 0.3, 1, 0.2, 1)
	must(t, dir, "generate --model DIR/m.npz --steps 50 --dt 0.2 --out DIR/x.npz")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, args := range []string{"fit --data DIR/x.npz --method ml --out DIR/f.json", "generate --model DIR/m.npz --out DIR/y.npz"} {
		err := run(ctx, strings.Fields(strings.ReplaceAll(args, "DIR", dir)), ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
		if !errors.Is(err, ui.ErrInterrupted) || !strings.Contains(err.Error(), "nothing is written") {
			t.Errorf("%s: error %v", args, err)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 2 {
		t.Errorf("interrupted runs leave %v", files)
	}
}

// The comparison of kinds on a text: equal parameters, paired differences, all fields.
func TestAblate(t *testing.T) {
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(5, 1))
	words := strings.Fields("the licence grants you a right to copy and change this work under terms that follow here without any warranty")
	var b strings.Builder
	for b.Len() < 14_000 {
		b.WriteString(words[rng.IntN(len(words))] + " ")
	}
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	out := must(t, dir, "ablate --text DIR/a.txt --modes 8 --width 16 --window 32 --steps 150 --batch 8 --lr 0.01 --seeds 2 --json DIR/a.json")
	var r ablateResult
	raw, err := os.ReadFile(filepath.Join(dir, "a.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Runs) != 6 || len(r.Summary) != 3 || r.Summary[1].Gap == nil || r.Summary[0].Gap != nil {
		t.Fatalf("%+v", r)
	}
	for _, run := range r.Runs {
		if run.Within < 0.5 || run.Within > 4 || math.Abs(float64(run.Parameters)/float64(r.Runs[0].Parameters)-1) > 0.01 {
			t.Errorf("%+v\n%s", run, out)
		}
	}
	gap := float64(r.Runs[1].Within-r.Runs[0].Within+r.Runs[4].Within-r.Runs[3].Within) / 2
	const rounding = 1e-14 // of means of numbers of size one
	if math.Abs(gap-float64(r.Summary[1].Gap.Mean)) > rounding || r.Summary[1].Kind != "conservative" {
		t.Errorf("gap %g, want %g", r.Summary[1].Gap.Mean, gap)
	}
	out = must(t, dir, "ablate --task recall --distractors 5 --modes 8 --width 16 --steps 20 --seeds 1")
	if strings.Count(out, "recall    ") != 3 {
		t.Error(out)
	}
	if _, err := call(dir, "ablate --task recall --distractors 5 --modes 8 --width 16 --steps 20 --seeds 1 --lr 1e38"); err == nil || !strings.Contains(err.Error(), "training diverges in all 3 runs") {
		t.Errorf("a rate of 10³⁸: error %v", err)
	}
	if _, err := call(dir, "ablate --text DIR/a.txt --window 1000"); err == nil || !strings.Contains(err.Error(), "take a longer text or a shorter --window") {
		t.Errorf("a window beyond the text: error %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "b.txt"), []byte("ab\xff"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := call(dir, "ablate --text DIR/b.txt"); err == nil || !strings.Contains(err.Error(), "not UTF-8 text: byte 2 is 0xff") {
		t.Errorf("no UTF-8: error %v", err)
	}
}

// Delays that take measurement noise for dynamics give way to maximum likelihood, unless they were asked for by method.
func TestDelaysWithNoise(t *testing.T) {
	dir := t.TempDir()
	oscillator(t, filepath.Join(dir, "m.npz"), 0.3, 1, 0.3, 1)
	must(t, dir, "generate --model DIR/m.npz --steps 600 --dt 0.2 --out DIR/x.npy")
	for method, want := range map[string]string{"auto": "ml", "edmd": "edmd"} {
		out := must(t, dir, "spectrum --data DIR/x.npy --dt 0.2 --delays 3 --branch omit --json DIR/s.json --method "+method)
		s := read(t, filepath.Join(dir, "s.json"))
		if s.Method != want || (method == "auto") != (math.Abs(*s.Modes[0].Re+0.3) < 0.25) { // least squares is biased by the measurement noise, the likelihood is not
			t.Errorf("%s: %s, Re λ = %g\n%s", method, s.Method, *s.Modes[0].Re, out)
		}
	}
}

// TestVersion: a command with verbs has --version of its own.
func TestVersion(t *testing.T) {
	var out bytes.Buffer
	if err := run(context.Background(), []string{"--version"}, ui.Streams{Out: &out, Err: &out}); !errors.Is(err, pflag.ErrHelp) || !strings.HasPrefix(out.String(), "dynamics (hbar) ") {
		t.Errorf("%v: %s", err, out.String())
	}
}
