package sweepcmd

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hbar/classify"
	"hbar/cmd/internal/cmdtest"
	"hbar/cmd/internal/ui"
	"hbar/data"
	"hbar/data/npz"
)

// qualityFile is what the test reads of the result.
type qualityFile struct {
	Cells []struct {
		H           any
		Evaluations int
		Metrics     map[string]struct {
			Plain    float64
			Estimate struct{ Value, StdErr float64 }
			Pseudo   []float64 `json:"pseudo_values"`
		}
	}
	Floors          map[string]any
	Recommendations []struct {
		Measure string
		H       []any
	}
}

// TestQuality: the measures in features and slices, at constants and at a profile that is one, with features of the data, of a file, and
// with moments alone.
func TestQuality(t *testing.T) {
	dir := t.TempDir()
	model, classifier := cmdtest.Digits(t)
	set, err := data.ByName("digits", 200, 0)
	if err != nil {
		t.Fatal(err)
	}
	k, err := classify.Load(classifier)
	if err != nil {
		t.Fatal(err)
	}
	j, err := k.Judge(context.Background(), set, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	rows, moments := filepath.Join(dir, "rows.npz"), filepath.Join(dir, "moments.npz")
	if err := npz.Write(rows, map[string]*npz.Array{"features": {Shape: []int{200, 6}, X: j.Features}}); err != nil {
		t.Fatal(err)
	}
	sigma := make([]float64, 36)
	for i := range 6 {
		sigma[7*i] = 1
	}
	if err := npz.Write(moments, map[string]*npz.Array{"mu": {Shape: []int{6}, X: make([]float64, 6)}, "sigma": {Shape: []int{6, 6}, X: sigma}}); err != nil {
		t.Fatal(err)
	}
	base := "--checkpoint " + model + " --classifier " + classifier + " --h 0;1;1@-2,1@2 --steps 3 --n 100 --groups 5 --sampler exp2 --denoise "
	_, dir2, out := sweep(t, base+"--metric sliced,fd,kd:"+rows+" --sheet DIR/s.png --csv DIR/s.csv")
	var f qualityFile
	read(t, filepath.Join(dir2, "r.json"), &f)
	if len(f.Cells) != 3 || f.Cells[2].H != "1@-2,1@2" || f.Cells[0].Evaluations != 4 || f.Floors["sliced_w2_squared"] == nil {
		t.Fatalf("%+v\n%s", f, out)
	}
	for _, name := range []string{"sliced_w2_squared", "frechet", "kernel"} {
		a, b, c := f.Cells[0].Metrics[name], f.Cells[1].Metrics[name], f.Cells[2].Metrics[name]
		if !(a.Estimate.StdErr > 0) || len(a.Pseudo) != 5 || a.Plain == b.Plain || b.Plain != c.Plain {
			t.Errorf("%s: %+v, %+v, %+v", name, a, b, c)
		}
	}
	if len(f.Recommendations) != 3 || len(f.Recommendations[0].H) != 3 || !strings.Contains(out, "frechet") || !strings.Contains(out, "1@-2,1@2") {
		t.Errorf("%+v\n%s", f.Recommendations, out)
	}
	if st, err := os.Stat(filepath.Join(dir2, "s.png")); err != nil || st.Size() < 500 {
		t.Errorf("sheet: %v", err)
	}
	b, err := os.ReadFile(filepath.Join(dir2, "s.csv"))
	if err != nil {
		t.Fatal(err)
	}
	table, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	v := f.Cells[1].Metrics["frechet"].Estimate
	column := slices.Index(table[0], "frechet")
	if column < 0 || table[2][column] != strconv.FormatFloat(v.Value, 'g', -1, 64) || table[2][column+1] != strconv.FormatFloat(v.StdErr, 'g', -1, 64) || table[2][slices.Index(table[0], "non_finite")] != "0" {
		t.Errorf("table %v; want the Fréchet distance %g ± %g", table, v.Value, v.StdErr)
	}
	_, dir2, _ = sweep(t, base+"--metric fd:"+moments)
	read(t, filepath.Join(dir2, "r.json"), &f)
	if v := f.Cells[1].Metrics["frechet"].Estimate.Value; math.IsNaN(v) || v <= 0 {
		t.Errorf("Fréchet distance to moments: %g", v)
	}
	for args, want := range map[string]string{
		"--metric fd --n 100":                              "--classifier FILE names one",
		"--metric kd:" + moments:                           "moments only",
		"--metric fd:" + model:                             "zip",
		"--metric w3":                                      `"w3" unknown`,
		"--metric sliced,sliced":                           "twice",
		"--metric sliced:x.npz":                            "goes with fd or kd",
		"--metric fd --n 6 --groups 4":                     "6 points for a covariance of 6 features",
		"--metric fd --n 8 --groups 4":                     "8 points for a covariance of 6 features",
		"--metric sliced --n 90000":                        "1797 points",
		"--metric w2 --h 0;0":                              "names 0 twice",
		"--metric w2 --repeats 0":                          "leave nothing to measure",
		"--metric w2 --h 0@1,1@2 --plot " + dir + "/p.png": "constant h",
	} {
		all := append([]string{"--device", "cpu", "--checkpoint", model, "--steps", "2", "--method", "none", "--out", filepath.Join(dir, "x.json")}, strings.Fields(args)...)
		if strings.Contains(args, "fd:") || strings.Contains(args, "kd:") || strings.Contains(args, "fd --n") && !strings.Contains(want, "names one") {
			all = append(all, "--classifier", classifier)
		}
		if err := run(context.Background(), all, ui.Streams{Out: io.Discard, Err: io.Discard}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", args, err, want)
		}
	}
}

func read(t *testing.T, path string, to any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestBands: the search begins at the best constant, tries each knot at each other strength, and compares what it found on other noise.
func TestBands(t *testing.T) {
	_, dir, out := sweep(t, "--checkpoint "+swissRoll+" --data swissroll --h 0,0.5,1 --steps 12 --n 100 --repeats 6 --metric w2 --bands 2")
	var f struct {
		Cells []struct {
			W2Squared struct{ Value float64 } `json:"w2_squared"`
		}
		Bands []Bands
	}
	read(t, filepath.Join(dir, "r.json"), &f)
	if len(f.Bands) != 1 {
		t.Fatalf("%d searches\n%s", len(f.Bands), out)
	}
	b := f.Bands[0]
	if b.Measure != "w2_squared" || b.Steps != 12 || b.Evaluations != 12 || len(b.Lambda) != 2 || !(b.Lambda[1] > b.Lambda[0]) || len(b.Tried) != 4 {
		t.Fatalf("%+v", b)
	}
	best := math.Inf(1)
	for _, c := range f.Cells {
		best = min(best, c.W2Squared.Value)
	}
	least := best
	for i, try := range b.Tried {
		if len(try.H.Knots()) != 2 {
			t.Errorf("tried %v", try.H)
		}
		if v := float64(b.Tried[i].Value); v < least {
			least = v
			if b.Profile.H != try.H && i == len(b.Tried)-1 {
				t.Errorf("%v is best, and %v was chosen", try.H, b.Profile.H)
			}
		}
	}
	constant, ok := b.Constant.H.IsConstant()
	switch {
	case !ok || constant != 0 && constant != 0.5 && constant != 1:
		t.Errorf("constant %v", b.Constant.H)
	case least < best && (b.Difference == nil || b.Difference.N != 6 || b.Profile.Value == nil || !strings.Contains(out, "on fresh noise")):
		t.Errorf("%+v\n%s", b, out)
	case least == best && !strings.Contains(b.Text, "no profile"):
		t.Errorf("%+v", b)
	}
	if b.Difference != nil && math.Abs(b.Difference.Mean.Value-(b.Profile.Value.Value-b.Constant.Value.Value)) > 1e-12 { // roundings of means in another order
		t.Errorf("difference %+v of %+v and %+v", b.Difference.Mean, b.Profile.Value, b.Constant.Value)
	}
}
