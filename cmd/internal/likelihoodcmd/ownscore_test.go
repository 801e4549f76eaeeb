package likelihoodcmd

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/checkpoint"
	"hbar/cmd/internal/ui"
)

// A network that nobody trained has a score near zero, and a chain whose density is nearly Gaussian: its own score is linear in x. The fit
// finds it, is kept beside the checkpoint, brings the bounds together and gives the same when it is read again.
func TestOwnScore(t *testing.T) {
	path, other := saved(t, 8, nil), saved(t, 8, func(m *checkpoint.Model) { m.Params[0].Data[0]++ })
	dir := t.TempDir()
	base := " --generated 6 --h 0.5 --steps 40 --paths 8 --device cpu --out " + filepath.Join(dir, "r.json")
	type read struct {
		Own []struct {
			Used         bool
			File         string
			Chosen       string
			Lower, Upper float64
		} `json:"own_score"`
		Summary []struct {
			Enclosed struct{ Lower, Upper, Width float64 }
		}
		Points []struct {
			Lower []*float64
		}
	}
	do := func(args string) (r read, out string, err error) {
		var text bytes.Buffer
		if err := run(context.Background(), strings.Fields("--checkpoint "+args), ui.Streams{Out: &text, Err: &bytes.Buffer{}}); err != nil {
			return r, text.String(), err
		}
		b, err := os.ReadFile(filepath.Join(dir, "r.json"))
		if err == nil {
			err = json.Unmarshal(b, &r)
		}
		return r, text.String(), err
	}
	plain, _, err := do(path + base)
	if err != nil {
		t.Fatal(err)
	}
	fit, out, err := do(path + base + " --own-score fit --own-paths 100")
	if err != nil {
		t.Fatal(err)
	}
	file := strings.TrimSuffix(path, ".safetensors") + ".own-h0.5.safetensors"
	if o := fit.Own[0]; !o.Used || o.File != file || o.Chosen == "none" || !strings.Contains(out, "kept in "+file) {
		t.Fatalf("%+v\n%s", o, out)
	}
	if !(fit.Summary[0].Enclosed.Width < plain.Summary[0].Enclosed.Width/2) {
		t.Errorf("width %g, without %g", fit.Summary[0].Enclosed.Width, plain.Summary[0].Enclosed.Width)
	}
	again, _, err := do(path + base + " --own-score " + file)
	if err != nil || *again.Points[0].Lower[0] != *fit.Points[0].Lower[0] {
		t.Errorf("read again: %+v, %v", again.Points[0], err)
	}
	for args, want := range map[string]string{
		other + base + " --own-score " + file:                                             "is the own score of another model",
		path + strings.Replace(base, "0.5", "1", 1) + " --own-score " + file:              "is the own score of another h: 0.5, and here it is 1",
		path + base + " --steps 20 --own-score " + file:                                   "is the own score of another chain: 40 steps of em on grid lambda, and here it is 20 steps",
		path + base + " --schedule cosine --own-score " + file:                            "is the own score of another schedule",
		path + base + " --act gelu --own-score " + file:                                   "is the own score of another activation: silu, and here it is gelu",
		path + base + " --prediction eps --own-score " + file:                             "is the own score of another prediction: score, and here it is eps",
		path + base + " --own-score " + path:                                              "is no own score",
		path + base + " --own-score " + dir + "/no.safetensors":                           "no such file",
		path + base + " --own-paths 9":                                                    "--own-paths are those of --own-score fit",
		path + base + " --method flow --h 0 --own-score fit":                              "at one h > 0",
		path + " --data swissroll --method flow --own-score fit --out " + dir + "/r.json": "--h has no strength above 0",
	} {
		if _, _, err := do(args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}
