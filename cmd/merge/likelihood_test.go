package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"hbar/cmd/internal/likelihoodcmd"
	"hbar/cmd/internal/ui"
	"hbar/data"
	"hbar/kernels/simd"
)

// pixels writes n images of whole numbers with labels 0, 1, 2, in turn.
func pixels(t *testing.T, n int, shape ...int) string {
	t.Helper()
	d := 1
	for _, v := range shape {
		d *= v
	}
	x := make([]float64, n*d)
	for i := range x {
		x[i] = float64(i * i * 31 % 256)
	}
	path := filepath.Join(t.TempDir(), "pixels.npy")
	if err := data.WriteNpy(path, data.Float32, x, shape...); err != nil {
		t.Fatal(err)
	}
	return path
}

// result is a JSON file without what may differ: seconds, and the paths of outputs.
func result(t *testing.T, path string) map[string]any {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	delete(v, "seconds")
	if cells, ok := v["cells"].([]any); ok { // of a sweep
		for _, c := range cells {
			delete(c.(map[string]any), "sampling_seconds")
		}
	}
	for _, name := range []string{"out", "csv", "plot", "plot_nll", "sheet"} {
		delete(v["options"].(map[string]any), name)
	}
	return v
}

// sameResult fails unless x.json in two folders says the same, and their other files are the same.
func sameResult(t *testing.T, one, all string) {
	t.Helper()
	a, b := result(t, filepath.Join(one, "x.json")), result(t, filepath.Join(all, "x.json"))
	for name, v := range a {
		if !reflect.DeepEqual(v, b[name]) {
			t.Errorf("%s: %v\nmerged: %v", name, v, b[name])
		}
	}
	if len(a) != len(b) {
		t.Errorf("%d fields, merged %d", len(a), len(b))
	}
	x, y := files(t, one), files(t, all)
	for name := range x {
		if name != "x.json" && string(x[name]) != string(y[name]) {
			t.Errorf("%s differs", name)
		}
	}
}

// joined runs a command as one process and in shards, and merges these in random order. It returns the folders of both.
func joined(t *testing.T, c ui.Command, args, out string, shards int) (one, all string) {
	t.Helper()
	one, all = t.TempDir(), t.TempDir()
	parts := t.TempDir()
	must(t, c, one, args+" --out DIR/"+out)
	for i := range shards {
		must(t, c, parts, strings.ReplaceAll(args, "DIR/p", all+"/p")+" --out DIR/"+out+" --shard "+shardFlag(i, shards))
	}
	must(t, run, all, "--out DIR/"+out+" "+strings.Join(manifests(t, parts), " "))
	return one, all
}

// Whatever likelihood computes, shards of it joined are what one process writes: every number to its last digit.
func TestLikelihood(t *testing.T) {
	flat, labelled := network(t, []int{4, 4, 1}, 0), network(t, []int{4, 4, 1}, 3)
	images := pixels(t, 9, 4, 4, 1)
	base := "--device cpu --seed 3 --checkpoint "
	elsewhere := t.TempDir()
	other, own := filepath.Join(elsewhere, "other.json"), filepath.Join(elsewhere, "m.safetensors")
	must(t, likelihoodcmd.Run, elsewhere, base+swissRoll+" --data swissroll --n 9 --tol 1e-1 --out "+other)
	b, err := os.ReadFile(swissRoll)
	if err == nil {
		err = os.WriteFile(own, b, 0o666) // a fit is kept beside it
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, args string
		shards     int
	}{
		{"flow on a mesh", swissRoll + " --data swissroll --n 130 --first 7 --plot DIR/p.png", 3},
		{"all methods", swissRoll + " --data swissroll --n 4 --h 0,1 --method all --paths 20 --steps 20 --cells 32 --plot DIR/p.png", 2},
		{"expansion on a mesh", swissRoll + " --data swissroll --n 110 --method wkb --order 1 --h 0,0.1", 2},
		{"extrapolated paths", swissRoll + " --data swissroll --n 7 --method pathintegral --h 1 --paths 30 --steps 20 --richardson --bootstrap 20", 3},
		{"fewer points than shards", swissRoll + " --data swissroll --n 2", 5},
		{"generated", swissRoll + " --generated 8 --h 0,1 --steps 20 --paths 10 --bits", 3},
		{"probes", flat + " --data " + images + " --divergence rademacher --probes 2 --method flow,wkb,pathintegral --h 0,1 --paths 4 --steps 10", 2},
		{"bits by tolerance", flat + " --data " + images + " --bits --dequantise uniform --draws 2 --tol 1e-3 --divergence exact", 2},
		{"bits", flat + " --data " + images + " --bits --dequantise truncnorm --draws 3 --flow-steps 8 --h 0,0.5 --paths 4 --steps 10", 3},
		{"mean over classes", labelled + " --data " + images + " --class marginal --bits --dequantise uniform --draws 2 --flow-steps 4", 2},
		{"another result", swissRoll + " --data swissroll --n 9 --tol 1e-2 --against " + other, 3},
		{"the sampler's own score", own + " --data swissroll --n 5 --method pathintegral --h 1 --steps 10 --paths 4 --own-score fit --own-paths 8", 2},
		{"classes", labelled + " --data " + images + " --class 1 --bits --dequantise uniform --draws 2 --flow-steps 4 --divergence rademacher --probes 2", 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && (c.name == "all methods" || strings.HasPrefix(c.name, "the sampler's")) {
				t.Skip("the grid and the fit take seconds")
			}
			if testing.Short() && simd.Best().Name == "generic" && strings.HasSuffix(c.name, "on a mesh") {
				t.Skip("a hundred points take a minute without assembly")
			}
			one, all := joined(t, likelihoodcmd.Run, base+c.args, "x.json", c.shards)
			sameResult(t, one, all)
		})
	}
	one, all := joined(t, likelihoodcmd.Run, base+swissRoll+" --data swissroll --n 5", "x.csv", 2)
	same(t, one, all)
}

// Shards of other points do not belong together, and one that was changed is not read.
func TestLikelihoodRefused(t *testing.T) {
	dir := t.TempDir()
	first, second := pixels(t, 4, 2), pixels(t, 4, 2)
	x := []float64{1, 2, 3, 4, 5, 6, 7, 9}
	if err := data.WriteNpy(second, data.Float32, x, 2); err != nil {
		t.Fatal(err)
	}
	args := "--device cpu --checkpoint " + swissRoll + " --tol 1e-2 --out DIR/x.json --data "
	must(t, likelihoodcmd.Run, dir, args+first+" --shard 0/2")
	must(t, likelihoodcmd.Run, dir, args+second+" --shard 1/2")
	if _, err := command(run, dir, "--out DIR/all.json DIR/x-shard0of2.json DIR/x-shard1of2.json"); err == nil || !strings.Contains(err.Error(), "of data with SHA-256") {
		t.Errorf("other points: %v", err)
	}
	must(t, likelihoodcmd.Run, dir, args+first+" --tol 1e-3 --shard 1/2")
	if _, err := command(run, dir, "--out DIR/all.json DIR/x-shard0of2.json DIR/x-shard1of2.json"); err == nil || !strings.Contains(err.Error(), "--tol is 0.01 in the one and 0.001") {
		t.Errorf("another tolerance: %v", err)
	}
	if _, err := command(run, dir, "--out DIR/all.json DIR/x-shard1of2.json"); err == nil || !strings.Contains(err.Error(), "shard 0 of 2 missing") {
		t.Errorf("a missing shard: %v", err)
	}
	must(t, likelihoodcmd.Run, dir, args+first+" --shard 1/2")
	changed := filepath.Join(dir, "x-shard1of2.json")
	b, err := os.ReadFile(changed)
	at := strings.Index(string(b), `"values": "`) + 200
	if err != nil || at < 200 {
		t.Fatalf("no values, %v", err)
	}
	b[at] = 'A' + (b[at]-'A'+1)%26
	if err := os.WriteFile(changed, b, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := command(run, dir, "--out DIR/all.json DIR/x-shard0of2.json DIR/x-shard1of2.json"); err == nil || !strings.Contains(err.Error(), "are not as they were written") {
		t.Errorf("changed values: %v", err)
	}
	if _, err := command(likelihoodcmd.Run, dir, args+first+" --image DIR/x.png --method fokkerplanck --h 1 --shard 0/2"); err == nil || !strings.Contains(err.Error(), "draw it without --shard") {
		t.Errorf("an image of a shard: %v", err)
	}
	if err := os.Truncate(filepath.Join(dir, "x-shard1of2.json"), 900); err != nil {
		t.Fatal(err)
	}
	if _, err := command(run, dir, "--out DIR/all.json DIR/x-shard0of2.json DIR/x-shard1of2.json"); err == nil || !strings.Contains(err.Error(), "is not whole") {
		t.Errorf("a shard that was cut off: %v", err)
	}
}
