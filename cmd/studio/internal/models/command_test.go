package models_test

import (
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/cmd/internal/likelihoodcmd"
	"hbar/cmd/internal/samplecmd"
	"hbar/cmd/internal/ui"
	"hbar/cmd/studio/internal/fixture"
	"hbar/cmd/studio/internal/models"
	"hbar/data"
)

// arguments are those of a command line without anything to quote, after the program.
func arguments(t *testing.T, command, program string) []string {
	t.Helper()
	_, rest, ok := strings.Cut(command, program)
	if !ok {
		t.Fatalf("%s does not call %s", command, program)
	}
	return strings.Fields(rest)
}

var quiet = ui.Streams{Out: io.Discard, Err: io.Discard}

// The command that the page shows draws the samples that the page shows.
func TestSampleCommand(t *testing.T) {
	dir := fixture.Runs(t)
	c := cache(t, dir)
	m := get(t, c, "roll")
	t.Chdir(t.TempDir())
	for _, change := range []func(o *models.SampleOptions){
		func(*models.SampleOptions) {},
		func(o *models.SampleOptions) { o.H, o.Sampler, o.Grid, o.LastNoise = 0.05, "em", "t", "mean" },
		func(o *models.SampleOptions) { o.Sampler, o.Denoise, o.Seed = "heun", true, 1<<63 },
	} {
		o := plain
		change(&o)
		s, err := m.Sample(ctx, o, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := samplecmd.Run(ctx, arguments(t, s.Command, ui.Program("sample")), quiet); err != nil {
			t.Fatalf("%s: %v", s.Command, err)
		}
		set, err := data.LoadWith("samples.npy", data.Options{})
		if err != nil {
			t.Fatal(err)
		}
		want := set.Values()
		for i, v := range floats(s.Float32) {
			if v != want[i] {
				t.Fatalf("%s: number %d is %g in the file and %g on the page", s.Command, i, want[i], v)
			}
		}
	}
	// Images with a class and guidance: the command is taken, and its bytes are those of the page.
	o := plain
	o.N, o.Steps, o.Class, o.Guidance = 3, 2, "1", 0.5
	s, err := get(t, c, "digits").Sample(ctx, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := samplecmd.Run(ctx, arguments(t, s.Command, ui.Program("sample")), quiet); err != nil {
		t.Fatalf("%s: %v", s.Command, err)
	}
	set, err := data.LoadWith("samples.npz", data.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if string(set.Bytes) != string(s.Bytes) {
		t.Errorf("%s: the bytes differ", s.Command)
	}
}

// The command that the page shows computes the likelihood that the page shows.
func TestPointCommand(t *testing.T) {
	dir := fixture.Runs(t)
	c := cache(t, dir)
	t.Chdir(t.TempDir())
	image := make([]float64, 64)
	image[20] = 255
	image[21] = 17
	for _, p := range []struct {
		run   string
		shape []int
		o     models.PointOptions
	}{
		{"roll", []int{2}, models.PointOptions{X: []float64{0.7, -0.3}}},
		{"roll", []int{2}, models.PointOptions{X: []float64{0.7, -0.3}, H: 0.5, Sampler: "em", Grid: "lambda", Steps: 50, Paths: 100, Seed: 4}},
		{"digits", []int{8, 8, 1}, models.PointOptions{X: image, Class: "2", FlowSteps: 10, Draws: 2, Probes: 2}},
	} {
		got, err := get(t, c, p.run).Likelihood(ctx, p.o, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := data.WriteNpy(models.PointFile, data.Float64, p.o.X, p.shape...); err != nil {
			t.Fatal(err)
		}
		if err := likelihoodcmd.Run(ctx, arguments(t, got.Command, ui.Program("likelihood")), quiet); err != nil {
			t.Fatalf("%s: %v", got.Command, err)
		}
		b, err := os.ReadFile(filepath.Join(".", "likelihood.json"))
		if err != nil {
			t.Fatal(err)
		}
		var r struct {
			Data struct {
				LogDet float64 `json:"log_det"`
			} `json:"data"`
			Points []struct {
				LogQ   []float64 `json:"log_q"`
				StdErr []float64 `json:"stderr"`
				Bits   float64   `json:"bits_per_dim"`
			} `json:"points"`
		}
		if err := json.Unmarshal(b, &r); err != nil {
			t.Fatal(err)
		}
		// The file has log q of the network's coordinates; adding log_det rounds.
		if want := r.Points[0].LogQ[0] + r.Data.LogDet; !(math.Abs(float64(got.LogQ)-want) <= 1e-12*math.Abs(want)) || float64(got.StdErr) != r.Points[0].StdErr[0] {
			t.Errorf("%s: %g ± %g; the page shows %g ± %g", got.Command, want, r.Points[0].StdErr[0], float64(got.LogQ), float64(got.StdErr))
		}
		if p.run == "digits" && float64(got.Bits) != r.Points[0].Bits {
			t.Errorf("%s: %g bits; the page shows %g", got.Command, r.Points[0].Bits, float64(got.Bits))
		}
	}
}
