package samplecmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"hbar/checkpoint"
	"hbar/data"
)

// Text is written as the characters that the bits of the same samples spell, is shown on the terminal, and nothing else is.
func TestText(t *testing.T) {
	path := imageModel(t, []int{5, 2}, data.Normalisation{Mean: []float64{0.5}, Scale: []float64{0.5}})
	m, err := checkpoint.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	args := "--checkpoint " + path + " --n 9 --steps 5 --seed 4 "
	if _, err := printed(t.TempDir(), args+"--out DIR/x.txt"); err == nil || !strings.Contains(err.Error(), "for networks that were trained on text") {
		t.Errorf("text of a network for sequences: %v", err)
	}
	m.Alphabet = data.Alphabet("\nbä")
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	_, dir, _ := sample(t, args)
	x := read(t, filepath.Join(dir, "x.npy"))
	want := ""
	for i := range 9 {
		want += m.Alphabet.Text(x.Row(i)) + "\n"
	}
	out, err := printed(dir, args+"--out DIR/x.txt --show=blocks")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "x.txt"))
	if err != nil || string(b) != want || utf8.RuneCount(b) != 9*6 {
		t.Errorf("%q, %v; want %q", b, err, want)
	}
	for _, s := range []string{"9 × 5×2, characters", "shown     8 of 9 samples\n--- 0\n" + strings.SplitAfter(want, "\n")[0][:1]} {
		if !strings.Contains(out, s) {
			t.Errorf("the report lacks %q:\n%s", s, out)
		}
	}
	for more, want := range map[string]string{"--out DIR/x.wav": "write them as .txt", "--out DIR/y.npy --sheet DIR/s.png": "to be written as .txt"} {
		if _, err := printed(dir, args+more); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", more, err, want)
		}
	}
}
