package sweepcmd

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hbar/checkpoint"
	"hbar/cmd/internal/cmdtest"
	"hbar/cmd/internal/ui"
	"hbar/data"
	"hbar/solver"
)

// swissRoll is the network that checkpoint/testdata/README.md describes, trained and saved by PyTorch.
const swissRoll = "../../../checkpoint/testdata/sr_simple.safetensors"

// TestHolm: the classical step-down, by hand.
func TestHolm(t *testing.T) {
	got := holm([]float64{0.01, 0.04, 0.03, 0.005})
	want := []float64{0.03, 0.06, 0.06, 0.02}
	for i := range want {
		if math.Abs(got[i]-want[i]) > 1e-15 { // roundings of products below one
			t.Errorf("holm: %v, want %v", got, want)
		}
	}
}

// losses are for each h a mean plus noise that all h share and a little of their own.
func losses(n int, seed uint64, means ...float64) [][]float64 {
	rng := rand.New(rand.NewPCG(seed, 0))
	out := make([][]float64, len(means))
	for range n {
		common := rng.NormFloat64()
		for i, m := range means {
			out[i] = append(out[i], m+common+0.1*rng.NormFloat64())
		}
	}
	return out
}

func TestDecide(t *testing.T) {
	h := constants(0, 0.2, 1)
	for _, c := range []struct {
		what     string
		s        series
		best     float64
		worse    []float64
		interval []float64
		text     string
	}{
		// differences of 0.1 on paired noise of 0.14/√400 = 0.007 are seen, though the common noise is 1/√400 = 0.05
		{"one worse", series{h: h, loss: losses(400, 1, 0.1, 0, 0.001)}, 0.2, []float64{0}, []float64{0.2, 1}, "0.2, 1; h = 0 significantly worse"},
		{"one best", series{h: h, loss: losses(400, 2, 0.1, 0.1, 0)}, 1, []float64{0, 0.2}, []float64{1, 1}, "h = 1 is best"},
		{"none", series{h: h, loss: losses(400, 3, 0, 0, 0)}, -1, nil, []float64{0, 1}, "no significant difference between h = 0, 0.2, 1"},
		{"below the margin", series{h: h, loss: losses(400, 1, 0.1, 0, 0.001), margin: 0.1}, 0.2, nil, []float64{0, 1}, "no significant (beyond 0.1) difference"},
		{"beyond the margin", series{h: h, loss: losses(400, 1, 0.1, 0, 0.001), margin: 0.05}, 0.2, []float64{0}, []float64{0.2, 1}, "significantly worse"},
	} {
		r, err := decide(c.s, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		if c.best >= 0 && *r.Best != solver.Constant(c.best) || !slices.Equal(r.Worse, constants(c.worse...)) || !slices.Equal(r.Interval, c.interval) || !strings.Contains(r.Text, c.text) || len(r.Pairs) != 3 {
			t.Errorf("%s: best %v, worse %v, interval %v: %s", c.what, r.Best, r.Worse, r.Interval, r.Text)
		}
	}
}

// TestFalseAlarms: with equal h, some h is called worse in at most 5 % of the cases, though there are ten pairs.
func TestFalseAlarms(t *testing.T) {
	alarms := 0
	const runs = 400
	for seed := range uint64(runs) {
		r, err := decide(series{h: constants(0, 1, 2, 3, 4), loss: losses(10, 100+seed, 0, 0, 0, 0, 0)}, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		if r.Different {
			alarms++
		}
	}
	// 20 expected at most; three standard deviations of 4.4 on top
	if alarms > 33 {
		t.Errorf("%d false alarms in %d runs; the level is 5 %%", alarms, runs)
	}
}

// TestDecideWithGaps: an h whose points fail is left out, and so are single points, and it is said how many.
func TestDecideWithGaps(t *testing.T) {
	l := losses(400, 1, 0.1, 0, 0)
	for i := range l[2] {
		l[2][i] = math.NaN()
	}
	l[0][7] = math.NaN()
	r, err := decide(series{h: constants(0, 0.2, 1), loss: l}, 0.95)
	if err != nil || !slices.Equal(r.H, constants(0, 0.2)) || r.Units != 399 || r.LeftOut != 1 || *r.Best != solver.Constant(0.2) || r.Pairs[0].Units != 399 {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = decide(series{h: constants(0, 0.2), loss: l[1:]}, 0.95)
	if err != nil || !strings.Contains(r.Text, "nothing to compare") {
		t.Errorf("%+v, %v", r, err)
	}
}

// Two h with values at different units cannot be compared. Neither is worse, the others are compared, and the result can be written.
func TestDecideWithoutCommonUnits(t *testing.T) {
	l := losses(400, 1, 0, 0.1, 0.1)
	for i := range l[1] {
		l[1+i%2][i] = math.NaN()
	}
	for _, c := range []struct {
		from int
		text string
	}{{0, "h = 0 is best; h = 1, 2 significantly worse"}, {1, "no significant difference between h = 1, 2; no mean of all"}} {
		r, err := decide(series{h: constants(0, 1, 2)[c.from:], loss: l[c.from:]}, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		last := r.Pairs[len(r.Pairs)-1]
		if r.Best != nil || r.Units != 0 || !strings.HasPrefix(r.Text, c.text) || last.Units != 0 || !math.IsNaN(last.Difference.Value) || last.Adjusted != 1 {
			t.Errorf("%+v", r)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Error(err)
		}
	}
}

// file is what the tests read of the result.
type file struct {
	Cells []struct {
		H         solver.Strength
		Steps     int
		W2        *struct{ Value, StdErr float64 }
		W2Squared *struct{ Value, StdErr float64 } `json:"w2_squared"`
		Values    []*float64                       `json:"w2_squared_repeats"`
		NonFinite int                              `json:"non_finite"`
	}
	Floor *struct{ Values []float64 } `json:"w2_squared_floor"`
	NLL   []struct {
		Method string
		H      float64
		Steps  *int
		Mean   *float64
		N      int
		Change *struct {
			Mean struct{ Value, StdErr float64 }
		} `json:"change_from_h0"`
	}
	Recommendations []struct {
		Measure string
		Steps   *int
		H       []solver.Strength
	}
	Text string
}

// sweep runs the command in a folder of its own. DIR in the arguments is that folder.
func sweep(t *testing.T, args string) (f file, dir, stdout string) {
	t.Helper()
	f, dir, out, failed := cmdtest.Result[file](t, run, args)
	if failed != nil && !strings.Contains(failed.Error(), "no sample is finite at any h") {
		t.Fatalf("%s: %v", args, failed)
	}
	for _, c := range f.Cells {
		if failed != nil && c.W2 != nil {
			t.Errorf("%s: %v, and there are values", args, failed)
		}
	}
	if failed != nil {
		out.WriteString(failed.Error())
	}
	return f, dir, out.String()
}

func TestSweep(t *testing.T) {
	f, dir, out := sweep(t, "--checkpoint "+swissRoll+" --data swissroll --h 1,0,0.5 --steps 60,20 --n 80 --repeats 4 --method flow,wkb,pathintegral --nll-n 40 --paths 50 "+
		"--csv DIR/s.csv --plot DIR/w2.png --plot-nll DIR/nll.png")
	if len(f.Cells) != 6 || f.Cells[0].Steps != 20 || f.Cells[0].H != solver.Constant(0) || f.Cells[5].Steps != 60 || f.Cells[5].H != solver.Constant(1) || len(f.Floor.Values) != 2 {
		t.Fatalf("cells %+v", f.Cells)
	}
	for _, c := range f.Cells {
		mean := 0.0
		for _, v := range c.Values {
			mean += *v / 4
		}
		if len(c.Values) != 4 || c.W2Squared == nil || math.Abs(mean-c.W2Squared.Value) > 1e-14 /* roundings of a mean of four numbers below one */ || !(c.W2Squared.StdErr > 0) || math.Pow(c.W2.Value, 2) > c.W2Squared.Value {
			t.Errorf("cell %+v", c)
		}
	}
	// The likelihoods of the flow and of the expansion once, of the chains for each number of steps.
	count := map[string]int{}
	for _, s := range f.NLL {
		key := s.Method
		if s.Steps != nil {
			key += fmt.Sprint(*s.Steps)
		}
		count[key]++
		if s.N < 30 || s.Mean == nil || (s.H > 0) != (s.Change != nil) {
			t.Errorf("NLL %+v", s)
		}
	}
	if fmt.Sprint(count) != "map[flow:1 pathintegral20:2 pathintegral60:2 wkb1:3]" {
		t.Errorf("likelihoods: %v", count)
	}
	var measures []string
	for _, r := range f.Recommendations {
		steps := 0
		if r.Steps != nil {
			steps = *r.Steps
		}
		measures = append(measures, fmt.Sprint(r.Measure, steps))
		if !slices.Equal(r.H, constants(0, 0.5, 1)) {
			t.Errorf("%s compares h = %v", r.Measure, r.H)
		}
	}
	if got := strings.Join(measures, " "); got != "w2_squared20 w2_squared60 nll_wkb0 nll_pathintegral20 nll_pathintegral60" {
		t.Errorf("recommendations: %s", got)
	}
	if f.Text == "" || !strings.Contains(out, "=> "+f.Text) {
		t.Errorf("text %q in\n%s", f.Text, out)
	}
	b, err := os.ReadFile(filepath.Join(dir, "s.csv"))
	if err != nil {
		t.Fatal(err)
	}
	table, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil || len(table) != 7 || table[1][0] != "20" || !slices.Contains(table[0], "nll_pathintegral") {
		t.Errorf("table %v, %v", table, err)
	}
	for _, name := range []string{"w2.png", "nll.png"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.HasPrefix(b, []byte("\x89PNG")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCommonNoise: an h that comes with others has the same distances as alone, so all h share data and noise.
func TestCommonNoise(t *testing.T) {
	const args = "--checkpoint " + swissRoll + " --data swissroll --steps 20 --n 50 --repeats 4 --method none "
	both, _, _ := sweep(t, args+"--h 0,0.5")
	one, _, _ := sweep(t, args+"--h 0.5 --workers 1")
	for r, v := range one.Cells[0].Values {
		if *v != *both.Cells[1].Values[r] {
			t.Errorf("repeat %d: %v alone, %v beside h = 0", r, *v, *both.Cells[1].Values[r])
		}
	}
	other, _, _ := sweep(t, args+"--h 0.5 --seed 1")
	if *other.Cells[0].Values[0] == *one.Cells[0].Values[0] {
		t.Error("another seed, the same distance")
	}
}

// TestHonest: on the swiss-roll network h = 0 is worse, and h = 0.2 to 1 do not differ significantly.
func TestHonest(t *testing.T) {
	if testing.Short() {
		t.Skip("solves the Fokker–Planck equation")
	}
	_, _, out := sweep(t, "--checkpoint "+swissRoll+" --data swissroll --h 0,0.2,1 --repeats 0 --cells 192 --grid-tol 1e-3")
	if want := "=> use any h from 0.2 to 1: no significant difference between h = 0.2, 1; h = 0 significantly worse"; !strings.Contains(out, want) {
		t.Errorf("report lacks %q:\n%s", want, out)
	}
}

// A network that sends samples to infinity: nothing to compare, and no crash.
func TestDiverging(t *testing.T) {
	path := cmdtest.Diverging(t, swissRoll)
	f, _, out := sweep(t, "--checkpoint "+path+" --data swissroll --h 0,0.5 --steps 20 --n 20 --repeats 4 --method flow,pathintegral --nll-n 5 --paths 4")
	for _, c := range f.Cells {
		if c.NonFinite == 0 || c.W2 != nil || c.Values[0] != nil {
			t.Errorf("cell %+v", c)
		}
	}
	if !strings.Contains(out, "nothing to compare") || !strings.Contains(out, "no sample is finite at any h, and no point has a value") {
		t.Errorf("report:\n%s", out)
	}
}

// Where columns are of different size, distances are those of the network's coordinates: in data units they would be those of one
// column. The result as a table is the one of --csv.
func TestUnlikeColumns(t *testing.T) {
	m, err := checkpoint.Load(swissRoll)
	if err != nil {
		t.Fatal(err)
	}
	args := "--h 0,1 --steps 20 --n 60 --repeats 4 --method flow --nll-n 20 --data "
	set, err := data.ByName("swissroll", 240, 5)
	if err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(t.TempDir(), "x.npy")
	if err := data.WriteNpy(plain, data.Float64, set.X, 2); err != nil {
		t.Fatal(err)
	}
	want, _, _ := sweep(t, args+plain+" --checkpoint "+swissRoll)
	m.Norm = data.Normalisation{Mean: []float64{40, 50000}, Scale: []float64{10, 20000}}
	net, scaled := filepath.Join(t.TempDir(), "m.safetensors"), filepath.Join(t.TempDir(), "x.npy")
	if err := m.Save(net); err != nil {
		t.Fatal(err)
	}
	m.Norm.Invert(set.X, set.X, 2)
	if err := data.WriteNpy(scaled, data.Float64, set.X, 2); err != nil {
		t.Fatal(err)
	}
	got, dir, out := sweep(t, args+scaled+" --checkpoint "+net+" --csv DIR/r.csv")
	for i, c := range got.Cells {
		if math.Abs(c.W2Squared.Value-want.Cells[i].W2Squared.Value) > 1e-9 { // rounding of the way to data units and back
			t.Errorf("cell %d: W2² %g, want %g", i, c.W2Squared.Value, want.Cells[i].W2Squared.Value)
		}
	}
	if !strings.Contains(out, "distances are in the network's coordinates") || !strings.Contains(out, "in data units") {
		t.Errorf("report:\n%s", out)
	}
	table := filepath.Join(dir, "out.csv")
	if err := run(context.Background(), strings.Fields("--device cpu "+args+scaled+" --checkpoint "+net+" --out "+table), ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}); err != nil {
		t.Fatal(err)
	}
	a, errA := os.ReadFile(table)
	b, errB := os.ReadFile(filepath.Join(dir, "r.csv"))
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Errorf("--out as a table and --csv differ: %v, %v", errA, errB)
	}
}

// A file with few points makes smaller batches; with too few it is refused.
func TestFile(t *testing.T) {
	set, err := data.ByName("swissroll", 230, 5)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.npy")
	if err := data.WriteNpy(path, data.Float64, set.X, 2); err != nil {
		t.Fatal(err)
	}
	args := "--checkpoint " + swissRoll + " --data " + path + " --h 0,1 --steps 10 --method none --repeats "
	if _, _, out := sweep(t, args+"4"); !strings.Contains(out, "57 points a distance") {
		t.Errorf("report:\n%s", out)
	}
	err = run(context.Background(), strings.Fields(args+"5 --out "+filepath.Join(t.TempDir(), "r.json")), ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
	if err == nil || !strings.Contains(err.Error(), "x.npy has 230 points: too few for 5 repeats") {
		t.Errorf("error %v", err)
	}
}
