package sweepcmd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/cmd/internal/ui"
	"hbar/solver"
)

// TestProfileNLL: a strength that varies along the way has a likelihood by the path integral, of the same points and noise as the constants. One
// that is the same everywhere has that of the constant; one with h = 0 at a knot has none.
func TestProfileNLL(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	args := "--device cpu --checkpoint " + swissRoll + " --data swissroll --h 0;0.5;0.5@-2,0.5@2;0.1@-2,1@2;0@-2,1@2 --steps 30 --n 40 --repeats 4 --method pathintegral --nll-n 20 --paths 50 --csv " + filepath.Join(dir, "s.csv") + " --out " + filepath.Join(dir, "r.json")
	if err := run(context.Background(), strings.Fields(args), ui.Streams{Out: &out, Err: &bytes.Buffer{}}); err != nil {
		t.Fatal(err)
	}
	var f struct {
		NLL []struct {
			Method, Profile string
			H               *float64
			Steps           *int
			Mean            *float64
			Change          *struct{ N int } `json:"change_from_h0"`
		}
		Recommendations []struct {
			Measure string
			H       []solver.Strength
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "r.json"))
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]float64{}
	for _, s := range f.NLL {
		if s.Mean == nil || (s.H == nil) != (s.Profile != "") || s.Profile != "" && (s.Method != "pathintegral" || *s.Steps != 30 || s.Change == nil) {
			t.Fatalf("%+v", s)
		}
		key := s.Profile
		if key == "" {
			key = fmt.Sprint(*s.H)
		}
		of[key] = *s.Mean
	}
	if len(of) != 4 || of["0.5@-2,0.5@2"] != of["0.5"] || of["0.1@-2,1@2"] == of["0.5"] {
		t.Errorf("%v", of)
	}
	for _, r := range f.Recommendations {
		if want := 5; r.Measure == "w2_squared" && len(r.H) != want || r.Measure == "nll_pathintegral" && len(r.H) != want-1 {
			t.Errorf("%s compares %v", r.Measure, r.H)
		}
	}
	table, err := os.ReadFile(filepath.Join(dir, "s.csv"))
	if err != nil || !strings.Contains(out.String(), "0.1@-2,1@2") || len(strings.Split(strings.TrimSpace(string(table)), "\n")) != 6 {
		t.Errorf("%v\n%s\n%s", err, table, out.String())
	}
	for line := range strings.SplitSeq(string(table), "\n") {
		if strings.Contains(line, "@") && strings.Contains(line, `0@-2`) != strings.HasSuffix(line, ",,,") {
			t.Errorf("row %s", line)
		}
	}
}
