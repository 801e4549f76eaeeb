package samples

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/data"
)

// Text is written window by window, and joined from parts to the same bytes.
func TestText(t *testing.T) {
	dir := t.TempDir()
	o := Options{N: 3, Shape: []int{2, 2}, Alphabet: data.Alphabet("\nbä")}
	x := []float64{0.1, 0.8, 1.2, -0.3 /* b ä */, 0, 0.2, 0, 0.9 /* \n b */, 1, 0, 1, 0.4 /* ä ä */}
	write := func(name string, n int, x []float64) string {
		path := filepath.Join(dir, name)
		o := o
		o.N = n
		w, err := Create(path, o)
		if err != nil {
			t.Fatal(err)
		}
		for len(x) > 0 { // calls that end within a sample
			k := min(3, len(x))
			if err := w.WriteFloat64(x[:k]); err != nil {
				t.Fatal(err)
			}
			x = x[k:]
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const want = "bä\n\nb\nää\n"
	whole := write("all.txt", 3, x)
	if b, err := os.ReadFile(whole); err != nil || string(b) != want {
		t.Errorf("%q, %v; want %q", b, err, want)
	}
	parts := []Part{{write("a.txt", 2, x[:8]), 2}, {write("b.txt", 1, x[8:]), 1}}
	joined := filepath.Join(dir, "joined.txt")
	if err := Join(joined, parts, o); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(joined); err != nil || string(b) != want {
		t.Errorf("joined: %q, %v; want %q", b, err, want)
	}
	if err := Join(filepath.Join(dir, "wrong.txt"), parts[:1], o); err == nil || !strings.Contains(err.Error(), "parts of 2 samples; want 3") {
		t.Errorf("too few parts: %v", err)
	}
	parts[0].N = 1
	fewer := o
	fewer.N = 2
	if err := Join(filepath.Join(dir, "wrong.txt"), parts, fewer); err == nil || !strings.Contains(err.Error(), "characters; want 3") {
		t.Errorf("a part of another size: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "wrong.txt")); err == nil {
		t.Error("a file is left")
	}
	// What is no text, and text as what it is not.
	for name, o := range map[string]Options{
		"x.txt": {N: 1, Shape: []int{2, 2}},
		"y.txt": {N: 1, Shape: []int{2, 3}, Alphabet: o.Alphabet},
		"z.wav": o,
		"w/":    o,
	} {
		if _, err := Create(filepath.Join(dir, name)+strings.Repeat("/", strings.Count(name, "/")), o); err == nil || !strings.Contains(err.Error(), "text") && !strings.Contains(err.Error(), "no characters of 2 bits") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewSheet(o, 3, 0); err == nil || !strings.Contains(err.Error(), "to be written as .txt") {
		t.Errorf("a sheet of text: %v", err)
	}
}
