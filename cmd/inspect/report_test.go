package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The layers add up to the network.
func TestLayers(t *testing.T) {
	for _, path := range []string{goldenDir + "unet", goldenDir + "dit", goldenDir + "dit1d", swissRoll} {
		s, err := open(path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.describe()
		if err != nil {
			t.Fatal(err)
		}
		tensors, params, work := 0, 0, 0.0
		for _, l := range r.Layers {
			tensors, params, work = tensors+len(l.Tensors), params+l.Parameters, work+l.MulAdds
			if len(l.Output) == 0 || l.Op == "" || l.Bytes <= 0 {
				t.Errorf("%s: layer %+v", path, *l)
			}
		}
		want := 0
		for _, w := range s.net.Weights {
			want += len(w)
		}
		if tensors != len(s.net.Params) || params != want || work != r.MulAdds || work != s.net.Program.Cost(1).MulAdds {
			t.Errorf("%s: %d tensors, %d parameters, %g multiply-adds; want %d, %d, %g", path, tensors, params, work, len(s.net.Params), want, s.net.Program.Cost(1).MulAdds)
		}
	}
}

// The figures of single layers, counted by hand.
func TestLayer(t *testing.T) {
	dir := t.TempDir()
	must(t, dir, "--checkpoint "+goldenDir+"unet --json DIR/r.json")
	var r report
	readJSON(t, dir, "r.json", &r)
	find := func(name string) *layer {
		i := slices.IndexFunc(r.Layers, func(l *layer) bool { return l.Name == name })
		if i < 0 {
			t.Fatalf("no layer %s", name)
		}
		return r.Layers[i]
	}
	conv := find("conv_in")
	if conv.Op != "conv2d" || conv.Parameters != 4*2*9+4 || conv.MulAdds != 4*6*4*2*9 || fmt.Sprint(conv.Output, conv.Tensors) != "[4 6 4] [{conv_in.weight [4 2 3 3]} {conv_in.bias [4]}]" {
		t.Errorf("conv_in %+v", *conv)
	}
	// 6 tokens, scores and values of 8 columns each
	if a := find("mid_block.attentions.0"); a.Op != "attention" || a.Parameters != 0 || a.MulAdds != 2*6*6*8 {
		t.Errorf("attention %+v", *a)
	}
	if r.Kind != "unet" || r.Classes != 3 || r.Schedule != "ddpm" || r.Prediction != "eps" || fmt.Sprint(r.Shape, r.Normalisation.Scale) != "[4 6 2] [127.5]" {
		t.Errorf("report %+v", r)
	}
	if r.Memory.Parameters != 4*int64(r.Parameters) || r.Memory.Sample <= 0 || r.Memory.Packed <= 0 {
		t.Errorf("memory %+v", r.Memory)
	}
}

// The report shows schedule, units and the log of the run.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	b, err := os.ReadFile(swissRoll)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "model.safetensors"), b, 0o666); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	for i := range 250 {
		fmt.Fprintf(&log, `{"step":%d,"loss":%g,"lr":0.001}`+"\n", 10*(i+1), 1/float64(i+1))
	}
	log.WriteString(`{"step":25`)
	if err := os.WriteFile(filepath.Join(dir, logName), []byte(log.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"DIR", "DIR/model.safetensors"} {
		out := must(t, dir, "--checkpoint "+path+" --json DIR/r.json")
		for _, want := range []string{"mlp, act silu, d 2, depth 3", "schedule  simple; prediction score", "units     those of the data", "0.004 at step 2,500",
			"dense1  dense", "128 × 128", "16,512", "33,794 trained"[:6]} {
			if !strings.Contains(out, want) {
				t.Errorf("report lacks %q:\n%s", want, out)
			}
		}
	}
	var r report
	readJSON(t, dir, "r.json", &r)
	if len(r.History) != historyLines || r.History[historyLines-1] != (record{2500, 0.004}) || r.Parameters != 33794 {
		t.Errorf("%d records, the last %v; %d parameters", len(r.History), r.History[len(r.History)-1], r.Parameters)
	}
}

// A schedule or a prediction that is not known is noted.
func TestOnlyEvaluated(t *testing.T) {
	for want, change := range map[string]func(s *subject){
		"": func(*subject) {},
		`can only be evaluated: solver: schedule "foo" unknown`:   func(s *subject) { s.Schedule = "foo" },
		`can only be evaluated: solver: prediction "foo" unknown`: func(s *subject) { s.Prediction = "foo" },
	} {
		s, err := open(swissRoll)
		if err != nil {
			t.Fatal(err)
		}
		change(s)
		r, err := s.describe()
		if err != nil {
			t.Fatal(err)
		}
		if notes := strings.Join(r.Notes, "\n"); strings.Contains(notes, "can only be evaluated") != (want != "") || !strings.Contains(notes, want) {
			t.Errorf("notes %q, want %q", notes, want)
		}
	}
}

// A measurement has all figures, and they agree with each other.
func TestBench(t *testing.T) {
	dir := t.TempDir()
	for path, first := range map[string]float64{
		goldenDir + "unet": 4 * 6 * 4 * 2 * 9, // conv_in
		goldenDir + "dit":  6 * 8 * 8,         // x_embedder.proj, of six patches
		swissRoll:          128 * 3,
	} {
		out := must(t, dir, "--checkpoint "+path+" --bench --batch 3 --repeats 1 --json DIR/b.json")
		var r benchResult
		readJSON(t, dir, "b.json", &r)
		s, err := open(path)
		if err != nil {
			t.Fatal(err)
		}
		f := s.net.Program.Cost(1).MulAdds
		for name, c := range map[string]struct {
			rate
			mulAdds float64
		}{"forward": {r.Forward, f}, "vjp": {r.VJP, 2 * f}, "train": {r.Train, 3*f - first}} {
			if !(c.MS > 0) || !(math.Abs(c.GFLOPS*c.MS*1e6/(2*3*c.mulAdds)-1) < 1e-14) || !(math.Abs(c.Share*r.Peak/c.GFLOPS-1) < 1e-14) { // roundings of a few products
				t.Errorf("%s, %s: %+v of a peak of %g; %g multiply-adds a sample", path, name, c.rate, r.Peak, c.mulAdds)
			}
		}
		if r.Batch != 3 || r.Device != "cpu" || r.Precision != fp32 || !strings.Contains(out, "training step") {
			t.Errorf("%+v\n%s", r, out)
		}
	}
}

// An MLP that PyTorch saved names neither its activation nor what it predicts: the report says what is taken.
func TestReportSaysWhatIsAssumed(t *testing.T) {
	out := must(t, t.TempDir(), "--checkpoint ../../checkpoint/testdata/sr_simple.safetensors")
	if !strings.Contains(out, "note      the file does not name the activation silu and the prediction score: they are assumed; --act and --prediction of other commands say otherwise\n") {
		t.Errorf("report:\n%s", out)
	}
}
