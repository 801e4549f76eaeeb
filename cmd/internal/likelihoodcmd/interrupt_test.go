package likelihoodcmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/cmd/internal/cmdtest"
	"hbar/cmd/internal/ui"
)

func TestInterrupt(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, m := range []string{"flow --h 0", "wkb", "pathintegral", "fokkerplanck"} {
		err := run(ctx, strings.Fields("--checkpoint "+swissRoll+" --n 5 --data swissroll --out "+filepath.Join(dir, "r.json")+" --method "+m), ui.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
		if !errors.Is(err, ui.ErrInterrupted) {
			t.Errorf("%s: error %v", m, err)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("an interrupted run leaves %v", files)
	}
}

// A command that is stopped within one method keeps what the methods before it have found.
func TestInterruptKeeps(t *testing.T) {
	file := filepath.Join(t.TempDir(), "r.json")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	args := "--checkpoint " + swissRoll + " --device cpu --data " + knownFile(t) + " --method flow,pathintegral --h 0,0.5 --paths 1000000 --steps 1000 --out " + file + " --csv " + file + ".csv --plot " + file + ".png"
	err := run(ctx, strings.Fields(args), ui.Streams{Out: &bytes.Buffer{}, Err: cmdtest.StopAt{Text: "pathintegral paths", Stop: cancel}})
	if !errors.Is(err, ui.ErrInterrupted) || !strings.Contains(err.Error(), "what was computed is in "+file) {
		t.Fatalf("error %v", err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		parsed
		Interrupted bool
	}
	if err := json.Unmarshal(b, &r); err != nil || !r.Interrupted {
		t.Fatalf("interrupted %t, %v", r.Interrupted, err)
	}
	for i, p := range r.Points {
		if !near(p.LogQ_[0], known[i].logQ0, 1e-4) || p.LogQ_[1] != nil || p.Status != "pathintegral at h = 0.5: interrupted" { // the flow at its tolerance of 1e-5 a step
			t.Errorf("point %d: log q %v, %v, status %s", i, show(p.LogQ_[0]), show(p.LogQ_[1]), p.Status)
		}
	}
	if _, err := os.Stat(file + ".csv"); err != nil {
		t.Error(err)
	}
}
