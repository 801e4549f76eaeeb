package main

import (
	"bytes"
	"context"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/checkpoint"
	"hbar/cmd/internal/samplecmd"
	"hbar/cmd/internal/ui"
	"hbar/data"
	"hbar/nets"
)

// swissRoll is the network that checkpoint/testdata/README.md describes.
const swissRoll = "../../checkpoint/testdata/sr_simple.safetensors"

// command runs a command with DIR in its arguments replaced, and returns what it prints.
func command(c ui.Command, dir, args string) (string, error) {
	var out, diag bytes.Buffer
	err := c(context.Background(), strings.Fields(strings.ReplaceAll(args, "DIR", dir)), ui.Streams{Out: &out, Err: &diag})
	return out.String() + diag.String(), err
}

// must is command for one that should work.
func must(t *testing.T, c ui.Command, dir, args string) string {
	t.Helper()
	out, err := command(c, dir, args)
	if err != nil {
		t.Fatalf("%s: %v\n%s", args, err, out)
	}
	return out
}

// network is a checkpoint of a small network with its first weights: of dense layers without classes, a transformer with them.
func network(t *testing.T, shape []int, classes int) string {
	t.Helper()
	m, err := checkpoint.Load(swissRoll)
	if err != nil {
		t.Fatal(err)
	}
	d := 1
	for _, v := range shape {
		d *= v
	}
	m.Norm, m.Data, m.Shape, m.Columns = data.BytesNormalisation(), "mine.npz", shape, nil
	if classes == 0 {
		m.Spec.D, m.Spec.Width, m.Spec.Depth = d, 8, 1
		m.Params, err = m.Spec.Initial(3)
	} else {
		m.Params = nil
		m.Net, err = nets.New(nets.DiT{InputSize: shape[:2], PatchSize: 2, InChannels: shape[2], HiddenSize: 8, Depth: 1, NumHeads: 2, MLPRatio: 2, ClassDropoutProb: 0.1, NumClasses: classes})
	}
	if err != nil {
		t.Fatal(err)
	}
	if classes > 0 {
		m.Net.Initialise(3)
	}
	path := filepath.Join(t.TempDir(), "model.safetensors")
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// files are the contents of a folder by their paths in it.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		out[rel], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// same fails unless two folders hold the same files.
func same(t *testing.T, want, got string) {
	t.Helper()
	a, b := files(t, want), files(t, got)
	for name, x := range a {
		if y, ok := b[name]; !ok || !bytes.Equal(x, y) {
			t.Errorf("%s is not what one process writes (there: %v)", name, ok)
		}
	}
	if len(a) != len(b) || len(a) == 0 {
		t.Errorf("one process writes %d files, and merge %d", len(a), len(b))
	}
}

// manifests are the .json of the shards in a folder, in random order.
func manifests(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*-shard*of*.json"))
	if err != nil {
		t.Fatal(err)
	}
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// Whatever sample writes, shards of it joined in random order are what one process writes, byte for byte.
func TestSamples(t *testing.T) {
	images, labelled, sounds := network(t, []int{4, 4, 1}, 0), network(t, []int{4, 4, 1}, 3), network(t, []int{6, 2}, 0)
	for _, c := range []struct {
		name, args, out string
		shards          int
	}{
		{"array", "--checkpoint " + swissRoll + " --n 101 --first 40 --plot DIR/p.png", "x.npy", 4},
		{"table", "--checkpoint " + swissRoll + " --n 23 --h 0", "x.csv", 3},
		{"trajectory", "--checkpoint " + swissRoll + " --n 23 --trajectory 1,0.5,0.01", "x.npy", 3},
		{"several", "--checkpoint " + swissRoll + " --n 12 --h 0,1 --sampler em,exp2 --plot DIR/p.png", "x.npy", 2},
		{"fewer samples than shards", "--checkpoint " + swissRoll + " --n 3", "x.npy", 7},
		{"one shard", "--checkpoint " + swissRoll + " --n 3", "x.npy", 1},
		{"reward", "--checkpoint " + swissRoll + " --n 30 --reward x0-x1 --weights DIR/w.npz", "x.npy", 3},
		{"images and a sheet", "--checkpoint " + images + " --n 14 --sheet DIR/s.png", "x.npz", 3},
		{"floats and a sheet", "--checkpoint " + images + " --n 14 --sheet DIR/s.png", "x.npy", 5},
		{"a folder", "--checkpoint " + images + " --n 14", "x/", 3},
		{"labels", "--checkpoint " + labelled + " --n 14 --guidance 1 --sheet DIR/s.png", "x.npz", 3},
		{"labels in a folder", "--checkpoint " + labelled + " --n 14 --first 2 --h 0,0.5 --sheet DIR/s.png", "x/", 4},
		{"one class", "--checkpoint " + labelled + " --n 5 --class 2", "x.npz", 2},
		{"sounds", "--checkpoint " + sounds + " --n 9 --rate 8000 --sheet DIR/s.png", "x.wav", 2},
		{"a folder of sounds", "--checkpoint " + sounds + " --n 9", "x/", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			one, parts, all := t.TempDir(), t.TempDir(), t.TempDir()
			base := "--device cpu --steps 5 --grid lambda --seed 3 " + c.args
			must(t, samplecmd.Run, one, base+" --out DIR/"+c.out)
			where := strings.ReplaceAll(strings.ReplaceAll(base, "DIR/p", all+"/p"), "DIR/s", all+"/s")
			for i := range c.shards {
				// the pictures, and the weights when they are joined, go where the command line says
				must(t, samplecmd.Run, parts, where+" --out DIR/"+c.out+" --shard "+shardFlag(i, c.shards))
			}
			must(t, run, all, "--out DIR/"+c.out+" "+strings.Join(manifests(t, parts), " "))
			if joined := filepath.Join(parts, "w.npz"); strings.Contains(c.args, "DIR/w") {
				if err := os.Rename(joined, filepath.Join(all, "w.npz")); err != nil {
					t.Fatal(err)
				}
			}
			same(t, one, all)
		})
	}
}
