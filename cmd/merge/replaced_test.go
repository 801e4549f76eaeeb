package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/cmd/internal/cmdtest"
	"hbar/cmd/internal/likelihoodcmd"
	"hbar/cmd/internal/samplecmd"
	"hbar/cmd/internal/shard"
	"hbar/cmd/internal/sweepcmd"
	"hbar/cmd/internal/ui"
	"hbar/data/npz"
)

// A checkpoint or reward that is replaced while a shard is being computed, as training does it, leaves the hash of what was used.
func TestReplacedInputs(t *testing.T) {
	other := network(t, []int{2}, 0)
	for _, c := range []struct {
		run      ui.Command
		at, args string // the text of the output at which the files are replaced
	}{
		{samplecmd.Run, "weights  ", "--n 4 --steps 2 --reward DIR/r.npz"},
		{likelihoodcmd.Run, "points  ", "--data swissroll --n 2 --method pathintegral --h 1 --paths 8 --steps 2"},
		{sweepcmd.Run, "device  ", "--data swissroll --repeats 0 --nll-n 2 --method pathintegral --h 1 --paths 8 --steps 2"},
	} {
		dir := t.TempDir()
		model, reward := filepath.Join(dir, "m.safetensors"), filepath.Join(dir, "r.npz")
		replace := func(from string, a float64) {
			b, err := os.ReadFile(from)
			if err == nil {
				err = os.WriteFile(model, b, 0o666)
			}
			if err == nil {
				err = npz.Write(reward, map[string]*npz.Array{"A": {Shape: []int{2}, X: []float64{a, 0}}})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		replace(swissRoll, 1)
		sums := map[string]string{}
		for _, path := range []string{model, reward} {
			var err error
			if sums[path], err = shard.Hash(path); err != nil {
				t.Fatal(err)
			}
		}
		args := "--device cpu --workers 1 --shard 0/1 --checkpoint " + model + " --out DIR/x." + map[bool]string{true: "npy", false: "json"}[c.at == "weights  "] + " " + c.args
		replaced := false
		out := cmdtest.StopAt{Text: c.at, Stop: func() { replace(other, 2); replaced = true }}
		if err := c.run(t.Context(), strings.Fields(strings.ReplaceAll(args, "DIR", dir)), ui.Streams{Out: out, Err: io.Discard}); err != nil || !replaced {
			t.Errorf("%s: %v, replaced %t", c.args, err, replaced)
			continue
		}
		m, err := shard.Read(filepath.Join(dir, "x-shard0of1.json"))
		if err != nil {
			t.Fatal(err)
		}
		if m.Model != sums[model] || m.Reward != "" && m.Reward != sums[reward] {
			t.Errorf("%s: the manifest names model %.8s and reward %.8s; want %.8s and %.8s", c.args, m.Model, m.Reward, sums[model], sums[reward])
		}
	}
}
