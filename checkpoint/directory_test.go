package checkpoint

import (
	"encoding/binary"
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
	"hbar/nets"
)

// directory copies a golden network to a new directory, changed.
func directory(t *testing.T, name string, change func(config map[string]any, f *safetensors.File)) string {
	t.Helper()
	from, to := filepath.Join("testdata/golden", name), t.TempDir()
	text, err := os.ReadFile(filepath.Join(from, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	config := map[string]any{}
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.ReadFile(filepath.Join(from, "diffusion_pytorch_model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(config, f)
	}
	writeJSON(t, filepath.Join(to, "config.json"), config)
	if err := safetensors.WriteFile(filepath.Join(to, "diffusion_pytorch_model.safetensors"), f); err != nil {
		t.Fatal(err)
	}
	return to
}

func writeJSON(t *testing.T, path string, v any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o755)
	}
	if err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, path string) *Model {
	t.Helper()
	m, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Where a directory says nothing else: DDPM's schedule, the noise predicted, bytes to ±1.
func TestDirectoryDefaults(t *testing.T) {
	m := load(t, directory(t, "unet", nil))
	if m.Schedule != "ddpm" || m.Prediction != "eps" || m.Norm.Mean[0] != 127.5 || m.Norm.Scale[0] != 127.5 || len(m.Notes) != 1 {
		t.Errorf("schedule %s, prediction %s, normalisation %+v, notes %q", m.Schedule, m.Prediction, m.Norm, m.Notes)
	}
	if !slices.Equal(m.SampleShape(), []int{4, 6, 2}) || m.D() != 48 || m.Config().Classes() != 3 || m.Config().NoLabel() {
		t.Errorf("samples of %v", m.SampleShape())
	}
	m = load(t, directory(t, "dit1d", nil))
	if m.Norm.Mean != nil {
		t.Errorf("a sequence has the normalisation %+v", m.Norm)
	}
	m = load(t, directory(t, "dit", nil))
	if len(m.Notes) != 2 || !strings.Contains(m.Notes[1], "variance") {
		t.Errorf("notes %q", m.Notes)
	}
}

// config.json and weights may lie in the folder unet, and the scheduler's settings beside it; model.safetensors is another
// name; a training run's directory has model.safetensors alone.
func TestDirectoryForms(t *testing.T) {
	flat := directory(t, "unet", nil)
	want := load(t, flat)
	dir := t.TempDir()
	if err := os.Rename(flat, filepath.Join(dir, "unet")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "unet/diffusion_pytorch_model.safetensors"), filepath.Join(dir, "unet/model.safetensors")); err != nil {
		t.Fatal(err)
	}
	if got := load(t, dir); !reflect.DeepEqual(got.Net.Weights, want.Net.Weights) || got.Schedule != "ddpm" {
		t.Error("the folder unet is read otherwise")
	}
	writeJSON(t, filepath.Join(dir, "scheduler/scheduler_config.json"), map[string]any{"_class_name": "DDIMScheduler",
		"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 500, "prediction_type": "v_prediction", "clip_sample": true, "trained_betas": nil})
	got := load(t, dir)
	if got.Schedule != "ddpm-cosine" || got.Prediction != "v" || !reflect.DeepEqual(got.ScheduleParams, map[string]float64{"steps": 500, "tmin": 0.002}) || len(got.Notes) != 0 {
		t.Errorf("%s %v %s, notes %q", got.Schedule, got.ScheduleParams, got.Prediction, got.Notes)
	}
	if part := load(t, filepath.Join(dir, "unet")); part.Schedule != "ddpm-cosine" || part.Prediction != "v" {
		t.Errorf("the folder unet by itself has %s and %s", part.Schedule, part.Prediction)
	}
	writeJSON(t, filepath.Join(dir, "vae/config.json"), map[string]any{})
	for _, path := range []string{dir, filepath.Join(dir, "unet")} {
		if m := load(t, path); m.Norm.Mean != nil || len(m.Notes) != 1 || !strings.Contains(m.Notes[0], "autoencoder") {
			t.Errorf("beside an autoencoder: normalisation %+v, notes %q", m.Norm, m.Notes)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "vae")); err != nil {
		t.Fatal(err)
	}
	run := t.TempDir()
	if err := got.Save(filepath.Join(run, "model.safetensors")); err != nil {
		t.Fatal(err)
	}
	if again := load(t, run); !reflect.DeepEqual(again, got) {
		t.Errorf("%+v came back as %+v", got, again)
	}
}

func TestScheduler(t *testing.T) {
	for text, want := range map[string]Model{
		`{"_class_name": "DDPMScheduler", "beta_start": 0.0002, "beta_end": 0.03, "prediction_type": "sample"}`: {Schedule: "ddpm", Prediction: "x0",
			ScheduleParams: map[string]float64{"beta_start": 0.0002, "beta_end": 0.03}},
		// The default β of this class are not DDPM's.
		`{"_class_name": "HeunDiscreteScheduler", "beta_end": 0.03}`: {Schedule: "ddpm", Prediction: "eps",
			ScheduleParams: map[string]float64{"beta_start": 0.00085, "beta_end": 0.03}},
		// What diffusers writes of a minimum that is −∞, and what is in a string.
		`{"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -Infinity, "other": "NaN, \"Infinity", "last": NaN}`: {Schedule: "ddpm", Prediction: "eps",
			ScheduleParams: map[string]float64{}},
		`{"_class_name": "DDPMScheduler", "predict_epsilon": false}`:                        {Schedule: "ddpm", Prediction: "x0", ScheduleParams: map[string]float64{}},
		`{"predict_epsilon": true, "prediction_type": "epsilon", "use_flow_sigmas": false}`: {Schedule: "ddpm", Prediction: "eps", ScheduleParams: map[string]float64{}},
		`{"_class_name": "EulerDiscreteScheduler", "timestep_type": "discrete"}`:            {Schedule: "ddpm", Prediction: "eps", ScheduleParams: map[string]float64{}},
		`{}`: {Schedule: "ddpm", Prediction: "eps", ScheduleParams: map[string]float64{}},
	} {
		var m Model
		if err := m.setScheduler([]byte(text)); err != nil || !reflect.DeepEqual(m, want) {
			t.Errorf("%s: %+v, %v", text, m, err)
		}
	}
	for text, want := range map[string]string{
		`{"_class_name": "ScoreSdeVeScheduler"}`:                        `scheduler "ScoreSdeVeScheduler" is not one of a discrete chain`,
		`{"beta_schedule": "scaled_linear"}`:                            `"beta_schedule" is "scaled_linear"; have linear, squaredcos_cap_v2`,
		`{"trained_betas": [0.1]}`:                                      `"trained_betas"`,
		`{"rescale_betas_zero_snr": true}`:                              `"rescale_betas_zero_snr" is true`,
		`{"prediction_type": "flow"}`:                                   `"prediction_type" is "flow"; have epsilon, sample, v_prediction`,
		`{"num_train_timesteps": 0}`:                                    `"num_train_timesteps" is 0; want at least 2`,
		`{"num_train_timesteps": "many"}`:                               `"num_train_timesteps" is "many"; want a number`,
		`{"prediction_type": 3}`:                                        `"prediction_type" is 3; want text`,
		`{"use_flow_sigmas": "no"}`:                                     `"use_flow_sigmas" is "no"; want true or false`,
		"{\"beta_start\": [\n  1\n]}":                                   `"beta_start" is [1]; want a number`,
		`[1]`:                                                           "no object; want settings by name",
		`{"beta_end": NaN}`:                                             `"beta_end" is "NaN"; want a number`,
		`{"use_flow_sigmas": true}`:                                     `"use_flow_sigmas" is true`,
		`{"timestep_type": "continuous"}`:                               `"timestep_type" is "continuous"`,
		`{"predict_epsilon": false, "prediction_type": "v_prediction"}`: `"predict_epsilon" is false, and "prediction_type" is "v_prediction"`,
		`{"beta_end": 1.5}`:                                             "beta_end < 1",
	} {
		dir := directory(t, "unet", nil)
		if err := os.WriteFile(filepath.Join(dir, "scheduler_config.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "scheduler_config.json") {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
		// Who only evaluates the network needs no schedule. What is broken is an error for everybody.
		m, err := LoadNetwork(dir)
		asked := strings.Contains(want, "not one of") || strings.Contains(want, "; have ") || strings.Contains(want, "trained_betas") || strings.HasSuffix(want, " is true") ||
			strings.Contains(want, `is "continuous"`)
		switch {
		case !asked && err == nil:
			t.Errorf("%s: LoadNetwork reads it", text)
		case asked && (err != nil || m.Schedule != "" || m.Prediction != Unknown || !strings.Contains(strings.Join(m.Notes, "\n"), want)):
			t.Errorf("%s: LoadNetwork returns %+v, %v", text, m, err)
		}
		if asked && err == nil {
			if _, _, err := m.Process("ddpm"); err == nil {
				t.Errorf("%s: there is a process for an unknown prediction", text)
			}
		}
	}
}

// The first U-Nets of diffusers: other names of the layers of an attention, whose weights are convolutions of 1×1.
func TestOldNames(t *testing.T) {
	want := load(t, directory(t, "unet", nil))
	changed := 0
	old := directory(t, "unet", func(_ map[string]any, f *safetensors.File) {
		for i := range f.Tensors {
			p := &f.Tensors[i]
			for before, now := range oldNames {
				if name := strings.Replace(p.Name, "."+now+".", "."+before+".", 1); name != p.Name {
					p.Name = name
					if len(p.Shape) == 2 {
						p.Shape = append(p.Shape, 1, 1)
					}
					changed++
				}
			}
		}
	})
	if got := load(t, old); changed == 0 || !reflect.DeepEqual(got.Net.Weights, want.Net.Weights) {
		t.Errorf("%d tensors with old names are read otherwise", changed)
	}
}

// halves writes a file again with weights of two bytes.
func halves(t *testing.T, path, dtype string, to func(float32) uint16) {
	t.Helper()
	f, err := safetensors.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	header, body := map[string]any{}, []byte{}
	for _, p := range f.Tensors {
		at := len(body)
		for _, v := range p.F32 {
			body = binary.LittleEndian.AppendUint16(body, to(v))
		}
		header[p.Name] = map[string]any{"dtype": dtype, "shape": p.Shape, "data_offsets": []int{at, len(body)}}
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	out := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	if err := os.WriteFile(path, append(out, body...), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestHalves(t *testing.T) {
	want := load(t, directory(t, "unet", nil))
	for dtype, c := range map[string]struct {
		to    func(float32) uint16
		error float64 // relative
	}{
		"BF16": {func(v float32) uint16 { return uint16((math.Float32bits(v) + 0x8000) >> 16) }, 0x1p-8},
		// of numbers in the range of normal halves; the others are rounded to zero here
		"F16": {func(v float32) uint16 {
			b := math.Float32bits(v) + 0x1000
			e := int(b>>23&255) - 112
			if e <= 0 {
				return uint16(b >> 31 << 15)
			}
			return uint16(b>>31<<15 | uint32(e)<<10 | b>>13&1023)
		}, 0x1p-11},
	} {
		dir := directory(t, "unet", nil)
		halves(t, filepath.Join(dir, "diffusion_pytorch_model.safetensors"), dtype, c.to)
		got := load(t, dir)
		for i, w := range want.Net.Weights {
			for j, v := range w {
				if d := math.Abs(float64(got.Net.Weights[i][j] - v)); !(d <= c.error*math.Abs(float64(v))+0x1p-14) {
					t.Fatalf("%s: %s[%d] is %g, was %g", dtype, got.Net.Params[i].Name, j, got.Net.Weights[i][j], v)
				}
			}
		}
	}
}

// Weights of float64 that float32 does not hold are noted, others are not.
func TestRoundedWeights(t *testing.T) {
	for step, want := range map[float64]bool{0: false, 1e-12: true} {
		dir := directory(t, "unet", func(_ map[string]any, f *safetensors.File) {
			for i := range f.Tensors {
				if p := &f.Tensors[i]; p.Name == "conv_in.bias" {
					for _, v := range p.F32 {
						p.F64 = append(p.F64, float64(v)*(1+step))
					}
					p.F32 = nil
				}
			}
		})
		noted := slices.Contains(load(t, dir).Notes, "weights are kept in float32, to which float64 values are rounded: conv_in.bias")
		if noted != want {
			t.Errorf("weights off by %g: noted %t", step, noted)
		}
	}
}

func TestDirectoryErrors(t *testing.T) {
	remove := func(name string) func(map[string]any, *safetensors.File) {
		return func(_ map[string]any, f *safetensors.File) {
			f.Tensors = slices.DeleteFunc(f.Tensors, func(p safetensors.Tensor) bool { return strings.HasPrefix(p.Name, name) })
		}
	}
	set := func(key string, v any) func(map[string]any, *safetensors.File) {
		return func(c map[string]any, _ *safetensors.File) { c[key] = v }
	}
	for want, change := range map[string]func(map[string]any, *safetensors.File){
		"tensors are missing: conv_in.bias [4]": remove("conv_in.bias"),
		"and 7 more":                            remove("mid_block.resnets.0"),
		"tensors are not part of the unet: extra.weight": func(_ map[string]any, f *safetensors.File) {
			f.Tensors = append(f.Tensors, safetensors.Tensor{Name: "extra.weight", Shape: []int{1}, F32: []float32{1}})
		},
		`tensor "conv_in.bias" is [2 2]; the network needs [4]`: func(_ map[string]any, f *safetensors.File) {
			for i := range f.Tensors {
				if f.Tensors[i].Name == "conv_in.bias" {
					f.Tensors[i].Shape = []int{2, 2}
				}
			}
		},
		`tensor "conv_in.weight" is [4 2 3 3]; the network needs [4 3 3 3]`: func(c map[string]any, _ *safetensors.File) {
			c["in_channels"], c["out_channels"] = 3, 3
		},
		"holds NaN at index [2]; weights must be finite": func(_ map[string]any, f *safetensors.File) {
			for i := range f.Tensors {
				if f.Tensors[i].Name == "conv_in.bias" {
					f.Tensors[i].F32[2] = float32(math.NaN())
				}
			}
		},
		`class "VQModel" unknown; have UNet2DModel, DiT, DiT1D`:       set("_class_name", "VQModel"),
		`setting "act_fn" is "relu"; have "silu", "swish"`:            set("act_fn", "relu"),
		`setting "new_switch", true, is not known`:                    set("new_switch", true),
		"2 levels (block_out_channels) do not divide an image of 5×6": set("sample_size", []int{5, 6}),
		"twice, under an old and a new name": func(_ map[string]any, f *safetensors.File) {
			for _, p := range f.Tensors {
				if p.Name == "mid_block.attentions.0.to_q.bias" {
					p.Name = "mid_block.attentions.0.query.bias"
					f.Tensors = append(f.Tensors, p)
				}
			}
		},
	} {
		dir := directory(t, "unet", change)
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	for want, spoil := range map[string]func(dir string) error{
		"has no config.json": func(dir string) error { return os.Remove(filepath.Join(dir, "config.json")) },
		"has no diffusion_pytorch_model.safetensors or model.safetensors": func(dir string) error {
			return os.Remove(filepath.Join(dir, "diffusion_pytorch_model.safetensors"))
		},
		"a pickle, which is not read": func(dir string) error {
			return os.Rename(filepath.Join(dir, "diffusion_pytorch_model.safetensors"), filepath.Join(dir, "diffusion_pytorch_model.bin"))
		},
		"config.json: nets: unexpected end": func(dir string) error { return os.WriteFile(filepath.Join(dir, "config.json"), nil, 0o644) },
		"config.json is not a regular file": func(dir string) error {
			path := filepath.Join(dir, "config.json")
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.Mkdir(path, 0o755)
		},
	} {
		dir := directory(t, "unet", nil)
		if err := spoil(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// Our own files hold every kind of network, in the published layout.
func TestNetworkRoundTrip(t *testing.T) {
	for _, name := range []string{"unet", "unet_shifted", "dit", "dit1d"} {
		m := load(t, directory(t, name, nil))
		m.Schedule, m.ScheduleParams, m.Prediction, m.SigmaData, m.Norm, m.Notes = "cosine", nil, "edm", 0.4, data.Normalisation{Scale: []float64{2}}, nil
		path := filepath.Join(t.TempDir(), "model.safetensors")
		if err := m.Save(path); err != nil {
			t.Fatal(err)
		}
		if got := load(t, path); !reflect.DeepEqual(got, m) {
			t.Errorf("%s came back as %+v", name, got)
		}
		f, err := safetensors.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range m.Net.Params {
			if f.Tensors[i].Name != p.Name || !slices.Equal(f.Tensors[i].Shape, p.Published) {
				t.Errorf("%s is stored as %s %v", p.Name, f.Tensors[i].Name, f.Tensors[i].Shape)
			}
		}
		m.Net.Weights[1][0] = float32(math.Inf(1))
		if err := m.Save(path); err == nil || !strings.Contains(err.Error(), "holds +Inf") {
			t.Errorf("saving Inf: %v", err)
		}
	}
}

// An MLP of images keeps their shape.
func TestShape(t *testing.T) {
	m := model(nets.MLP{D: 12, Width: 4, Depth: 1, Act: "silu"})
	m.Norm, m.Shape = data.Normalisation{}, []int{2, 3, 2}
	path := filepath.Join(t.TempDir(), "model.safetensors")
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	if got := load(t, path); !slices.Equal(got.SampleShape(), m.Shape) {
		t.Errorf("shape %v", got.SampleShape())
	}
	for _, bad := range [][]int{{2, 3}, {-4, -3, 1}, {}} {
		m.Shape = bad
		if err := m.Save(path); err == nil || !strings.Contains(err.Error(), fmt.Sprint(bad)) {
			t.Errorf("shape %v: %v", bad, err)
		}
	}
}

// The program of a model computes with its weights.
func TestNetworkOfMLP(t *testing.T) {
	m := model(nets.MLP{D: 2, Width: 4, Depth: 1, Act: "silu", Fourier: 3, FourierScale: 2})
	n, err := m.Network()
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range m.Params {
		if n.Params[i].Name != p.Name || &n.Weights[i][0] != &p.Data[0] {
			t.Errorf("%s is not parameter %d", p.Name, i)
		}
	}
}
