package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"hbar/cmd/internal/cmdtest"
	"hbar/cmd/internal/sweepcmd"
	"hbar/cmd/internal/ui"
	"hbar/data"
)

// Whatever sweep measures, shards of it joined are what one process writes: every number to its last digit.
func TestSweep(t *testing.T) {
	model, classifier := cmdtest.Digits(t)
	base := "--device cpu --seed 3 --checkpoint "
	roll := swissRoll + " --data swissroll --n 60 "
	for _, c := range []struct {
		name, args string
		shards     int
	}{
		{"distances, flow and paths", roll + "--nll-n 23 --repeats 4 --h 1,0,0.3 --steps 12,6 --method flow,wkb,pathintegral --paths 8 --tol 1e-2 --csv DIR/p.csv --plot DIR/p.png --plot-nll DIR/p2.png", 4},
		{"the defaults", swissRoll + " --data swissroll --n 50 --nll-n 9 --h 0,1 --steps 10 --repeats 4 --tol 1e-2 --cells 32 --csv DIR/p.csv --plot-nll DIR/p.png", 2},
		{"more shards than cells and points", swissRoll + " --data swissroll --n 50 --nll-n 2 --repeats 4 --h 0,1 --steps 10 --method flow,pathintegral --paths 8", 7},
		{"likelihoods alone", swissRoll + " --data swissroll --nll-n 23 --repeats 0 --h 0;0.2;1;0.1@-2,1@2 --steps 10,20 --method pathintegral --paths 8", 3},
		{"distances alone", roll + "--repeats 4 --h 0,0.5 --steps 10,20 --method none --csv DIR/p.csv", 3},
		{"bands", roll + "--repeats 4 --h 0,1 --steps 5,10,20 --bands 2 --method none", 2},
		{"images", model + " --classifier " + classifier + " --metric sliced,fd,kd --h 0;1;1@-2,2@2 --steps 2 --n 30 --groups 5 --sampler exp2 --denoise --sheet DIR/p.png", 2},
		{"images, bands", model + " --metric sliced --bands 2 --h 0,1 --steps 2,3 --n 30 --groups 5 --method none --sampler exp2 --sheet DIR/p.png", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.name == "the defaults" {
				t.Skip("the grid takes seconds")
			}
			one, all := joined(t, sweepcmd.Run, base+c.args, "x.json", c.shards)
			sameResult(t, one, all)
		})
	}
	one, all := joined(t, sweepcmd.Run, base+roll+"--repeats 4 --h 0,1 --steps 5 --method none", "x.csv", 2)
	same(t, one, all)
}

// keptPart stops a command once there is the file of what it has done.
type keptPart struct {
	path string
	stop func()
}

func (k keptPart) Write(b []byte) (int, error) {
	if _, err := os.Stat(k.path); err == nil {
		k.stop()
	}
	return len(b), nil
}

// A shard that was stopped goes on from what it has kept, to the same bits.
func TestSweepResume(t *testing.T) {
	for _, c := range []struct {
		name, args, at string // the text of the progress at which it is stopped; "": at the first line of it after something is kept
	}{
		{"after the distances", "--n 60 --nll-n 9 --repeats 4 --h 1,0 --steps 12,6 --method flow,pathintegral --paths 8 --tol 1e-2", "flow points"},
		{"between cells", "--n 60 --nll-n 9 --repeats 4 --h 1,0,0.3,0.5 --steps 30,20 --method flow --tol 1e-2", ""},
		{"between likelihoods", "--nll-n 9 --repeats 0 --h 1,0 --steps 12,6 --method flow,pathintegral --paths 8 --tol 1e-2", "pathintegral paths"},
		{"before the bands", "--n 60 --repeats 4 --h 0,1 --steps 5,10,20 --bands 2 --method none", "bands strengths"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := "--device cpu --seed 3 --checkpoint " + swissRoll + " --data swissroll " + c.args
			one, parts, all := t.TempDir(), t.TempDir(), t.TempDir()
			must(t, sweepcmd.Run, one, args+" --out DIR/x.json")
			shard := func(i int) string {
				return strings.ReplaceAll(args+" --out DIR/x.json --shard "+shardFlag(i, 2), "DIR", parts)
			}
			kept := filepath.Join(parts, "x-shard1of2.json.part")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var stop io.Writer = keptPart{kept, cancel}
			if c.at != "" {
				stop = cmdtest.StopAt{Text: c.at, Stop: cancel}
			}
			err := sweepcmd.Run(ctx, strings.Fields(shard(1)), ui.Streams{Out: io.Discard, Err: stop})
			if !errors.Is(err, ui.ErrInterrupted) || !strings.Contains(err.Error(), "the same command with --resume goes on from "+kept) {
				t.Fatal(err)
			}
			before, err := os.ReadFile(kept)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := command(sweepcmd.Run, parts, shard(1)+" --seed 4 --resume"); err == nil || !strings.Contains(err.Error(), "it is of another command, checkpoint or data") {
				t.Errorf("with another seed: %v", err)
			}
			if after, err := os.ReadFile(kept); err != nil || !bytes.Equal(before, after) {
				t.Errorf("a run that was refused has changed what is kept: %v", err)
			}
			if out := must(t, sweepcmd.Run, parts, shard(1)+" --resume"); !strings.Contains(out, "resume    done: ") {
				t.Errorf("nothing of what was done:\n%s", out)
			}
			if _, err := os.Stat(kept); err == nil {
				t.Error("what was kept is there after the end")
			}
			must(t, sweepcmd.Run, parts, shard(0))
			must(t, run, all, "--out DIR/x.json "+strings.Join(manifests(t, parts), " "))
			sameResult(t, one, all)
		})
	}
	for args, want := range map[string]string{
		" --shard 0/2 --resume": "there is no ",
		" --resume":             "--resume goes on with a shard; without --shard a sweep that is stopped begins anew",
	} {
		if _, err := command(sweepcmd.Run, t.TempDir(), "--checkpoint "+swissRoll+" --data swissroll --n 60 --repeats 4 --h 0 --steps 5 --method none --out DIR/x.json"+args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

// Shards of another sweep, or with other data behind one name, do not belong together; one that is missing, changed or cut off is named.
func TestSweepRefused(t *testing.T) {
	dir := t.TempDir()
	points := filepath.Join(dir, "points.npy")
	write := func(shift float64) {
		set, err := data.ByName("swissroll", 240, 5)
		if err != nil {
			t.Fatal(err)
		}
		set.X[0] += shift
		if err := data.WriteNpy(points, data.Float64, set.X, 2); err != nil {
			t.Fatal(err)
		}
	}
	write(0)
	args := "--device cpu --checkpoint " + swissRoll + " --data " + points + " --n 60 --repeats 4 --h 0,1 --steps 5 --method flow --nll-n 10 --tol 1e-2 --out DIR/x.json"
	shards := "--out DIR/all.json DIR/x-shard1of3.json DIR/x-shard0of3.json DIR/x-shard2of3.json"
	for i := range 3 {
		must(t, sweepcmd.Run, dir, args+" --shard "+shardFlag(i, 3))
	}
	must(t, run, dir, shards)
	whole, err := os.ReadFile(filepath.Join(dir, "x-shard1of3.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		make       func()
	}{
		{"another seed", "--seed is 0 in the one and 1 in the other", func() { must(t, sweepcmd.Run, dir, args+" --seed 1 --shard 1/3") }},
		{"other steps", "--steps is 5 in the one and 6 in the other", func() { must(t, sweepcmd.Run, dir, args+" --steps 6 --shard 1/3") }},
		{"another measure", "--metric is w2,nll in the one and w2,sliced,nll in the other", func() { must(t, sweepcmd.Run, dir, args+" --metric w2,sliced,nll --shard 1/3") }},
		{"another network", "of the model with SHA-256", func() { must(t, sweepcmd.Run, dir, args+" --checkpoint "+network(t, []int{2}, 0)+" --shard 1/3") }},
		{"other data", "other data, of SHA-256", func() { write(1); must(t, sweepcmd.Run, dir, args+" --shard 1/3"); write(0) }},
		{"a missing shard", "shard 1 of 3 missing; run again: ", func() { os.Rename(filepath.Join(dir, "x-shard1of3.json"), filepath.Join(dir, "away")) }},
		{"a shard that was cut off", "x-shard1of3.json is not whole", func() { os.WriteFile(filepath.Join(dir, "x-shard1of3.json"), whole[:len(whole)/2], 0o666) }},
		{"changed values", "are not as they were written", func() {
			text := string(whole)
			at := strings.Index(text, `"values": "`) + 300
			other := "A"
			if text[at:at+1] == other {
				other = "B"
			}
			os.WriteFile(filepath.Join(dir, "x-shard1of3.json"), []byte(text[:at]+other+text[at+1:]), 0o666)
		}},
	} {
		os.WriteFile(filepath.Join(dir, "x-shard1of3.json"), whole, 0o666)
		os.Remove(filepath.Join(dir, "all.json"))
		c.make()
		list := shards
		if c.name == "a missing shard" {
			list = strings.Replace(shards, " DIR/x-shard1of3.json", "", 1)
		}
		_, err := command(run, dir, list)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if _, err := os.Stat(filepath.Join(dir, "all.json")); err == nil {
			t.Errorf("%s: something is written", c.name)
		}
	}
}

// A network that sends samples to infinity: merge writes the result of one process, and ends with its error.
func TestSweepNotFinite(t *testing.T) {
	path := cmdtest.Diverging(t, swissRoll)
	one, parts := t.TempDir(), t.TempDir()
	args := "--device cpu --checkpoint " + path + " --data swissroll --h 0,0.5 --steps 20 --n 20 --repeats 4 --method flow,pathintegral --nll-n 5 --paths 4 --out DIR/x.json"
	_, want := command(sweepcmd.Run, one, args)
	for i := range 3 {
		must(t, sweepcmd.Run, parts, args+" --shard "+shardFlag(i, 3))
	}
	_, got := command(run, parts, "--out DIR/x.json "+strings.Join(manifests(t, parts), " "))
	if want == nil || got == nil || strings.ReplaceAll(got.Error(), parts, one) != want.Error() || !strings.Contains(want.Error(), "no sample is finite at any h") {
		t.Errorf("error %v, of one process %v", got, want)
	}
	if a, b := result(t, filepath.Join(one, "x.json")), result(t, filepath.Join(parts, "x.json")); !reflect.DeepEqual(a, b) {
		t.Errorf("%v\nof one process: %v", b, a)
	}
}
