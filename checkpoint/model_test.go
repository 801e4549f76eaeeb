package checkpoint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"hbar/checkpoint/safetensors"
	"hbar/data"
	"hbar/kernels"
	"hbar/nets"
)

// model makes a model with distinct weights.
func model(s nets.MLP) *Model {
	m := &Model{
		Spec:           s,
		Params:         s.ParamShapes(),
		Schedule:       "vp",
		ScheduleParams: map[string]float64{"beta_min": 0.1, "beta_max": 20},
		Prediction:     "edm",
		SigmaData:      0.7,
		Norm:           data.Normalisation{Mean: []float64{1.0 / 3}, Scale: []float64{2}},
		Data:           "moons",
		Training:       json.RawMessage(`{"lr":0.001,"steps":[1,2]}`),
		Version:        "0.1",
		Versions:       map[string]string{"go": "1.26"},
	}
	fill(m.Params, 0.25)
	return m
}

func fill(params []kernels.Param, scale float32) {
	k := 0
	for i := range params {
		p := &params[i]
		p.Data = make([]float32, p.Rows*p.Cols)
		for j := range p.Data {
			k++
			p.Data[j] = scale * float32(k)
		}
	}
}

func TestModelRoundTrip(t *testing.T) {
	for _, s := range []nets.MLP{
		{D: 2, Width: 5, Depth: 3, Act: "silu"},
		{D: 1, Width: 1, Depth: 1, Act: "tanh"}, // a weight of one column next to biases
		{D: 3, Width: 4, Depth: 2, Act: "gelu", Residual: true, Fourier: 6, FourierScale: 16},
	} {
		path := filepath.Join(t.TempDir(), "model.safetensors")
		want := model(s)
		if s.D > 1 {
			want.Columns = slices.Repeat([]string{"a name, with \"quotes\""}, s.D)
		}
		if err := want.Save(path); err != nil {
			t.Fatal(err)
		}
		got, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("spec %+v:\n got %+v\nwant %+v", s, got, want)
		}
	}
}

func TestSaveKeepsOldFileOnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.safetensors")
	m := model(nets.MLP{D: 2, Width: 5, Depth: 3, Act: "silu"})
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m.Param("dense1.weight").Data[7] = float32(math.NaN())
	if err := m.Save(path); err == nil || !strings.Contains(err.Error(), `"dense1.weight" holds NaN at index [1 2]`) {
		t.Errorf("saving NaN: %v", err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Error("the good checkpoint changed")
	}
}

func TestSaveErrors(t *testing.T) {
	for _, c := range []struct {
		spoil func(m *Model)
		want  string
	}{
		{func(m *Model) { m.Params = m.Params[:5] }, `"dense2.bias" is missing`},
		{func(m *Model) { m.Params[0].Name = "w" }, `tensor 0 is "w"; want "dense0.weight"`},
		{func(m *Model) { m.Params[2].Cols = 4 }, "needs 5×5"},
		{func(m *Model) { m.Params[2].Data = nil }, "has 0 elements"},
		{func(m *Model) { m.Params = append(m.Params, kernels.Param{Name: "more"}) }, `"more" is not part`},
		{func(m *Model) { m.Spec.D = 0 }, "D is 0"},
		{func(m *Model) { m.Spec.Depth = 1 << 40 }, "depth is"},
		{func(m *Model) { m.Spec.Act = "" }, `activation "" unknown`},
		{func(m *Model) { m.Norm.Scale[0] = 0 }, "positive"},
		{func(m *Model) { m.Prediction = "" }, "prediction"},
		{func(m *Model) { m.SigmaData = math.Inf(1) }, "sigma_data"},
		{func(m *Model) { m.Training = json.RawMessage("{") }, "not JSON"},
		{func(m *Model) { m.ScheduleParams["x"] = math.NaN() }, "schedule_params"},
	} {
		m := model(nets.MLP{D: 2, Width: 5, Depth: 2, Act: "silu"})
		c.spoil(m)
		path := filepath.Join(t.TempDir(), "model.safetensors")
		if err := m.Save(path); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%v; want the path and %q", err, c.want)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: a file is there after the error", c.want)
		}
	}
}

// torch builds the tensors of a PyTorch MLP 3-4-4-2 whose layers have the given names.
func torch(names ...string) *safetensors.File {
	sizes := []int{3, 4, 4, 2}
	f := &safetensors.File{Metadata: map[string]string{}}
	for i := len(names) - 1; i >= 0; i-- { // any order
		w := safetensors.Tensor{Name: names[i] + ".weight", Shape: []int{sizes[i+1], sizes[i]}, F32: make([]float32, sizes[i]*sizes[i+1])}
		w.F32[0] = float32(i + 1)
		f.Tensors = append(f.Tensors, w, safetensors.Tensor{Name: names[i] + ".bias", Shape: sizes[i+1 : i+2], F32: make([]float32, sizes[i+1])})
	}
	return f
}

func TestPyTorchNames(t *testing.T) {
	for _, names := range [][]string{
		{"dense0", "dense1", "dense2"},
		{"0", "2", "4"},
		{"8", "10", "12"}, // numbers, not strings, are compared
		{"net.0", "net.2", "net.4"},
		{"layers1", "layers2", "layers3"},
	} {
		m, err := fromFile(torch(names...))
		if err != nil {
			t.Errorf("%v: %v", names, err)
			continue
		}
		if want := (nets.MLP{D: 2, Width: 4, Depth: 2, Act: "silu"}); m.Spec != want || m.Prediction != "score" || m.Schedule != "" {
			t.Errorf("%v: spec %+v, prediction %q, schedule %q", names, m.Spec, m.Prediction, m.Schedule)
		}
		for i := range 3 {
			if p := m.Params[2*i]; p.Name != fmt.Sprintf("dense%d.weight", i) || p.Data[0] != float32(i+1) {
				t.Errorf("%v: tensor %d is %s, of layer %g", names, 2*i, p.Name, p.Data[0])
			}
		}
		if _, err := m.ScheduleName(""); err == nil || !strings.Contains(err.Error(), "--schedule") {
			t.Errorf("no schedule anywhere: %v", err)
		}
		if name, err := m.ScheduleName("cosine"); err != nil || name != "cosine" {
			t.Errorf("schedule from the flag: %q, %v", name, err)
		}
	}
}

func TestLoadFloat64Weights(t *testing.T) {
	f := torch("0", "2", "4")
	w := &f.Tensors[0]
	w.F64 = make([]float64, len(w.F32))
	w.F64[3], w.F32 = 0.1, nil
	m, err := fromFile(f)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Param("dense2.weight").Data[3]; got != 0.1 {
		t.Errorf("weight %v, want 0.1 rounded to float32", got)
	}
}

func TestLoadErrors(t *testing.T) {
	meta := func(key, value string) func(*safetensors.File) {
		return func(f *safetensors.File) { f.Metadata[key] = value }
	}
	tensor := func(name string, change func(*safetensors.Tensor)) func(*safetensors.File) {
		return func(f *safetensors.File) {
			for i := range f.Tensors {
				if f.Tensors[i].Name == name {
					change(&f.Tensors[i])
				}
			}
		}
	}
	const net = `{"type":"mlp","d":2,"width":4,"depth":2,"act":"silu"`
	for _, c := range []struct {
		spoil func(*safetensors.File)
		want  string
	}{
		{func(f *safetensors.File) { f.Tensors = nil }, "no tensors"},
		{func(f *safetensors.File) { f.Tensors = f.Tensors[:5] }, `"net.0.bias" is missing`},
		{func(f *safetensors.File) { f.Tensors = f.Tensors[4:] }, "without metadata net"},
		{tensor("net.0.bias", func(x *safetensors.Tensor) { x.Name = "other.0.bias" }), "two stacks"},
		{tensor("net.0.bias", func(x *safetensors.Tensor) { x.Name = "conv.kernel" }), `"conv.kernel" is no layer`},
		{tensor("net.0.bias", func(x *safetensors.Tensor) { x.Name = "net.x.bias" }), "is no layer"},
		{tensor("net.0.bias", func(x *safetensors.Tensor) { x.Name = "net.00.bias" }), "is no layer"},
		{tensor("net.0.weight", func(x *safetensors.Tensor) { x.Shape = []int{12} }), "want 2 dimensions"},
		{tensor("net.0.weight", func(x *safetensors.Tensor) { x.Shape = []int{3, 4} }), "takes 4 inputs and the last gives D = 2"},
		{tensor("net.2.weight", func(x *safetensors.Tensor) { x.Shape = []int{2, 8} }), "needs 4×4"},
		{tensor("net.4.bias", func(x *safetensors.Tensor) { x.F32[1] = float32(math.Inf(1)) }), `"dense2.bias" holds +Inf at index [1]`},
		{tensor("net.4.bias", func(x *safetensors.Tensor) { x.F64, x.F32 = []float64{0, 1e300}, nil }), "holds 1e+300 at index [1]"},
		{meta("net", "mlp"), "metadata net"},
		{meta("net", net+`} {}`), "after top-level value"},
		{meta("net", net+`,"heads":8}`), "unknown field"},
		{meta("net", strings.Replace(net, "mlp", "vit", 1)+`}`), `type "vit" unknown; have mlp`},
		{meta("net", strings.Replace(net, `"depth":2`, `"depth":3`, 1)+`}`), "depth 3, 0 Fourier frequencies needs 4×4"},
		{meta("net", strings.Replace(net, `"width":4`, `"width":5`, 1)+`}`), "needs 5×3"},
		{meta("net", strings.Replace(net, `"width":4`, `"width":-4`, 1)+`}`), "width is -4"},
		{meta("net", net+`,"fourier":3,"fourier_scale":1}`), "needs 4×8"},
		{meta("normalisation", `{"mean":[1,2,3]}`), "mean has 3 entries"},
		{meta("normalisation", `{"scale":[0]}`), "positive"},
		{meta("normalisation", `{"std":[1]}`), "unknown field"},
		{meta("schedule_params", `[1]`), "metadata schedule_params"},
		{meta("sigma_data", "half"), `"half" is not a number`},
		{meta("sigma_data", "-1"), "sigma_data is -1"},
		{meta("shape", "[6148914691236517206,3]"), "want one of 2 coordinates"}, // their product is 2 + 2⁶⁴
		{meta("training", "{"), "metadata training"},
		{meta("format", "hbar-state"), "training state, for --resume"},
	} {
		f := torch("net.0", "net.2", "net.4")
		c.spoil(f)
		if _, err := fromFile(f); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v; want one line with %q", err, c.want)
		}
	}
	missing := filepath.Join(t.TempDir(), "none.safetensors")
	if _, err := Load(missing); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("a missing file: %v", err)
	}
}

func FuzzModel(f *testing.F) {
	add := func(file *safetensors.File) {
		var b bytes.Buffer
		if err := safetensors.Write(&b, file); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	add(torch("net.0", "net.2", "net.4"))
	add(torch("dense0", "dense1"))
	for _, s := range []nets.MLP{{D: 1, Width: 2, Depth: 1, Act: "silu"}, {D: 1, Width: 1, Depth: 1, Act: "gelu", Residual: true, Fourier: 1, FourierScale: 2}} {
		file, err := model(s).file()
		if err != nil {
			f.Fatal(err)
		}
		add(file)
	}
	for _, name := range []string{"unet_shifted", "dit", "dit1d"} {
		m, err := Load("testdata/golden/" + name)
		if err != nil {
			f.Fatal(err)
		}
		file, err := m.file()
		if err != nil {
			f.Fatal(err)
		}
		add(file)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		file, err := m.file()
		if err != nil {
			t.Fatalf("cannot save what was loaded: %v", err)
		}
		again, err := fromFile(file)
		if err != nil {
			t.Fatalf("cannot load what was saved: %v", err)
		}
		if !reflect.DeepEqual(again.Config(), m.Config()) || len(again.Params) != len(m.Params) {
			t.Fatalf("%+v came back as %+v", m.Config(), again.Config())
		}
	})
}

// Process gives a network its times as it takes them: a state's number to one that embeds time.
func TestProcess(t *testing.T) {
	unet, mlp := load(t, directory(t, "unet", nil)), model(nets.MLP{D: 2, Width: 5, Depth: 2, Act: "silu"})
	for _, c := range []struct {
		m        *Model
		schedule string
		tau      float64 // at t = 0.25
	}{{unet, "", 249}, {unet, "vp", 250}, {mlp, "cosine", 0}} {
		s, p, err := c.m.Process(c.schedule)
		if err != nil {
			t.Fatal(err)
		}
		want := c.tau
		if c.m == mlp {
			want = -s.Lambda(0.25) / 4 // edm
		}
		if _, _, _, tau := p.Coeffs(s, 0.25); math.Abs(tau-want) > 1e-12 || p.SigmaData != c.m.SigmaData {
			t.Errorf("%s: time %v, want %v; %+v", s.Name(), tau, want, p)
		}
	}
	if s, _, _ := mlp.Process(""); s.Params()["beta_max"] != 20 || s.Name() != "vp" {
		t.Errorf("%s %v", s.Name(), s.Params())
	}
	for want, change := range map[string]func(m *Model){
		"--schedule":                 func(m *Model) { m.Schedule = "" },
		`"cosin" unknown`:            func(m *Model) { m.Schedule = "cosin" },
		`prediction "noise" unknown`: func(m *Model) { m.Prediction = "noise" },
		`has no setting "beta_max"`:  func(m *Model) { m.Schedule = "simple" },
	} {
		m := model(nets.MLP{D: 2, Width: 5, Depth: 2, Act: "silu"})
		change(m)
		if _, _, err := m.Process(""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
