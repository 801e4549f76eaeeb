package model

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"hbar/checkpoint/safetensors"
)

// elsewhere writes an MLP 3-4-4-2 as PyTorch saves it: weights alone.
func elsewhere(t *testing.T) string {
	t.Helper()
	sizes := []int{3, 4, 4, 2}
	f := &safetensors.File{}
	for i, name := range []string{"net.0", "net.2", "net.4"} {
		w := safetensors.Tensor{Name: name + ".weight", Shape: []int{sizes[i+1], sizes[i]}, F32: make([]float32, sizes[i]*sizes[i+1])}
		for k := range w.F32 {
			w.F32[k] = float32(k%5)/4 - 0.4
		}
		f.Tensors = append(f.Tensors, w, safetensors.Tensor{Name: name + ".bias", Shape: sizes[i+1 : i+2], F32: make([]float32, sizes[i+1])})
	}
	path := filepath.Join(t.TempDir(), "mlp.safetensors")
	if err := safetensors.WriteFile(path, f); err != nil {
		t.Fatal(err)
	}
	return path
}

// What a network from elsewhere is taken for is said, and can be said otherwise: activation and prediction change the score.
func TestActAndPrediction(t *testing.T) {
	path := elsewhere(t)
	scores := map[float64]string{}
	for _, c := range []struct{ act, prediction, want string }{
		{"", "", "network   activation silu (assumed: the checkpoint does not say; --act does), score prediction (assumed: the checkpoint does not say; --prediction does)\n"},
		{"tanh", "", "network   activation tanh (as --act says), score prediction (assumed"},
		{"gelu", "eps", "network   activation gelu (as --act says), eps prediction (as --prediction says)\n"},
		{"", "x0", "silu (assumed: the checkpoint does not say; --act does), x0 prediction (as --prediction says)\n"},
		{"", "v", "v prediction (as"},
		{"", "edm", "edm prediction (as"},
	} {
		m, err := Load(path, Options{Schedule: "simple", Act: c.act, Prediction: c.prediction})
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if !strings.Contains(m.Report(), c.want) {
			t.Errorf("%+v: report %q", c, m.Report())
		}
		s := make([]float64, 2)
		if err := m.Net.Score(context.Background(), s, []float64{0.3, -0.2}, []float64{0.5}); err != nil {
			t.Fatal(err)
		}
		if other, ok := scores[s[0]]; ok {
			t.Errorf("%+v: score %g, as with %s", c, s[0], other)
		}
		scores[s[0]] = c.act + " " + c.prediction
	}
	ours := saved(t, nil)
	m, err := Load(ours, Options{Act: "tanh", Prediction: "eps"})
	if want := "network   activation tanh (as --act says; the checkpoint says silu), eps prediction (as --prediction says; the checkpoint says edm)\n"; err != nil || m.Report() != want {
		t.Errorf("%v, %v; want %q", m, err, want)
	}
	if m, err := Load(ours, Options{}); err != nil || m.Report() != "network   activation silu, edm prediction\n" {
		t.Errorf("%v, %v", m, err)
	}
}
