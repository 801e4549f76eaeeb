package checkpoint

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"hbar/checkpoint/safetensors"
	"hbar/data"
)

// What is exported has the tensors of the file that PyTorch wrote, to the bit, and is read as the same model.
func TestExport(t *testing.T) {
	for _, name := range []string{"unet", "unet_shifted", "dit", "dit1d"} {
		source := directory(t, name, nil)
		m := load(t, source)
		m.ScheduleParams = map[string]float64{"beta_start": 2e-4, "beta_end": 0.03, "steps": 500, "tmin": 0.002}
		m.Prediction, m.Norm, m.Data = "v", data.Normalisation{Mean: []float64{3}, Scale: []float64{2}}, "mine"
		dir := filepath.Join(t.TempDir(), "a", "b")
		notes, err := m.Export(dir)
		var wanted []string
		if name == "dit" {
			wanted = []string{"samples are not square, which facebookresearch/DiT wants them to be"}
		}
		if err != nil || !slices.Equal(notes, wanted) {
			t.Fatalf("%v, notes %q", err, notes)
		}
		got := load(t, dir)
		m.Notes, got.Notes = nil, nil
		if !reflect.DeepEqual(got, m) {
			t.Errorf("%s: %+v came back as %+v", name, m, got)
		}
		want := tensorsByName(t, source)
		ours := tensorsByName(t, dir)
		for _, p := range want {
			if i := slices.IndexFunc(ours, func(q safetensors.Tensor) bool { return q.Name == p.Name }); i < 0 || !reflect.DeepEqual(ours[i], p) {
				t.Errorf("%s: %s is another", name, p.Name)
			}
		}
		if len(ours) != len(want) {
			t.Errorf("%s: %d tensors, want %d", name, len(ours), len(want))
		}
	}
}

func tensorsByName(t *testing.T, dir string) []safetensors.Tensor {
	t.Helper()
	f, err := safetensors.ReadFile(filepath.Join(dir, "diffusion_pytorch_model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return f.Tensors
}

// A schedule that diffusers does not have is in the metadata, and read from there.
func TestExportElsewhere(t *testing.T) {
	for _, c := range []struct {
		change func(m *Model)
		note   string
	}{
		{func(m *Model) {
			m.Schedule, m.ScheduleParams, m.Prediction = "vp", map[string]float64{"beta_max": 15}, "eps"
		}, "the schedule is vp, which is not discrete"},
		{func(m *Model) { m.Prediction, m.SigmaData = "edm", 0.7 }, "the prediction is edm; have eps, x0, v"},
		{func(m *Model) { m.ScheduleParams = map[string]float64{"tmin": 0.01} }, "its times go from 0.01 to 1"},
	} {
		m := load(t, directory(t, "unet", nil))
		c.change(m)
		dir := filepath.Join(t.TempDir(), "out")
		notes, err := m.Export(dir)
		if err != nil || len(notes) != 2 || !strings.Contains(notes[0], c.note) || !strings.Contains(notes[1], "in the metadata") {
			t.Fatalf("%v, notes %q", err, notes)
		}
		if _, err := os.Stat(filepath.Join(dir, "scheduler_config.json")); err == nil {
			t.Error("there is a scheduler_config.json")
		}
		got := load(t, dir)
		m.Notes = nil
		if !reflect.DeepEqual(got, m) {
			t.Errorf("%+v came back as %+v", m, got)
		}
	}
	m := load(t, directory(t, "unet", nil))
	m.Schedule, m.Prediction = "", "eps"
	if notes, err := m.Export(filepath.Join(t.TempDir(), "out")); err != nil || len(notes) != 1 || !strings.Contains(notes[0], "does not name its schedule") {
		t.Errorf("%v, notes %q", err, notes)
	}
}
