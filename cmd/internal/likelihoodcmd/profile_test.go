package likelihoodcmd

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/cmd/internal/ui"
)

// TestProfile: of a strength that varies along the way the path integral and its bounds are computed, and it is named as it was given. One
// that is the same everywhere has the values of the constant.
func TestProfile(t *testing.T) {
	dir := t.TempDir()
	base := "--device cpu --checkpoint ../../../checkpoint/testdata/sr_simple.safetensors --data swissroll --n 3 --steps 40 --paths 50 "
	values := func(args string) (q []float64, profile, text string) {
		out := filepath.Join(dir, "r.json")
		var b bytes.Buffer
		if err := run(context.Background(), strings.Fields(base+args+" --csv "+filepath.Join(dir, "r.csv")+" --out "+out), ui.Streams{Out: &b, Err: &bytes.Buffer{}}); err != nil {
			t.Fatalf("%s: %v", args, err)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		var f struct {
			Profile string
			H       []*float64
			Points  []struct {
				Lower []float64
			}
		}
		if err := json.Unmarshal(data, &f); err != nil {
			t.Fatal(err)
		}
		for _, p := range f.Points {
			q = append(q, p.Lower...)
		}
		if f.Profile != "" && (len(f.H) != 1 || f.H[0] != nil) {
			t.Errorf("%s: h = %v", args, f.H)
		}
		return q, f.Profile, b.String()
	}
	constant, none, _ := values("--method pathintegral --h 0.5")
	flat, name, text := values("--h 0.5@-2,0.5@2")
	varying, _, _ := values("--h 0.1@-2,1@2")
	if none != "" || name != "0.5@-2,0.5@2" || !strings.Contains(text, "0.5@-2,0.5@2") || len(flat) != 3 || len(constant) != 3 {
		t.Fatalf("%q, %q, %v, %v\n%s", none, name, flat, constant, text)
	}
	for i := range flat {
		if flat[i] != constant[i] || varying[i] == constant[i] {
			t.Errorf("point %d: %g of a flat profile, %g of the constant, %g of one that varies", i, flat[i], constant[i], varying[i])
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "r.csv")); err != nil || !bytes.Contains(b, []byte("log_q[h=0.1@-2,1@2]")) {
		t.Errorf("table: %v\n%s", err, b)
	}
	for args, want := range map[string]string{
		"--h 0@-4,1@3":                 "every knot's h must be above 0",
		"--h 1;0.5@-4,1@3":             "stands alone",
		"--h 0.5@-4,1@3 --method wkb":  "--method pathintegral has its likelihood",
		"--h 0.5@-4,1@3 --method flow": "--method pathintegral has its likelihood",
		"--h 0.5@3,1@-4":               "λ must increase",
	} {
		err := run(context.Background(), strings.Fields(base+args), ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", args, err, want)
		}
	}
}

// A result of a profile has no number as its h, which would pair it with another of h = 0.
func TestAgainstProfile(t *testing.T) {
	dir := t.TempDir()
	base := "--device cpu --checkpoint " + swissRoll + " --data swissroll --n 1 --out " + dir
	quiet := ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}
	if err := run(context.Background(), strings.Fields(base+"/profile.json --h 0.5@-3,1@3 --method pathintegral --steps 2"), quiet); err != nil {
		t.Fatal(err)
	}
	err := run(context.Background(), strings.Fields(base+"/flow.json --method flow --h 0 --tol 1e-2 --against "+dir+"/profile.json"), quiet)
	if err == nil || !strings.Contains(err.Error(), "is of the profile 0.5@-3,1@3; differences are between strengths") {
		t.Errorf("the flow against a profile: %v", err)
	}
	if _, err := os.Stat(dir + "/flow.json"); err == nil {
		t.Error("a result is written")
	}
}
