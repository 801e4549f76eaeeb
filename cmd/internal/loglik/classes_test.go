package loglik

import (
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hbar/checkpoint"
	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/model"
	"hbar/data"
	"hbar/nets"
)

// pictures writes a folder with one grey picture in each of the sub-folders.
func pictures(t *testing.T, kinds ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i, kind := range kinds {
		if err := os.MkdirAll(filepath.Join(dir, kind), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(filepath.Join(dir, kind, fmt.Sprint(i, ".png")))
		if err != nil {
			t.Fatal(err)
		}
		if err := png.Encode(f, image.NewGray(image.Rect(0, 0, 4, 4))); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Labels of a folder are those of the checkpoint's classes of the same names, whichever of them the folder has.
func TestClassNames(t *testing.T) {
	config, err := nets.NewDiT([]int{4, 4, 1}, 3, nets.DiTSizes{Patch: 2, Width: 8, Depth: 1, Heads: 2})
	if err != nil {
		t.Fatal(err)
	}
	net, err := nets.New(config)
	if err != nil {
		t.Fatal(err)
	}
	net.Initialise(1)
	m := &checkpoint.Model{Net: net, Schedule: "cosine", Prediction: "eps", Data: "pictures", Norm: data.Normalisation{Mean: []float64{127.5}, Scale: []float64{127.5}}}
	for _, c := range []struct {
		names, kinds []string
		want         []int32
		note         string
	}{
		{[]string{"cat", "dog", "fish"}, []string{"dog", "fish"}, []int32{1, 2}, ""},
		{[]string{"cat", "dog", "fish"}, []string{"cat", "dog", "fish"}, []int32{0, 1, 2}, ""},
		{[]string{"cat", "dog", "fish"}, []string{"dog", "wolf"}, nil, `of the class "wolf"`},
		{nil, []string{"dog", "fish"}, []int32{0, 1}, "2 classes with names, and the checkpoint 3 without"},
		{nil, []string{"cat", "dog", "fish"}, []int32{0, 1, 2}, ""},
	} {
		m.ClassNames = c.names
		path := filepath.Join(t.TempDir(), "model.safetensors")
		if err := m.Save(path); err != nil {
			t.Fatal(err)
		}
		n, err := LoadConditional(model.Flags{Checkpoint: path, Device: flags.Device{Kind: "cpu"}, Workers: 1, Precision: DefaultPrecision}, "", true)
		if err != nil {
			t.Fatal(err)
		}
		p, err := n.LoadPoints(Source{Data: pictures(t, c.kinds...)}, 0, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		notes := fmt.Sprint(p.Notes)
		if !slices.Equal(p.Labels, c.want) || strings.Contains(notes, "warning") != (c.note != "") || !strings.Contains(notes, c.note) {
			t.Errorf("classes %q, folder of %q: labels %v, want %v; notes %s", c.names, c.kinds, p.Labels, c.want, notes)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
	m.ClassNames = []string{"cat"}
	if err := m.Save(filepath.Join(t.TempDir(), "model.safetensors")); err == nil {
		t.Error("one name for three classes is no error")
	}
}
