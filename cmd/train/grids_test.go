package main

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hbar/data"
	"hbar/train"
)

// colours writes a file of six images of 8×8 in three colours.
func colours(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "i.npy")
	w, err := data.CreateNpy(path, data.Float32, 8, 8, 3)
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float64, 6*192)
	for i := range x {
		x[i] = float64(i * i % 256)
	}
	if err := w.WriteFloat64(x); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	return path
}

// A network of images leaves a grid with its first checkpoint, and the log has its pace; neither changes what is learnt.
func TestGrids(t *testing.T) {
	args := strings.Fields("--device cpu --preset icons --range 0,255 --channels 8,8 --attention 4 --workers 1 --steps 6 --batch 4 --save-every 2 --log-every 1 --out run --data " + colours(t))
	dir, out, err := call(t, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	at := filepath.Join(dir, "run")
	grids := func() []string {
		found, _ := filepath.Glob(filepath.Join(at, "samples-*.png"))
		return found
	}
	if len(grids()) == 0 || filepath.Base(grids()[0]) != "samples-2.png" || slices.Contains(grids(), filepath.Join(at, "samples-6.png")) {
		t.Fatalf("grids %v\n%s", grids(), out)
	}
	f, err := os.Open(grids()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := png.Decode(f)
	if err != nil || m.Bounds().Dx() != 10*66+2 || m.Bounds().Dy() != 2*66+2 {
		t.Errorf("a grid of %v, %v, want two rows of ten", m.Bounds(), err)
	}
	log, _ := os.ReadFile(filepath.Join(at, logFile))
	if !bytes.Contains(log, []byte(`"images_per_s":`)) || !bytes.Contains(log, []byte(`"share_of_peak":`)) || !strings.Contains(out, "share of peak ") || !strings.Contains(out, "GFLOP/s") {
		t.Errorf("no pace in\n%s\n%s", out, log)
	}
	before, _ := os.ReadFile(filepath.Join(at, train.StateFile))
	t.Chdir(dir)
	if err := os.Rename(at, filepath.Join(dir, "old")); err != nil {
		t.Fatal(err)
	}
	other, out, err := call(t, append(args, "--no-grids")...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	at = filepath.Join(other, "run")
	if after, _ := os.ReadFile(filepath.Join(at, train.StateFile)); len(grids()) != 0 || !bytes.Equal(before, after) {
		t.Errorf("--no-grids: grids %v, the same state: %v", grids(), bytes.Equal(before, after))
	}
	if err := os.WriteFile(filepath.Join(at, "samples-77.png"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, out, err = call(t, append(args[:len(args):len(args)], "--out", at, "--overwrite")...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if slices.Contains(grids(), filepath.Join(at, "samples-77.png")) || len(grids()) == 0 {
		t.Errorf("after --overwrite: grids %v", grids())
	}
}

// The pace counts steps since the last report, and not the time of a checkpoint.
func TestPace(t *testing.T) {
	p := &pace{unit: "images/s", batch: 10, flops: 50, peak: 1e3, step: 4, at: time.Now().Add(-time.Second)}
	f := p.since(24)
	if len(f) != 2 || !(f[0].Value > 20 && f[0].Value <= 200) || f[1].Value/f[0].Value < 0.999*5e-3 || f[1].Value/f[0].Value > 1.001*5e-3 {
		t.Errorf("20 steps of 10 in a second: %v", f)
	}
	if f := p.since(24); f != nil {
		t.Errorf("no steps: %v", f)
	}
	p.at = time.Now().Add(-time.Hour)
	p.skip(30)
	if f := p.since(31); !(f[0].Value > 1) {
		t.Errorf("an hour of a checkpoint was counted: %v", f)
	}
	p = &pace{unit: "samples/s", batch: 10, step: 4, at: time.Now().Add(-time.Second)} // of a machine whose peak was not measured
	if f := p.since(24); len(f) != 1 || !(f[0].Value > 20 && f[0].Value <= 200) {
		t.Errorf("20 steps of 10 in a second: %v", f)
	}
}
