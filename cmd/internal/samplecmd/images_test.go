package samplecmd

import (
	"bytes"
	"context"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hbar/checkpoint"
	"hbar/cmd/internal/ui"
	"hbar/data"
)

// printed runs the command, with DIR in its arguments replaced, and returns what it prints.
func printed(dir, args string) (string, error) {
	var out, diag bytes.Buffer
	full := append([]string{"--device", "cpu"}, strings.Fields(strings.ReplaceAll(args, "DIR", dir))...)
	err := run(context.Background(), full, ui.Streams{Out: &out, Err: &diag})
	return out.String(), err
}

// imageModel is a checkpoint of a small network whose samples have this shape, with its first weights.
func imageModel(t *testing.T, shape []int, norm data.Normalisation) string {
	t.Helper()
	m, err := checkpoint.Load(swissRoll)
	if err != nil {
		t.Fatal(err)
	}
	d := 1
	for _, v := range shape {
		d *= v
	}
	m.Spec.D, m.Spec.Width, m.Spec.Depth = d, 8, 1
	m.Norm, m.Data, m.Shape, m.Columns = norm, "mine.npz", shape, nil
	if m.Params, err = m.Spec.Initial(3); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "model.safetensors")
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// The same images come as floats in .npy, as bytes in .npz and in a folder of PNGs, and on a contact sheet.
func TestImages(t *testing.T) {
	shape := []int{3, 4, 1}
	path := imageModel(t, shape, data.BytesNormalisation())
	args := "--checkpoint " + path + " --n 9 --steps 5 --seed 4 "
	_, dir, _ := sample(t, args+"--sheet DIR/sheet.png")
	x := read(t, filepath.Join(dir, "x.npy"))
	if !slices.Equal(x.Shape, shape) || x.N() != 9 {
		t.Fatalf("%d samples of %v", x.N(), x.Shape)
	}
	want := make([]byte, len(x.X))
	for i, v := range x.X {
		want[i] = byte(math.Round(min(max(v, 0), 255)))
	}
	f, err := os.Open(filepath.Join(dir, "sheet.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	if r, _, _, _ := m.At(3, 3).RGBA(); r>>8 != uint32(want[0]) || m.Bounds().Dx() < 3*4*16 {
		t.Errorf("the first pixel on a sheet of %v is %d, want %d", m.Bounds(), r>>8, want[0])
	}
	for _, out := range []string{"y.npz", "y/"} {
		dir := t.TempDir()
		text, err := printed(dir, args+"--out DIR/"+out)
		if err != nil {
			t.Fatal(err)
		}
		s, err := data.LoadWith(filepath.Join(dir, out), data.Options{Cache: data.NoCache})
		if err != nil || !bytes.Equal(s.Bytes, want) || !slices.Equal(s.Shape, shape) || !strings.Contains(text, out+", 9 × 3×4×1, bytes") {
			t.Errorf("%s: %v, %v\n%s", out, s, err, text)
		}
	}
}

func TestImageErrors(t *testing.T) {
	images := imageModel(t, []int{2, 2, 1}, data.Normalisation{Mean: []float64{1, 2, 3, 4}, Scale: []float64{1, 2, 3, 4}})
	sounds := imageModel(t, []int{2, 2}, data.Normalisation{})
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, want string }{
		{"--checkpoint " + swissRoll + " --out DIR/new/", "are no pictures"},
		{"--checkpoint " + swissRoll + " --out DIR/y.npy --sheet DIR/sheet.png", "contact sheet shows images and sounds"},
		{"--checkpoint " + swissRoll + " --out DIR/y.wav", "are no sounds"},
		{"--checkpoint " + swissRoll + " --out DIR/y.gif", "have .npy, .csv, .npz, .wav, .txt, /"},
		{"--checkpoint " + swissRoll + " --out DIR/", "holds files already"},
		{"--checkpoint " + swissRoll + " --out DIR/x/", "is a file; name a new folder"},
		{"--checkpoint " + images + " --out DIR/y.npz", "scaled pixel by pixel"},
		{"--checkpoint " + sounds + " --out DIR/y.wav --rate 0", "--rate"},
	} {
		if _, err := printed(dir, c.args+" --n 2 --steps 2"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.args, err, c.want)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left %v", left)
	}
}
