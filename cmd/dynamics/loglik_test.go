package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Outputs in another order than those of the model are refused.
func TestLoglikNames(t *testing.T) {
	dir := t.TempDir()
	oscillator(t, filepath.Join(dir, "m.npz"), 0.3, 1, 0, 2)
	must(t, dir, "generate --model DIR/m.npz --steps 50 --dt 0.2 --out DIR/g.csv")
	b, err := os.ReadFile(filepath.Join(dir, "g.csv"))
	if err != nil {
		t.Fatal(err)
	}
	for name, header := range map[string]string{"xy": "x,y", "yx": "y,x"} {
		text := strings.Replace(string(b), "x[0],x[1]", header, 1)
		if err := os.WriteFile(filepath.Join(dir, name+".csv"), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	must(t, dir, "fit --data DIR/xy.csv --method edmd --out DIR/f.json")
	must(t, dir, "loglik --model DIR/f.json --data DIR/xy.csv")
	if _, err := call(dir, "loglik --model DIR/f.json --data DIR/yx.csv"); err == nil || !strings.Contains(err.Error(), `output 1 of the data is "y", and of the model it is "x"`) {
		t.Errorf("error %v", err)
	}
}
