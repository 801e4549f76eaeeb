package main

import (
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/data"
)

// Pictures of a folder are read with the labels of their sub-folders, and the report says what was read and how it is scaled.
func TestPictures(t *testing.T) {
	dir := t.TempDir()
	for i := range 8 {
		m := image.NewGray(image.Rect(0, 0, 4, 4))
		for k := range m.Pix {
			m.Pix[k] = byte(30*i + 5*k)
		}
		path := filepath.Join(dir, "faces", []string{"happy", "sad"}[i%2], string(rune('a'+i))+".png")
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(path)
		if err == nil {
			err = png.Encode(f, m)
		}
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	faces := filepath.Join(dir, "faces")
	args := []string{"--data", faces, "--cache", data.NoCache, "--width", "8", "--depth", "1", "--steps", "4", "--batch", "8"}
	for _, c := range []struct {
		more []string
		want []string
	}{
		{nil, []string{"8 images of 4×4×1, bytes 0 … 255", "labels    2 classes of 4 to 4 samples: happy, sad", "scaling   bytes 0 … 255 to −1 … 1"}},
		{[]string{"--labels", "none", "--resize", "2"}, []string{"8 images of 2×2×1"}},
		{[]string{"--range", "-1000,1000"}, []string{"scaling   -1000 … 1000 to −1 … 1: as --range says"}},
	} {
		_, out, err := call(t, append(args, c.more...)...)
		if err != nil {
			t.Errorf("%v: %v", c.more, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%v: output lacks %q:\n%s", c.more, want, out)
			}
		}
		if none := len(c.more) > 1 && c.more[1] == "none"; none == strings.Contains(out, "labels ") {
			t.Errorf("%v: labels in\n%s", c.more, out)
		}
	}
	for _, c := range []struct {
		more []string
		want string
	}{
		{[]string{"--range", "0,1"}, "beyond the range 0 to 1"},
		{[]string{"--range", "1"}, "want two numbers"},
		{[]string{"--net", "dit", "--labels", filepath.Join(faces, "none.csv")}, "none.csv"},
		{[]string{"--length", "5"}, "not sequences of length 5"},
	} {
		if _, _, err := call(t, append(args, c.more...)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.more, err, c.want)
		}
	}
}
