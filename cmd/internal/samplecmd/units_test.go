package samplecmd

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hbar/checkpoint"
	"hbar/cmd/internal/ui"
	"hbar/data"
)

// momentsOf is the mean and standard deviation of coordinate j, and the number of distinct values.
func momentsOf(s *data.Dataset, j int) (mean, std float64, distinct int) {
	seen := map[float64]bool{}
	n := float64(s.N())
	for i := range s.N() {
		mean += s.Row(i)[j] / n
		seen[s.Row(i)[j]] = true
	}
	for i := range s.N() {
		v := s.Row(i)[j] - mean
		std += v * v / n
	}
	return mean, math.Sqrt(std), len(seen)
}

// Samples and states keep their digits where the data lie at 10⁹ ± 1, at 10³⁰⁰ or at 10⁻³⁰⁰, as array and as table.
func TestDigitsOfDataUnits(t *testing.T) {
	norm := data.Normalisation{Mean: []float64{1e9, 0}, Scale: []float64{1, 1e300}}
	net := variant(t, func(m *checkpoint.Model) { m.Norm, m.Columns = norm, []string{"t", "x"} })
	plain, _, _ := sample(t, "--checkpoint "+swissRoll+" --n 400 --steps 40 --seed 3")
	x, dir, out := sample(t, "--checkpoint "+net+" --n 400 --steps 40 --seed 3 --trajectory 0.5,0.01 --plot DIR/x.png")
	if !strings.Contains(out, "float64, because float32 has too few digits") {
		t.Errorf("output\n%s", out)
	}
	for i, v := range plain {
		want := v + 1e9
		if i%2 == 1 {
			want = v * 1e300
		}
		if math.Abs(x[i]-want) > 1e-6*math.Abs(want-1e9*float64(1-i%2))+2e-7 { // float32 of the plain sample, float64 at 10⁹
			t.Fatalf("number %d is %.12g, want %.12g", i, x[i], want)
		}
	}
	states := read(t, filepath.Join(dir, "x-trajectory.npy"))
	if _, std, distinct := momentsOf(states, 0); distinct < 390 || std < 0.3 || std > 3 { // of 400 samples of about unit variance; rows that share a rounded number would be many more
		t.Errorf("states: ± %g in %d distinct values", std, distinct)
	}
	csv := filepath.Join(dir, "x.csv")
	if err := run(context.Background(), strings.Fields("--device cpu --n 400 --steps 40 --seed 3 --checkpoint "+net+" --out "+csv), ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}); err != nil {
		t.Fatal(err)
	}
	table := read(t, csv)
	if !slices.Equal(table.X, x) || !slices.Equal(table.Columns, []string{"t", "x"}) {
		t.Errorf("the table differs from the array: columns %q", table.Columns)
	}
}

// A table of samples of a network without names of columns, in float32.
func TestCSV(t *testing.T) {
	x, dir, _ := sample(t, "--checkpoint "+swissRoll+" --n 20 --steps 10")
	csv := filepath.Join(dir, "x.CSV")
	if err := run(context.Background(), strings.Fields("--device cpu --n 20 --steps 10 --checkpoint "+swissRoll+" --out "+csv), ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}); err != nil {
		t.Fatal(err)
	}
	table := read(t, csv)
	for i, v := range table.X {
		if float32(v) != float32(x[i]) {
			t.Fatalf("number %d is %g in the table, %g in the array", i, v, x[i])
		}
	}
	if text, _ := os.ReadFile(csv); !strings.HasPrefix(string(text), "x1,x2\n") {
		t.Errorf("table %.40q", text)
	}
}

// A run without a finite sample fails, leaves nothing and says what to change.
func TestNothingFinite(t *testing.T) {
	for args, want := range map[string]string{
		"--h 1000 --steps 50":  "at h = 1000 the steps are too coarse: lower --h",
		"--h 1e308 --steps 50": "step 1 of 50, from t = 1 to 0.9802, overflows float64 at h = 1e+308",
	} {
		dir := t.TempDir()
		args := "--device cpu --n 500 --checkpoint " + swissRoll + " --out " + filepath.Join(dir, "x.npy") + " --trajectory 0.5 " + strings.ReplaceAll(args, "D/", dir+"/")
		err := run(context.Background(), strings.Fields(args), ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "{") {
			t.Errorf("%s: %v; want %q", args, err, want)
		}
		if files, _ := os.ReadDir(dir); len(files) > 0 {
			t.Errorf("%s leaves %v", args, files)
		}
	}
}

func TestEndings(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"x.txt", "x.pt", "x", "x.gif"} {
		err := run(context.Background(), strings.Fields("--device cpu --n 5 --checkpoint "+swissRoll+" --out "+filepath.Join(dir, name)), ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
		if err == nil || !strings.Contains(err.Error(), "have .npy, .csv") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
