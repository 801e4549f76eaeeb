package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hbar/cmd/internal/likelihoodcmd"
	"hbar/cmd/internal/samplecmd"
	"hbar/cmd/internal/shard"
	"hbar/cmd/internal/sweepcmd"
	"hbar/cmd/internal/ui"
)

func shardFlag(i, n int) string { return fmt.Sprintf("%d/%d", i, n) }

// tenThousand draws 10 000 samples in 7 shards of 2 steps, and returns the command line without the shard.
func tenThousand(t *testing.T, dir string) string {
	t.Helper()
	args := "--device cpu --checkpoint " + swissRoll + " --n 10000 --steps 2 --out DIR/x.npy"
	for i := range 7 {
		must(t, samplecmd.Run, dir, args+" --shard "+shardFlag(i, 7))
	}
	return args
}

// Two lost shards of seven are named with the command that makes them, and run again they complete the whole.
func TestLostShards(t *testing.T) {
	dir, one := t.TempDir(), t.TempDir()
	args := tenThousand(t, dir)
	for _, i := range []int{2, 5} {
		for _, name := range []string{"x-shard%dof7.npy", "x-shard%dof7.json"} {
			if err := os.Remove(filepath.Join(dir, fmt.Sprintf(name, i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, err := command(run, dir, "--out DIR/all.npy "+strings.Join(manifests(t, dir), " "))
	if err == nil || !strings.Contains(err.Error(), "shards 2, 5 of 7 missing; run again: ") || !strings.Contains(err.Error(), "--n 10000") ||
		!strings.Contains(err.Error(), "--shard 2/7") || !strings.Contains(err.Error(), "--shard 5/7") {
		t.Fatalf("two lost shards: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "all.npy")); err == nil {
		t.Fatal("something is written without the lost shards")
	}
	must(t, samplecmd.Run, dir, args+" --shard 5/7")
	must(t, samplecmd.Run, dir, args+" --shard 2/7")
	must(t, run, one, "--out DIR/x.npy "+strings.Join(manifests(t, dir), " "))
	must(t, samplecmd.Run, dir, args)
	want, _ := os.ReadFile(filepath.Join(dir, "x.npy"))
	got, err := os.ReadFile(filepath.Join(one, "x.npy"))
	if err != nil || string(got) != string(want) || len(want) < 80000 {
		t.Fatalf("the whole differs from what one process draws (%d and %d bytes, %v)", len(got), len(want), err)
	}
}

// What does not belong together is refused in one line that says why.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	args := "--device cpu --checkpoint " + swissRoll + " --n 20 --steps 2 --out DIR/x.npy"
	for i := range 2 {
		must(t, samplecmd.Run, dir, args+" --shard "+shardFlag(i, 2))
	}
	for _, ending := range []string{".npy", ".json"} {
		b, err := os.ReadFile(filepath.Join(dir, "x-shard1of2"+ending))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "copy"+ending), b, 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	other := network(t, []int{2}, 0)
	for _, c := range []struct{ name, args, want string }{
		{"seed", args + " --seed 1 --shard 1/2", "do not belong together: --seed is 0 in the one and 1 in the other"},
		{"steps", args + " --steps 3 --shard 1/2", "--steps is 2 in the one and 3 in the other"},
		{"h", args + " --h 0.5 --shard 1/2", "--h is 1 in the one and 0.5 in the other"},
		{"number", args + " --n 21 --shard 1/2", "of samples, of which there are 20 and 21"},
		{"first", args + " --first 10 --shard 1/2", "--first is 0 in the one and 10 in the other"},
		{"model", args + " --checkpoint " + other + " --shard 1/2", "of the model with SHA-256"},
		{"parts", args + " --shard 1/3", "of a job in so many parts: 2 and 3"},
		{"twice", args + " --shard 0/2", "shard 0 of 2 is there twice"},
	} {
		own := t.TempDir()
		must(t, samplecmd.Run, own, c.args)
		_, err := command(run, dir, "--out DIR/all.npy DIR/x-shard0of2.npy "+strings.Join(manifests(t, own), " "))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("another %s: %v, want %q", c.name, err, c.want)
		}
	}
	if err := samplecmd.Run(t.Context(), append(strings.Fields(strings.ReplaceAll(args, "DIR", dir)), "--shard", ""), ui.Streams{Out: io.Discard, Err: io.Discard}); err == nil || !strings.Contains(err.Error(), "--shard is empty; name the part") {
		t.Errorf("an empty --shard: %v", err)
	}
	for _, c := range []struct{ args, want string }{
		{"DIR/x-shard0of2.npy", "--out FILE is missing"},
		{"--out DIR/all.npy", "no shards are named"},
		{"--out DIR/all.npy DIR/x-shard0of2.npy", "shard 1 of 2 missing"},
		{"--out DIR/all.npy DIR/x-shard0of2.npy DIR/x-shard0of2.json", "shard 1 of 2 missing"},
		{"--out DIR/all.npy DIR/none.npy", "none.npy"},
		{"--out DIR/none/all.npy DIR/x-shard0of2.npy DIR/x-shard1of2.npy", "--out " + dir + "/none/all.npy: there is no folder"},
		{"--out DIR/all.npy DIR/x-shard0of2.npy DIR/copy.npy", "copy.npy is not among the files of shard 1 of 2 that "},
		{"--out DIR/all.npz DIR/x-shard0of2.npy DIR/x-shard1of2.npy", "is of another kind than --out"},
		{"--out DIR/x-shard0of2.npy DIR/x-shard0of2.npy DIR/x-shard1of2.npy", "would replace a file of shard 0 of 2"},
	} {
		if _, err := command(run, dir, c.args); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.args, err, c.want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "all.npy")); err == nil {
		t.Error("something is written")
	}
}

// A shard that was cut off or changed after it was written is refused, and the error says how to run it again.
func TestDamaged(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(path string) error
		want   string
	}{
		{"x-shard1of3.npy", func(p string) error { return os.Truncate(p, 260) }, "has 260 bytes and was written with"},
		{"x-shard1of3.npy", func(p string) error {
			b, err := os.ReadFile(p)
			b[len(b)-1] ^= 1
			os.WriteFile(p, b, 0o666)
			return err
		}, "is not as it was written"},
		{"x-shard1of3.npy", os.Remove, "is not there"},
		{"x-shard1of3.json", func(p string) error { return os.Truncate(p, 200) }, "is not whole"},
	} {
		dir := t.TempDir()
		for i := range 3 {
			must(t, samplecmd.Run, dir, "--device cpu --checkpoint "+swissRoll+" --n 20 --steps 2 --out DIR/x.npy --shard "+shardFlag(i, 3))
		}
		if err := c.damage(filepath.Join(dir, c.name)); err != nil {
			t.Fatal(err)
		}
		_, err := command(run, dir, "--out DIR/all.npy "+strings.Join(manifests(t, dir), " "))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "again") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// A sheet is drawn when all shards have kept their samples for it: one that was run without --sheet leaves a gap.
func TestHalfASheet(t *testing.T) {
	dir := t.TempDir()
	args := "--device cpu --workers 1 --checkpoint " + network(t, []int{4, 4, 1}, 0) + " --n 14 --steps 2 --out DIR/x.npz"
	must(t, samplecmd.Run, dir, args+" --sheet DIR/p.png --shard 0/2")
	must(t, samplecmd.Run, dir, args+" --shard 1/2")
	list := manifests(t, dir)
	slices.Sort(list) // the command line of the first is followed
	_, err := command(run, dir, "--out DIR/all.npz "+strings.Join(list, " "))
	if err == nil || !strings.Contains(err.Error(), "the shards have kept 7 samples for --sheet, which shows 14") {
		t.Errorf("a sheet of the first shard alone: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "p.png")); err == nil {
		t.Error("a sheet is drawn")
	}
}

// The Job for Kubernetes has as many completions as its command has shards, and the command does its part under each number.
func TestKubernetesJob(t *testing.T) {
	b, err := os.ReadFile("../../scripts/cluster/sample.yaml")
	if err != nil {
		t.Fatal(err)
	}
	completions, after := 0, ""
	var args []string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if v, ok := strings.CutPrefix(line, "completions: "); ok {
			if _, err := fmt.Sscan(v, &completions); err != nil {
				t.Fatal(err)
			}
		}
		if v, ok := strings.CutPrefix(line, "- --"); ok && after == "command:" {
			args = append(args, "--"+v)
		} else if !strings.HasPrefix(line, "- /hbar/bin/sample") {
			after = line
		}
	}
	if !strings.Contains(strings.Join(args, " "), fmt.Sprintf("--shards=%d", completions)) || completions < 2 {
		t.Fatalf("%d completions, and the command has %v", completions, args)
	}
	dir := t.TempDir()
	for i := range completions {
		t.Setenv("JOB_COMPLETION_INDEX", fmt.Sprint(i))
		out := must(t, samplecmd.Run, dir, strings.Join(args, " ")+" --checkpoint "+swissRoll+" --device cpu --n 16 --steps 2 --out DIR/x.npy")
		if want := fmt.Sprintf("%d of %d by a Kubernetes indexed Job", i, completions); !strings.Contains(out, want) {
			t.Fatalf("the output lacks %q:\n%s", want, out)
		}
	}
	must(t, run, dir, "--out DIR/all.npy "+strings.Join(manifests(t, dir), " "))
}

// Files that are no shards, or say what no shard is, are refused in one line.
func TestNoShards(t *testing.T) {
	dir := t.TempDir()
	must(t, samplecmd.Run, dir, "--device cpu --checkpoint "+swissRoll+" --n 20 --steps 2 --out DIR/x.npy --shard 0/1")
	b, err := os.ReadFile(filepath.Join(dir, "x-shard0of1.json"))
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	for _, c := range []struct{ text, want string }{
		{"", "is not whole"},
		{"null", "is no shard of sample"},
		{"[1, 2]", "is no shard of sample"},
		{`{"shard": 1}`, "is no shard of sample"},
		{`{"shard": NaN}`, "is not whole"},
		{strings.Replace(good, `"shards": 1`, `"shards": 0`, 1), "shard 0 of 0 with 20 items, which no shard is"},
		{strings.Replace(good, `"shards": 1`, `"shards": 1000000000000`, 1), "which no shard is"},
		{strings.Replace(good, `"shard": 0`, `"shard": -1`, 1), "shard -1 of 1"},
		{strings.Replace(good, `"n": 20`, `"n": 0`, 1), "with 0 items"},
		{strings.Replace(good, `"n": 20`, `"n": 21`, 1), "has samples 0 to 19, and shard 0 of 1 has 0 to 20 of 21"},
		{strings.Replace(strings.Replace(good, `"n": 20`, `"n": 21`, 1), `"to": 20`, `"to": 21`, 1), "is of 21 samples, and its command line draws 20"},
		{strings.Replace(good, `"n": 20`, `"n": "20"`, 1), "as this program writes them"},
		{strings.Replace(good, "hbar shard", "hbar shard 9 of", 1), `is a shard of format "hbar shard 9 of`},
		{strings.Replace(good, `"command": "sample"`, `"command": "train"`, 1), `is a shard of "train", which this program does not join`},
		{strings.Replace(good, `"--steps"`, `"--strides"`, 1), "the command line of sample in "},
		{strings.Replace(good, `"role": "samples"`, `"role": "pictures"`, 1), "names no file of samples"},
		{strings.Replace(good, `"name": "x-shard0of1.npy"`, `"name": "../none.npy"`, 1), "none.npy, of shard 0 of 1, is not there"},
	} {
		if c.text == good {
			t.Fatalf("nothing is changed for %q", c.want)
		}
		if err := os.WriteFile(filepath.Join(dir, "x-shard0of1.json"), []byte(c.text), 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := command(run, dir, "--out DIR/all.npy DIR/x-shard0of1.json")
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.40q: %v, want %q", c.text, err, c.want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "all.npy")); err == nil {
		t.Error("something is written")
	}
}

// While a process writes a shard, another that would write the same names is refused, whatever it computes.
func TestTwoJobs(t *testing.T) {
	dir := t.TempDir()
	release, err := shard.Claim(filepath.Join(dir, "x-shard1of2.npy"))
	if err != nil {
		t.Fatal(err)
	}
	args := "--device cpu --checkpoint " + swissRoll + " --shard 1/2 --out DIR/x."
	jobs := []struct {
		run  ui.Command
		args string
	}{{samplecmd.Run, args + "npy --n 6 --steps 2"}, {likelihoodcmd.Run, args + "json --data swissroll --n 6 --tol 1e-2"}, {sweepcmd.Run, args + "json --data swissroll --repeats 0 --nll-n 4 --method flow --h 0 --tol 1e-2"}}
	for _, c := range jobs {
		if _, err := command(c.run, dir, c.args); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("is being written by process %d; wait for it to end, or take another --out", os.Getpid())) {
			t.Errorf("%s: %v", c.args, err)
		}
	}
	must(t, samplecmd.Run, dir, strings.Replace(jobs[0].args, "1/2", "0/2", 1))
	release()
	for _, c := range jobs {
		must(t, c.run, dir, c.args)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}
