package likelihoodcmd

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/checkpoint"
	"hbar/cmd/internal/cmdtest"
	"hbar/data"
	"hbar/graph"
)

// swissRoll is the network that checkpoint/testdata/README.md describes, trained and saved by PyTorch.
const swissRoll = "../../../checkpoint/testdata/sr_simple.safetensors"

// known are points of that network with values from other programs: log q⁰, its gradient and Laplacian and ℓ₁ by
// PyTorch in float64 (solver/likelihood/testdata), log q^h at h = 0.1 and 1 by a Fokker–Planck solver in Python
// (solver/fokkerplanck/testdata).
var known = []struct {
	x                    [2]float64
	logQ0                float64
	score                [2]float64
	laplacian, l1        float64
	logQTenth, logQAtOne float64
}{
	{[2]float64{0.9093363214135841, -0.05186765326316544}, -0.8696524075564429, [2]float64{0.40021701619515343, -0.622821687398574}, -69.83387693830211, -2.5513476807373294, -0.785956, -0.630163},
	{[2]float64{-1.1378100773864444, 0.6036595703892942}, -0.8077025122629097, [2]float64{3.225629391338567, -1.8804244353102124}, -183.2621595804292, 0.6453731922344145, -0.793227, -0.80457},
	{[2]float64{-0.960516614649993, -1.1191795830931697}, -1.1165387722473454, [2]float64{-2.8485647954517175, -1.8357105097983202}, -171.02780947664968, 3.0655717355390952, -1.048807, -1.145916},
}

// knownFile writes the points as a file.
func knownFile(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, p := range known {
		fmt.Fprintf(&b, "%v,%v\n", p.x[0], p.x[1])
	}
	path := filepath.Join(t.TempDir(), "points.csv")
	if err := os.WriteFile(path, []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// parsed is the file as its readers see it.
type parsed struct {
	Options    map[string]any
	Versions   map[string]string
	LogQMethod []string `json:"log_q_method"`
	Data       struct {
		LogDet float64 `json:"log_det"`
	}
	Summary []struct {
		Method       string
		H            float64
		Mean, Median *float64
		StdErr       *float64 `json:"stderr"`
		N, Failures  int
		Change       *struct {
			Mean struct{ Value, StdErr float64 }
		} `json:"change_from_h0"`
		DataUnits *struct {
			NLLNats struct{ Value float64 } `json:"nll_nats"`
		} `json:"data_units"`
	}
	Expansion *struct {
		First struct{ Mean *float64 } `json:"first_correction"`
	}
	FokkerPlanck []struct {
		H    float64
		Fine *struct{ Mass float64 }
	} `json:"fokkerplanck"`
	Points []struct {
		X, StdErr, ESS []*float64
		LogQ0          *float64   `json:"log_q0"`
		Score          []*float64 `json:"score_q0"`
		Laplacian      *float64   `json:"laplacian_q0"`
		WKB1, WKB2     *float64
		LogQ_          []*float64 `json:"log_q"`
		Path           []*float64 `json:"log_q_pathintegral"`
		PathErr        []*float64 `json:"stderr_pathintegral"`
		Grid           []*float64 `json:"log_q_fokkerplanck"`
		Status         string
	}
}

// evaluate runs the command in a folder of its own and reads its result. DIR in the arguments is that folder.
func evaluate(t *testing.T, args string) (r parsed, dir, stdout string) {
	t.Helper()
	r, dir, out, err := cmdtest.Result[parsed](t, run, args)
	if err != nil && !strings.Contains(err.Error(), "no method has a value for any point") {
		t.Fatalf("%s: %v", args, err)
	}
	found := false
	for _, s := range r.Summary {
		found = found || s.N > 0
	}
	if found == (err != nil) { // a run without any value fails, though its results are there
		t.Errorf("%s: some point has a value: %t, error %v", args, found, err)
	}
	return r, dir, out.String()
}

// near reports whether v is a number within tol of want.
func near(v *float64, want, tol float64) bool { return v != nil && math.Abs(*v-want) <= tol }

func show(v *float64) any {
	if v == nil {
		return "null"
	}
	return *v
}

func TestWKB(t *testing.T) {
	r, _, out := evaluate(t, "--checkpoint "+swissRoll+" --method wkb --h 0,0.01 --data "+knownFile(t))
	if len(r.Points) != len(known) {
		t.Fatalf("%d points", len(r.Points))
	}
	for i, p := range r.Points {
		k := known[i]
		if !near(p.X[0], k.x[0], 0) || !near(p.X[1], k.x[1], 0) || p.Status != "ok" {
			t.Errorf("point %d: x = %v, %v, status %s", i, show(p.X[0]), show(p.X[1]), p.Status)
		}
		scale := math.Hypot(k.score[0], k.score[1])
		if !near(p.LogQ0, k.logQ0, 1e-4) || !near(p.WKB1, k.l1, 1e-3*math.Abs(k.l1)) || !near(p.Score[0], k.score[0], 1e-3*scale) ||
			!near(p.Score[1], k.score[1], 1e-3*scale) || !near(p.Laplacian, k.laplacian, 1e-3*math.Abs(k.laplacian)) {
			t.Errorf("point %d: log q⁰ %v, u (%v, %v), Δ %v, ℓ₁ %v; want %+v", i, show(p.LogQ0), show(p.Score[0]), show(p.Score[1]), show(p.Laplacian), show(p.WKB1), k)
		}
		if !near(p.LogQ_[0], *p.LogQ0, 0) || !near(p.LogQ_[1], *p.LogQ0+0.01**p.WKB1, 1e-12) || p.WKB2 == nil || p.ESS[1] != nil { // a rounding of the same sum
			t.Errorf("point %d: log q %v, %v, wkb2 %v, ess %v", i, show(p.LogQ_[0]), show(p.LogQ_[1]), show(p.WKB2), show(p.ESS[1]))
		}
	}
	if r.Versions["go"] == "" || r.Options["tol"] != 1e-5 || r.LogQMethod[1] != "wkb1" {
		t.Errorf("versions %v, options %v, log q by %v", r.Versions, r.Options, r.LogQMethod)
	}
	if !strings.Contains(out, "first correction to the NLL: mean") {
		t.Errorf("report:\n%s", out)
	}
}

// All methods on three points: path integral and grid agree with the independent solution and with each other.
func TestAllMethods(t *testing.T) {
	if testing.Short() {
		t.Skip("a grid and a few million evaluations")
	}
	r, dir, _ := evaluate(t, "--checkpoint "+swissRoll+" --method all --h 0,1 --paths 200 --steps 200 --richardson --cells 128 --grid-tol 1e-3 "+
		"--csv DIR/p.csv --plot DIR/nll.png --image DIR/q.png --data "+knownFile(t))
	for i, p := range r.Points {
		k := known[i]
		if p.Status != "ok" || !near(p.LogQ_[0], k.logQ0, 1e-4) || !near(p.Grid[1], k.logQAtOne, 0.02) { // the flow at its tolerance of 1e-5 a step; the grid at 1e-3 of the maximum, in the tails more
			t.Errorf("point %d: log q⁰ %v, log q¹ by grid %v (%s), want %v, %v", i, show(p.LogQ_[0]), show(p.Grid[1]), p.Status, k.logQ0, k.logQAtOne)
		}
		// 4 standard errors, and what extrapolation from 100 and 200 steps leaves
		if p.PathErr[1] == nil || !near(p.Path[1], k.logQAtOne, 4**p.PathErr[1]+0.01) || !near(p.LogQ_[1], *p.Path[1], 0) || p.ESS[1] == nil || *p.ESS[1] > 200 || p.Path[0] != nil {
			t.Errorf("point %d: path integral %v ± %v, ESS %v; want %v", i, show(p.Path[1]), show(p.PathErr[1]), show(p.ESS[1]), k.logQAtOne)
		}
	}
	if len(r.FokkerPlanck) != 1 || r.FokkerPlanck[0].H != 1 || math.Abs(r.FokkerPlanck[0].Fine.Mass-1) > 1e-6 { // what the box cuts off
		t.Errorf("grid report %+v", r.FokkerPlanck)
	}
	if strings.Join(r.LogQMethod, " ") != "flow pathintegral" {
		t.Errorf("log q by %v", r.LogQMethod)
	}
	seen := map[string]int{}
	for _, s := range r.Summary {
		seen[s.Method]++
		if s.N != 3 || s.Failures != 0 || s.Mean == nil || s.Median == nil || s.StdErr == nil || (s.H > 0) != (s.Change != nil) || s.DataUnits == nil {
			t.Errorf("summary %+v", s)
		}
	}
	if fmt.Sprint(seen) != "map[flow:1 fokkerplanck:1 pathintegral:1 wkb1:2 wkb2:2]" {
		t.Errorf("summaries of %v", seen)
	}
	f, err := os.Open(filepath.Join(dir, "p.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table, err := csv.NewReader(f).ReadAll()
	if err != nil || len(table) != 4 || table[0][0] != "x[0]" || table[0][len(table[0])-1] != "status" || !strings.Contains(strings.Join(table[0], " "), "log_q[h=1]") {
		t.Errorf("table %v, %v", table, err)
	}
	for _, name := range []string{"nll.png", "q.png"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.HasPrefix(b, []byte("\x89PNG")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A value with a small effective sample size is flagged, not presented; the mean leaves it out and says so.
func TestSmallESS(t *testing.T) {
	r, _, out := evaluate(t, "--checkpoint "+swissRoll+" --method pathintegral --h 0,0.5 --paths 20 --steps 30 --min-ess 21 --data "+knownFile(t))
	for i, p := range r.Points {
		if p.LogQ_[1] != nil || p.ESS[1] == nil || p.Status != "pathintegral at h = 0.5: small effective sample size" {
			t.Errorf("point %d: log q %v, ess %v, %s", i, show(p.LogQ_[1]), show(p.ESS[1]), p.Status)
		}
		if !near(p.LogQ_[0], known[i].logQ0, 1e-4) { // h = 0 is the flow's
			t.Errorf("point %d: log q⁰ %v", i, show(p.LogQ_[0]))
		}
	}
	s := r.Summary[len(r.Summary)-1]
	if s.Method != "pathintegral" || s.Mean != nil || s.N != 0 || s.Failures != 3 || !strings.Contains(out, "3 points: small effective sample size") {
		t.Errorf("summary %+v\n%s", s, out)
	}
}

// saved writes a changed copy of the swiss-roll network, or a network that nobody trained.
func saved(t *testing.T, d int, change func(*checkpoint.Model)) string {
	t.Helper()
	m := &checkpoint.Model{Spec: graph.Spec{D: d, Width: 16, Depth: 2, Act: "silu"}, Schedule: "simple", Prediction: "score", Version: "test"}
	var err error
	if d == 0 {
		m, err = checkpoint.Load(swissRoll)
	} else {
		m.Params, err = m.Spec.Initial(1)
	}
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(m)
	}
	path := filepath.Join(t.TempDir(), "m.safetensors")
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func npy(t *testing.T, d int, x ...float64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.npy")
	if err := data.WriteNpy(path, data.Float64, x, d); err != nil {
		t.Fatal(err)
	}
	return path
}

// A network that sends paths to infinity: every point says so.
func TestDiverging(t *testing.T) {
	path := cmdtest.Diverging(t, swissRoll)
	r, _, _ := evaluate(t, "--checkpoint "+path+" --method all --h 0,0.5 --paths 4 --steps 20 --data "+knownFile(t))
	for i, p := range r.Points {
		for _, m := range []string{"flow: ", "wkb: ", "pathintegral at h = 0.5: ", "fokkerplanck at h = 0.5: the score is not finite"} {
			if !strings.Contains(p.Status, m) {
				t.Errorf("point %d: status %q lacks %q", i, p.Status, m)
			}
		}
		if p.LogQ0 != nil || p.WKB1 != nil || p.LogQ_[0] != nil || p.LogQ_[1] != nil {
			t.Errorf("point %d has values", i)
		}
	}
	for _, s := range r.Summary {
		if s.N != 0 || s.Failures != 3 || s.Mean != nil {
			t.Errorf("summary %+v", s)
		}
	}
}

// Points are in data units; log det of the normalisation is a field of its own.
func TestDataUnits(t *testing.T) {
	norm := data.Normalisation{Mean: []float64{5, -3}, Scale: []float64{2, 10}}
	path := saved(t, 0, func(m *checkpoint.Model) { m.Norm = norm })
	var x []float64
	for _, p := range known {
		x = append(x, p.x[:]...)
	}
	norm.Invert(x, x, 2)
	r, _, _ := evaluate(t, "--checkpoint "+path+" --data "+npy(t, 2, x...))
	mean := 0.0
	for i, p := range r.Points {
		mean -= known[i].logQ0 / 3
		if !near(p.LogQ0, known[i].logQ0, 1e-4) || !near(p.X[1], x[2*i+1], 1e-12) { // the flow at its tolerance of 1e-5 a step; a rounding of the units
			t.Errorf("point %d: log q⁰ %v at %v", i, show(p.LogQ0), show(p.X[1]))
		}
	}
	s := r.Summary[0]
	if want := -math.Log(20); math.Abs(r.Data.LogDet-want) > 1e-12 || !near(s.Mean, mean, 1e-4) || math.Abs(s.DataUnits.NLLNats.Value-(*s.Mean-want)) > 1e-12 { // roundings; the mean as its points
		t.Errorf("log det %v, mean %v, in data units %v", r.Data.LogDet, show(s.Mean), s.DataUnits.NLLNats.Value)
	}
}
