package likelihoodcmd

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/checkpoint"
	"hbar/cmd/internal/ui"
	"hbar/data"
)

// table writes a text as points.csv.
func table(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "points.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A table's columns are found by the names that the network was trained on, wherever they stand; the NLL is printed in data
// units too, here of data at 10⁹.
func TestColumnsOfTheCheckpoint(t *testing.T) {
	norm := data.Normalisation{Mean: []float64{1e9, -3}, Scale: []float64{2, 10}}
	path := saved(t, 0, func(m *checkpoint.Model) { m.Norm, m.Columns = norm, []string{"t", "y"} })
	var b strings.Builder
	b.WriteString(";name;y;t\n")
	mean := 0.0
	for i, p := range known {
		x := []float64{p.x[0], p.x[1]}
		norm.Invert(x, x, 2)
		fmt.Fprintf(&b, "%d;a;%s;%s\n", i, strings.Replace(fmt.Sprintf("%.9f", x[1]), ".", ",", 1), strings.Replace(fmt.Sprintf("%.9f", x[0]), ".", ",", 1))
		mean -= p.logQ0 / 3
	}
	file := table(t, b.String())
	r, _, out := evaluate(t, "--checkpoint "+path+" --data "+file)
	for i, p := range r.Points {
		if !near(p.LogQ0, known[i].logQ0, 1e-4) { // the flow at its tolerance of 1e-5 a step
			t.Errorf("point %d: log q⁰ %v, want %g", i, show(p.LogQ0), known[i].logQ0)
		}
	}
	if want := fmt.Sprintf("%.3f", mean+math.Log(20)); !strings.Contains(out, want) || !strings.Contains(out, "in data units") {
		t.Errorf("no NLL of %s in data units:\n%s", want, out)
	}
	if !strings.Contains(out, "columns   4 (t), 3 (y)\n") || !strings.Contains(out, "decimal commas") {
		t.Errorf("what was read is not said:\n%s", out)
	}
	_, _, out = evaluate(t, "--checkpoint "+path+" --data "+table(t, "u,v\n1000000000,-3\n1000000001,5\n"))
	if !strings.Contains(out, "warning   the network was trained on columns t, y, and is given u, v") {
		t.Errorf("other columns, and not a word:\n%s", out)
	}
}

// --out with the ending of a table writes the points as one.
func TestOutCSV(t *testing.T) {
	_, dir, _ := evaluate(t, "--checkpoint "+swissRoll+" --data "+knownFile(t)+" --csv DIR/q.csv")
	want, err := os.ReadFile(filepath.Join(dir, "q.csv"))
	if err != nil {
		t.Fatal(err)
	}
	o, err := parse(strings.Fields("--checkpoint "+swissRoll+" --out "+filepath.Join(dir, "p.csv")), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := data.LoadWith(filepath.Join(dir, "q.csv"), data.Options{Columns: "log_q0"})
	if err != nil || math.Abs(s.X[0]-known[0].logQ0) > 1e-6 { // the tolerance of the flow and rounding of float32; measured 7e-9
		t.Errorf("%+v, %v, of\n%s", s, err, want)
	}
	if err := o.write(t.Context(), ui.Streams{Out: &strings.Builder{}, Err: &strings.Builder{}}, nil, nil, &result{Points: []point{{X: numbers{1}, Status: "ok"}}}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "p.csv"))
	if err != nil || !strings.HasPrefix(string(got), "x[0],log_q0,") {
		t.Errorf("%v: %.60q", err, got)
	}
	if _, err := parse(strings.Fields("--checkpoint "+swissRoll+" --out "+filepath.Join(dir, "p.npy")), nil); err == nil || !strings.Contains(err.Error(), "have .json, .csv") {
		t.Errorf("--out p.npy: %v", err)
	}
}

// Points far outside: effective sample sizes within their bounds, a status, no part in the mean, and a table that can be read.
func TestFarOutside(t *testing.T) {
	r, _, out := evaluate(t, "--checkpoint "+swissRoll+" --method flow,pathintegral --h 0,1 --paths 100 --steps 100 --data "+npy(t, 2, 0.9, -0.05, 1e8, 0, 0, 1e12, 1e30, 1e30))
	for i, p := range r.Points[1:] {
		if p.Status == "ok" || p.LogQ_[1] != nil {
			t.Errorf("point %d: status %s, log q %v", i+1, p.Status, show(p.LogQ_[1]))
		}
		if e := p.ESS[1]; e != nil && !(*e >= 1 && *e <= 100) {
			t.Errorf("point %d: ESS %g of 100 paths", i+1, *e)
		}
	}
	for _, s := range r.Summary {
		if s.N != 1 || s.Failures != 3 || s.Mean == nil || math.Abs(*s.Mean) > 10 {
			t.Errorf("%+v", s)
		}
	}
	for line := range strings.SplitSeq(out, "\n") {
		if strings.Contains(line, "pathintegral  1") && len([]rune(line)) > 120 {
			t.Errorf("a table %d wide", len([]rune(line)))
		}
	}
}
