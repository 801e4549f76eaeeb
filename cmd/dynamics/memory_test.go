package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A text goes through fit, loglik and generate by the scan, with a learned encoder; so do numbers at equal steps.
func TestMemory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte(strings.Repeat("abacabadabacabae", 100)), 0o666); err != nil {
		t.Fatal(err)
	}
	must(t, dir, "fit --data DIR/a.txt --method scan --kind dissipative --modes 12 --width 16 --encoder 8 --window 48 --steps 250 --batch 8 --lr 0.01 --out DIR/m.json --json DIR/f.json --plot DIR/f.png")
	r := read(t, filepath.Join(dir, "f.json"))
	if r.Method != "scan" || len(r.Modes) != 12 || r.Modes[0].ReCI[0] != nil || *r.Modes[0].Re > 0 {
		t.Errorf("%+v", r)
	}
	out := must(t, dir, "loglik --model DIR/m.json --data DIR/a.txt --json DIR/l.json")
	if !strings.Contains(out, "nats of 1,600 observations, -0.") {
		t.Error(out) // the text is periodic: below a nat a character
	}
	// Another text is read with the characters of the model, which decide which of them are rare.
	if few := must(t, dir, "loglik --model DIR/m.json --data DIR/a.txt --tokens 2 --json DIR/l.json"); few != out {
		t.Errorf("with --tokens 2:\n%s\nwithout:\n%s", few, out)
	}
	must(t, dir, "generate --model DIR/m.json --n 2 --steps 64 --out DIR/g.txt")
	if b, err := os.ReadFile(filepath.Join(dir, "g.txt")); err != nil || len(b) != 2*64+1 || strings.Trim(string(b), "abcde\n") != "" {
		t.Errorf("%q, %v", b, err)
	}

	oscillator(t, filepath.Join(dir, "o.npz"), 0.3, 1, 0.01, 1)
	must(t, dir, "generate --model DIR/o.npz --steps 1500 --dt 0.2 --out DIR/x.npz")
	for _, kind := range []string{"free", "conservative"} {
		must(t, dir, "fit --data DIR/x.npz --method scan --kind "+kind+" --modes 4 --width 8 --window 32 --steps 300 --lr 0.01 --out DIR/n.json")
		must(t, dir, "loglik --model DIR/n.json --data DIR/x.npz")
		out := must(t, dir, "generate --model DIR/n.json --steps 50 --out DIR/y.csv")
		if !strings.Contains(out, "log p") {
			t.Error(out)
		}
	}
	for args, want := range map[string]string{
		"spectrum --data DIR/x.npz --method scan":                              "scan",
		"fit --data DIR/x.npz --method scan --delays 2":                        "belong to other methods",
		"fit --data DIR/x.npz --method edmd --modes 2":                         "--modes belongs to --method scan",
		"fit --data DIR/x.npz --method scan --window 2000 --out DIR/q.json":    "no trajectory is longer than a window of 2000 steps",
		"loglik --model DIR/m.json --data DIR/x.npz":                           "the model is of characters: give it a text",
		"loglik --model DIR/n.json --data DIR/a.txt":                           "the data are a text, and the model is of numbers",
		"generate --model DIR/n.json --out DIR/q.txt":                          "this model is of numbers",
		"generate --model DIR/n.json --dt 3 --out DIR/q.npz":                   "this model has steps of 0.2",
		"loglik --model DIR/m.json --data DIR/a.txt --states DIR/s.npz":        "has no hidden states with a distribution",
		"fit --data DIR/x.npz --method scan --lr 1e30 --steps 30 --out q.json": "take a lower learning rate",
	} {
		if _, err := call(dir, args); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want %s", args, err, want)
		}
	}
	if math.IsNaN(float64(*r.Modes[0].Tau)) {
		t.Error("no τ")
	}
}
