package model

import (
	"context"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"hbar/checkpoint"
	"hbar/cmd/internal/flags"
	"hbar/cuda"
	"hbar/data"
	"hbar/graph"
)

// saved writes a network that nobody trained and returns its file.
func saved(t *testing.T, change func(*checkpoint.Model)) string {
	t.Helper()
	spec := graph.Spec{D: 2, Width: 16, Depth: 2, Act: "silu"}
	params, err := spec.Initial(1)
	if err != nil {
		t.Fatal(err)
	}
	m := &checkpoint.Model{Spec: spec, Params: params, Schedule: "simple", ScheduleParams: map[string]float64{"beta": 10},
		Prediction: "edm", SigmaData: 0.7, Norm: data.Normalisation{Scale: []float64{2}}}
	if change != nil {
		change(m)
	}
	path := filepath.Join(t.TempDir(), "model.safetensors")
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoad(t *testing.T) {
	m, err := Load(saved(t, nil), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if m.Schedule.Params()["beta"] != 10 || m.Prediction.SigmaData != 0.7 || m.Device != "cpu" || m.Net.Dim() != 2 {
		t.Errorf("schedule %v, σ_data %g, device %s, D %d", m.Schedule.Params(), m.Prediction.SigmaData, m.Device, m.Net.Dim())
	}
	s := make([]float64, 2)
	if err := m.Net.Score(context.Background(), s, []float64{0.3, -0.2}, []float64{0.5}); err != nil || math.IsNaN(s[0]+s[1]) || s[0] == 0 {
		t.Errorf("score %v, %v", s, err)
	}
}

// A schedule given by name replaces the checkpoint's, settings and all.
func TestScheduleOverride(t *testing.T) {
	m, err := Load(saved(t, nil), Options{Schedule: "cosine"})
	if err != nil || m.Schedule.Name() != "cosine" {
		t.Errorf("schedule %v, %v", m, err)
	} else if want := "schedule  cosine, as --schedule says; the network was trained for simple\n"; !strings.HasSuffix(m.Report(), want) {
		t.Errorf("report %q, want %q", m.Report(), want)
	}
	nameless := saved(t, func(m *checkpoint.Model) { m.Schedule, m.ScheduleParams = "", nil })
	if _, err := Load(nameless, Options{}); err == nil || !strings.Contains(err.Error(), "--schedule") {
		t.Errorf("no schedule: %v", err)
	}
	if m, err := Load(nameless, Options{Schedule: "simple"}); err != nil || m.Schedule.Params()["beta"] != 20 || strings.Contains(m.Report(), "schedule") {
		t.Errorf("schedule %v, %v", m, err)
	}
}

// Only who asks for a GPU gets one; the report says which, or why not.
func TestDevice(t *testing.T) {
	path := saved(t, nil)
	for _, kind := range []string{"", "cpu", "auto"} {
		m, err := Load(path, Options{Device: flags.Device{Kind: kind}})
		if err != nil {
			t.Fatal(err)
		}
		gpu := kind == "auto" && cuda.Available() == nil
		if m.OnGPU() != gpu || strings.HasPrefix(m.Device, "cuda:0 ") != gpu || (m.NoGPU != "") != (kind == "auto" && !gpu) {
			t.Errorf("%q: device %s, on a GPU %t, because %q", kind, m.Device, m.OnGPU(), m.NoGPU)
		}
		want := m.Device
		switch {
		case kind == "auto" && !gpu:
			want = "cpu (" + m.NoGPU + "), 3 workers, "
		case !gpu:
			want = "cpu, 3 workers, "
		}
		if !strings.HasPrefix(m.Where(3), want) {
			t.Errorf("%q: %s, want %s…", kind, m.Where(3), want)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestErrors(t *testing.T) {
	path := saved(t, nil)
	for _, c := range []struct {
		path string
		o    Options
		want string
	}{
		{"nowhere.safetensors", Options{}, "no checkpoint nowhere.safetensors; train one"},
		{path, Options{Schedule: "cosin"}, `schedule "cosin" unknown; have simple, cosine`},
		{path, Options{Device: flags.Device{Kind: "cuda", Index: 9}}, "--device cuda:9: cuda: "},
		{saved(t, func(m *checkpoint.Model) { m.Prediction = "noise" }), Options{}, `prediction "noise" unknown; have score`},
	} {
		if _, err := Load(c.path, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}
