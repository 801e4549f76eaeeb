package likelihoodcmd

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/checkpoint"
	"hbar/cmd/internal/ui"
	"hbar/data"
	"hbar/nets"
	"hbar/solver"
)

// textModel is a network for windows of four of the characters a, b, c that always returns 0: the exact model of bits that are N(0, 1).
func textModel(t *testing.T) (path string, m *checkpoint.Model) {
	t.Helper()
	c, err := nets.NewDiT([]int{4, 2}, 0, nets.DiTSizes{Patch: 1, Width: 8, Depth: 1, Heads: 2})
	if err != nil {
		t.Fatal(err)
	}
	net, err := nets.New(c)
	if err != nil {
		t.Fatal(err)
	}
	net.Initialise(1)
	m = &checkpoint.Model{Net: net, Schedule: "cosine", Prediction: "edm", SigmaData: 1, Version: "test",
		Norm: data.Normalisation{Mean: []float64{0.5}, Scale: []float64{0.5}}, Alphabet: data.Alphabet("abc")}
	path = filepath.Join(t.TempDir(), "text.safetensors")
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	if back, err := checkpoint.Load(path); err != nil || string(back.Alphabet) != "abc" {
		t.Fatalf("%+v, %v", back, err)
	}
	return path, m
}

// Bits per character of a model in closed form. The noisy bits y = ±α + σ ε have E y² = α² + σ² = 1, so the density N(0, 1) gives
// −E log q(y) = (1 + log 2π)/2, which the entropy of ε cancels: what is left is −log₂ σ(Tmin) for each of the two bits of a character.
func TestTextBits(t *testing.T) {
	model, _ := textModel(t)
	s, err := solver.NewSchedule("cosine", nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, out := filepath.Join(dir, "test.txt"), filepath.Join(dir, "r.json")
	if err := os.WriteFile(file, []byte(strings.Repeat("abcabbac", 8)+"cc"), 0o666); err != nil {
		t.Fatal(err)
	}
	args := "--device cpu --checkpoint " + model + " --data " + file + " --flow-steps 8 --out " + out
	call := func(more string) (string, error) {
		var text bytes.Buffer
		err := run(context.Background(), strings.Fields(args+" "+more), ui.Streams{Out: &text, Err: &bytes.Buffer{}})
		return text.String(), err
	}
	text, err := call("--dequantise truncnorm --draws 4")
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		N      int      `json:"bits_per_dim_n"`
		Kind   string   `json:"bits_per_dim_kind"`
		PerDim float64  `json:"bits_per_dim"`
		Char   *float64 `json:"bits_per_char"`
		Err    *float64 `json:"bits_per_char_stderr"`
		Tight  *float64 `json:"bits_per_char_tight"`
	}
	b, err := os.ReadFile(out)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	want := -2 * math.Log2(s.Sigma(s.Tmin()))
	if r.N != 16 || r.Kind != "bound" || !near(r.Char, want, 4*(*r.Err)+1e-3) || *r.Err > 0.05*want || *r.Char != 2*r.PerDim || r.Tight == nil || !(*r.Tight < *r.Char) {
		t.Errorf("%d windows, %s: %v ± %v bits a character, tight %v; exact %g", r.N, r.Kind, show(r.Char), show(r.Err), show(r.Tight), want)
	}
	for _, want := range []string{"66 characters, of 3 different ones, 2 bits each", "the last 2 characters are in none", "bits per character"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	// A density is none of characters.
	if text, err = call("--bits --n 2"); err != nil || !strings.Contains(text, "no probability of characters") || strings.Contains(text, "bits per character:") {
		t.Errorf("without dequantisation: %v\n%s", err, text)
	}
	if _, err = call("--dequantise uniform --n 2"); err == nil || !strings.Contains(err.Error(), "take truncnorm") {
		t.Errorf("uniform noise: %v", err)
	}
	if err := os.WriteFile(file, []byte("abc\nabcd"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err = call("--dequantise truncnorm"); err == nil || !strings.Contains(err.Error(), `not among the 3 that the network was trained on`) {
		t.Errorf("another character: %v", err)
	}
}

// A checkpoint with an alphabet that its samples cannot be is refused.
func TestTextCheckpoint(t *testing.T) {
	_, m := textModel(t)
	for _, a := range []data.Alphabet{data.Alphabet("ab"), data.Alphabet("abcde"), data.Alphabet("ba"), {'a'}} {
		m.Alphabet = a
		if err := m.Save(filepath.Join(t.TempDir(), "x.safetensors")); err == nil || !strings.Contains(err.Error(), "alphabet") {
			t.Errorf("%q: %v", string(a), err)
		}
	}
}
