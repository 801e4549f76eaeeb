package main

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hbar/checkpoint"
	"hbar/data/npz"
	"hbar/internal/memory"
	"hbar/internal/rates"
	"hbar/kernels"
	"hbar/kernels/cpu"
	"hbar/nets"
)

// Networks and their derivatives are PyTorch's, in both precisions and layouts.
func TestGolden(t *testing.T) {
	for _, network := range []string{"unet", "unet_shifted", "dit", "dit1d"} {
		in, want := golden(t, network)
		dir := t.TempDir()
		write(t, dir, "first.npz", in)
		write(t, dir, "first-want.npz", want)
		for _, arrays := range []map[string]*npz.Array{in, want} {
			for name, a := range arrays {
				arrays[name] = channelsLastOf(a)
			}
		}
		write(t, dir, "last.npz", in)
		write(t, dir, "last-want.npz", want)
		for _, c := range []struct{ precision, tol string }{
			{"fp32", "2e-5"},  // third derivatives in float32 lose a factor of some ten of its 6e-8, the tolerance of the reference
			{"fp64", "1e-11"}, // sums of some thousand terms
		} {
			for _, order := range []string{"first", "last"} {
				out := must(t, dir, "--checkpoint "+goldenDir+network+" --eval DIR/"+order+".npz --out DIR/out.npz --layout channels-"+order+
					" --precision "+c.precision+" --compare DIR/"+order+"-want.npz --tol "+c.tol+" --json DIR/r.json")
				for name := range want {
					if !strings.Contains(out, name+"  ") {
						t.Errorf("%s, %s: no line for %s:\n%s", network, c.precision, name, out)
					}
				}
				if got := read(t, dir, "out.npz"); !slices.Equal(npz.Names(got), npz.Names(want)) {
					t.Errorf("%s: arrays %v, want %v", network, npz.Names(got), npz.Names(want))
				}
				var r result
				readJSON(t, dir, "r.json", &r)
				if len(r.Differences) != len(want) || r.Samples != in["x"].Shape[0] || r.Precision != c.precision {
					t.Errorf("%s: JSON %+v", network, r)
				}
			}
			b, err := os.ReadFile(filepath.Join(dir, "out.npz"))
			if descr := map[string]string{"fp32": "<f4", "fp64": "<f8"}[c.precision]; err != nil || strings.Count(string(b), descr) != len(want) {
				t.Errorf("%s: %d of %d arrays are %s, %v", c.precision, strings.Count(string(b), descr), len(want), descr, err)
			}
		}
	}
}

// noise makes an array of n×tail standard normals.
func noise(sample uint64, n int, tail ...int) *npz.Array {
	a := &npz.Array{Shape: append([]int{n}, tail...)}
	d := 1
	for _, v := range tail {
		d *= v
	}
	f := make([]float32, n*d)
	kernels.Normals(f, kernels.Noise{Seed: 5, Sample0: sample}, 0, n, d)
	for _, v := range f {
		a.X = append(a.X, float64(v))
	}
	return a
}

// MLPs of our own: the derivatives belong to the network, and a file of many samples has the bits of its parts.
func TestMLP(t *testing.T) {
	const n, d = 300, 2
	dir := t.TempDir()
	in := map[string]*npz.Array{"x": noise(0, n, d), "t": noise(1000, n), "u": noise(2000, n, d), "v": noise(3000, n, d), "probe": noise(4000, n, d)}
	for i, v := range in["t"].X {
		in["t"].X[i] = math.Abs(v) / 4
	}
	write(t, dir, "in.npz", in)
	const base = "--checkpoint " + swissRoll + " --eval DIR/in.npz --out DIR/"
	must(t, dir, base+"64.npz --precision fp64")
	must(t, dir, base+"32.npz --compare DIR/64.npz --tol 2e-5 --workers 1")
	out := read(t, dir, "64.npz")

	dot := func(a, b []float64, i int) float64 { return a[d*i]*b[d*i] + a[d*i+1]*b[d*i+1] }
	const h = 1e-5
	at := func(sign float64, along string) []float64 { // the network at x ± h u
		moved := map[string]*npz.Array{"t": in["t"], "x": {Shape: in["x"].Shape}}
		for i, x := range in["x"].X {
			moved["x"].X = append(moved["x"].X, x+sign*h*in[along].X[i])
		}
		write(t, dir, "moved.npz", moved)
		must(t, dir, "--checkpoint "+swissRoll+" --eval DIR/moved.npz --out DIR/moved-out.npz --precision fp64")
		return read(t, dir, "moved-out.npz")["out"].X
	}
	plus, minus := at(1, "u"), at(-1, "u")
	for i := range n {
		if a, b := dot(in["v"].X, out["jvp"].X, i), dot(out["vjp"].X, in["u"].X, i); !(math.Abs(a-b) < 1e-11*(1+math.Abs(a))) { // float64 sums of some hundred terms through all layers
			t.Fatalf("sample %d: ⟨v, Ju⟩ = %g, ⟨Jᵀv, u⟩ = %g", i, a, b)
		}
		for k := range d { // the difference quotient errs by h² times third derivatives, and by rounding over h
			want := (plus[d*i+k] - minus[d*i+k]) / (2 * h)
			if got := out["jvp"].X[d*i+k]; !(math.Abs(got-want) < 1e-5*(1+math.Abs(want))) {
				t.Fatalf("sample %d: jvp %g, difference quotient %g", i, got, want)
			}
		}
	}
	whole := read(t, dir, "32.npz")
	some := map[string]*npz.Array{}
	for name, a := range in {
		each := len(a.X) / n
		some[name] = &npz.Array{Shape: append([]int{7}, a.Shape[1:]...), X: a.X[291*each : 298*each]}
	}
	write(t, dir, "in.npz", some)
	must(t, dir, base+"some.npz")
	for name, a := range read(t, dir, "some.npz") {
		each := len(whole[name].X) / n
		if !slices.Equal(a.X, whole[name].X[291*each:298*each]) {
			t.Errorf("%s of seven samples by themselves differs", name)
		}
	}
}

// An MLP of pixels takes images in either order and rows; time embeddings by Fourier features work too.
func TestPixels(t *testing.T) {
	const n = 3
	spec := nets.MLP{D: 12, Width: 8, Depth: 2, Act: "gelu", Residual: true, Fourier: 3, FourierScale: 2}
	params, err := spec.Initial(1)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	m := checkpoint.Model{Spec: spec, Params: params, Shape: []int{2, 2, 3}, Schedule: "simple", Prediction: "eps"}
	if err := m.Save(filepath.Join(dir, "m.safetensors")); err != nil {
		t.Fatal(err)
	}
	in := map[string]*npz.Array{"x": noise(0, n, 3, 2, 2), "t": {Shape: []int{n}, X: []float64{0.1, 0.5, 1}}}
	eval := func(x *npz.Array, layout string) *npz.Array {
		in["x"] = x
		write(t, dir, "in.npz", in)
		must(t, dir, "--checkpoint DIR/m.safetensors --eval DIR/in.npz --out DIR/out.npz --layout "+layout)
		return read(t, dir, "out.npz")["out"]
	}
	first := in["x"]
	last := channelsLastOf(first)
	rows := &npz.Array{Shape: []int{n, 12}, X: last.X}
	want := eval(rows, channelsLast)
	if got := eval(last, channelsLast); !slices.Equal(got.X, want.X) || !slices.Equal(got.Shape, last.Shape) {
		t.Errorf("images with channels last give %v of shape %v, rows %v", got.X, got.Shape, want.X)
	}
	if got := eval(first, channelsFirst); !slices.Equal(channelsLastOf(got).X, want.X) || !slices.Equal(got.Shape, first.Shape) {
		t.Errorf("images with channels first give %v of shape %v, rows %v", got.X, got.Shape, want.X)
	}
}

// What --compare finds, and what it calls too much.
func TestCompare(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "in.npz", map[string]*npz.Array{"x": noise(0, 4, 2), "t": {Shape: []int{4}, X: []float64{0.1, 0.2, 0.3, 0.4}}, "u": noise(9, 4, 2)})
	const base = "--checkpoint " + swissRoll + " --eval DIR/in.npz "
	must(t, dir, base+"--out DIR/out.npz")
	out := read(t, dir, "out.npz")
	top := 0.0
	for _, v := range out["out"].X {
		top = math.Max(top, math.Abs(v))
	}
	out["out"].X[3] += 0.01 * top
	out["extra"] = noise(0, 1)
	write(t, dir, "ref.npz", out)
	if text := must(t, dir, base+"--compare DIR/ref.npz --tol 0.011"); !strings.Contains(text, "0.01") {
		t.Errorf("report:\n%s", text)
	}
	_, _, err := call(dir, base+"--compare DIR/ref.npz --tol 0.009 --json DIR/r.json")
	if err == nil || !strings.Contains(err.Error(), "beyond the tolerance of 0.009: out") || strings.Contains(err.Error(), "jvp") {
		t.Errorf("error %v", err)
	}
	var r result
	readJSON(t, dir, "r.json", &r)
	// the reference is written in float64, so float32 rounds nothing here
	if len(r.Differences) != 2 || r.Differences[0].Largest != 0 || math.Abs(float64(r.Differences[1].Relative)-0.01) > 2e-4 ||
		math.Abs(float64(r.Differences[1].RMS)*math.Sqrt(8)/float64(r.Differences[1].Largest)-1) > 1e-9 {
		t.Errorf("%+v", r.Differences)
	}
	var left strings.Builder
	for name, in := range map[string][]string{"quad of DIR/some.npz is not compared: there is no probe in DIR/in.npz\n": {"out", "quad"}, "jvp is not compared: it is not in DIR/some.npz\n": {"out"}} {
		some := map[string]*npz.Array{}
		for _, n := range in {
			some[n] = noise(0, 1)
		}
		some["out"] = out["out"]
		write(t, dir, "some.npz", some)
		_, diag, err := call(dir, base+"--compare DIR/some.npz --tol 1 --json DIR/r.json")
		if name = strings.ReplaceAll(name, "DIR", dir); err != nil || !strings.Contains(diag, name) {
			t.Errorf("%v: %q, want %q", err, diag, name)
		}
		var r result
		if readJSON(t, dir, "r.json", &r); !slices.Contains(r.NotCompared, strings.TrimSuffix(name, "\n")) {
			t.Errorf("%+v", r.NotCompared)
		}
		left.WriteString(diag)
	}
	if strings.Contains(left.String(), "extra") {
		t.Errorf("arrays that are no results are named:\n%s", left.String())
	}
	out["out"].X[3] = math.NaN()
	write(t, dir, "ref.npz", out)
	if _, _, err := call(dir, base+"--compare DIR/ref.npz --tol 1e9"); err == nil {
		t.Error("NaN is within the tolerance")
	}
}

// What an evaluation may need is refused before it begins, with what would fit.
func TestMemory(t *testing.T) {
	s, err := open(goldenDir + "unet")
	if err != nil {
		t.Fatal(err)
	}
	all, err := programs(s.net.Program, func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	team := cpu.NewTeam(1)
	defer team.Close()
	l := layout{sample: s.net.Config.SampleShape()}
	each := results(all, l)
	if want := 4*48 + 1; each != want {
		t.Errorf("%d results a sample, want %d", each, want)
	}
	for _, precision := range []string{fp32, fp64} {
		err := s.checkEval(all, options{Precision: precision}, 1_000_000, each, team, memory.Limit{Bytes: 5e8, Source: "test"})
		if err == nil || !strings.Contains(err.Error(), "results 1.5 GB") || !strings.Contains(err.Error(), "000 samples would fit") {
			t.Errorf("%s: error %v", precision, err)
		}
		if err := s.checkEval(all, options{Precision: precision}, 100, each, team, memory.Limit{Bytes: 5e8}); err != nil {
			t.Errorf("%s: %v", precision, err)
		}
	}
	b := &bencher{subject: s, o: options{Batch: 1_000_000}}
	if b.work, err = rates.New(s.net, b.o.Batch, rates.Cores{Team: team}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.checkBench(memory.Limit{Bytes: 1e4}); err == nil || !strings.Contains(err.Error(), "; no batch of this network would fit") {
		t.Errorf("error %v", err)
	}
	if _, err := b.checkBench(memory.Limit{Bytes: 5e8}); err == nil || !strings.Contains(err.Error(), "--batch ") {
		t.Errorf("error %v", err)
	}
	// An MLP of two hidden layers of 8: the most is two of its layers, or a layer and its activation.
	net, err := nets.New(nets.MLP{D: 2, Width: 8, Depth: 2, Act: "tanh"})
	if err != nil {
		t.Fatal(err)
	}
	if got := live(net.Program, 5); got != 5*16 {
		t.Errorf("%g elements live, want 80", got)
	}
}
