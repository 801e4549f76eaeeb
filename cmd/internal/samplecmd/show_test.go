package samplecmd

import (
	"bytes"
	"encoding/base64"
	"image/png"
	"strings"
	"testing"

	"hbar/data"
)

// picture is what follows the line "shown" in an output.
func picture(t *testing.T, out string) (title string, lines []string) {
	t.Helper()
	_, rest, ok := strings.Cut(out, "\nshown     ")
	if !ok {
		t.Fatalf("nothing is shown in\n%s", out)
	}
	title, rest, _ = strings.Cut(rest, "\n")
	return title, strings.Split(strings.TrimSuffix(rest, "\n"), "\n")
}

// Where the output is no terminal, --show is text without colour, of the terminal's width; with a name it is drawn as that.
func TestShow(t *testing.T) {
	t.Setenv("COLUMNS", "40")
	t.Setenv("TERM", "xterm-kitty")
	plane := "--out DIR/x.npy --n 500 --steps 20 --checkpoint " + swissRoll
	images := "--out DIR/x.npy --n 9 --steps 5 --checkpoint " + imageModel(t, []int{3, 4, 1}, data.BytesNormalisation())
	sounds := "--out DIR/x.npy --n 9 --steps 5 --checkpoint " + imageModel(t, []int{40, 1}, data.BytesNormalisation())
	line := "--out DIR/x.npy --n 500 --steps 5 --checkpoint " + imageModel(t, []int{1}, data.BytesNormalisation())
	many := "--out DIR/x.npy --n 500 --steps 5 --checkpoint " + imageModel(t, []int{5}, data.BytesNormalisation())
	for _, c := range []struct {
		args, title, kinds string // what the title contains, and all characters of the picture
	}{
		{plane, "density of 500 samples: x₁ from ", ""},
		{many, "component 1 (", ""},
		{images, "9 of 9 samples", ""},
		{sounds, "of 9 samples", ""},
		{line, "x of 500 samples", " ▁▂▃▄▅▆▇█0123456789.+-e"},
	} {
		out, err := printed(t.TempDir(), c.args+" --show")
		if err != nil {
			t.Fatalf("%s: %v", c.args, err)
		}
		title, lines := picture(t, out)
		if !strings.Contains(title, c.title) || len(lines) < 2 {
			t.Errorf("%s: title %q, want %q; %d lines", c.args, title, c.title, len(lines))
		}
		for _, l := range lines {
			if n := len([]rune(l)); n > 40 {
				t.Errorf("%s: %d columns", c.args, n)
			}
			for _, r := range l {
				if c.kinds == "" && (r < '\u2800' || r > '\u28ff') || c.kinds != "" && !strings.ContainsRune(c.kinds, r) {
					t.Fatalf("%s: %q is drawn", c.args, r)
				}
			}
		}
	}
	for how, want := range map[string]string{"kitty": "\x1b_G", "sixel": "\x1bP", "blocks": "\x1b[38;2;", "shades": "░"} {
		if out, err := printed(t.TempDir(), plane+" --show="+how); err != nil || !strings.Contains(out, want) {
			t.Errorf("--show=%s: %v, or no %q is drawn", how, err, want)
		}
	}
	if _, err := printed(t.TempDir(), plane+" --show --shard 0/2"); err == nil || !strings.Contains(err.Error(), "--show") {
		t.Errorf("--show of a shard: %v", err)
	}
	if _, err := printed(t.TempDir(), plane+" --show=ascii"); err == nil || !strings.Contains(err.Error(), "have auto, kitty, sixel") {
		t.Errorf("--show=ascii: %v", err)
	}
}

// The pixels that are shown are those of the samples, image by image; several strengths of the noise are shown one after the other.
func TestShowPixels(t *testing.T) {
	dir := t.TempDir()
	shape := []int{3, 4, 1}
	out, err := printed(dir, "--out DIR/x.npz --h 0,1 --n 6 --steps 5 --show=kitty --checkpoint "+imageModel(t, shape, data.BytesNormalisation()))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(out, "\nshown     ")
	if len(parts) != 3 || !strings.HasPrefix(parts[1], "6 of 6 samples, h = 0\n") || !strings.HasPrefix(parts[2], "6 of 6 samples, h = 1\n") {
		t.Fatalf("%q", out)
	}
	_, coded, _ := strings.Cut(parts[1], ";")
	coded, _, _ = strings.Cut(coded, "\x1b\\")
	b, err := base64.StdEncoding.DecodeString(coded)
	if err != nil {
		t.Fatal(err)
	}
	m, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	x := read(t, dir+"/x-h0.npz")
	const block, gap = 16, 4 // 4 pixels are enlarged to 64
	for i := range 6 {
		for p := range 12 {
			r, _, _, _ := m.At(i*(4*block+gap)+p%4*block, p/4*block).RGBA()
			if want := x.Values()[12*i+p]; float64(r>>8) != want {
				t.Fatalf("image %d, pixel %d is %d, in the file %g", i, p, r>>8, want)
			}
		}
	}
}
