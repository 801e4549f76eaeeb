package samplecmd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hbar/checkpoint"
	"hbar/cmd/internal/model"
	"hbar/data"
	"hbar/internal/disk"
	"hbar/nets"
)

// A network that runs as a program takes memory for its weights and, until a block is full, for each sample; guidance passes each
// sample through it twice.
func TestNetworkBytes(t *testing.T) {
	c, err := nets.NewDiT([]int{8, 8, 1}, 3, nets.DiTSizes{Width: 16, Depth: 1, Heads: 2})
	if err != nil {
		t.Fatal(err)
	}
	n, err := nets.New(c)
	if err != nil {
		t.Fatal(err)
	}
	n.Initialise(1)
	m, err := model.New(&checkpoint.Model{Net: n, Schedule: "cosine", Prediction: "eps"}, model.Options{InTurn: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	bytes := func(o options) float64 {
		b, err := o.networkBytes(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	one := bytes(options{n: 1})
	if weights := 4 * float64(n.NumParams()); one < weights {
		t.Errorf("%g bytes for one sample, %g of them weights", one, weights)
	}
	if two := bytes(options{n: 2}); two <= one || bytes(options{n: 1, guidance: 1}) != two || bytes(options{n: 1 << 40}) != bytes(options{n: 1 << 62, guidance: 1}) {
		t.Errorf("%g bytes for one sample, %g for two, %g for one under guidance", one, two, bytes(options{n: 1, guidance: 1}))
	}
}

// Memory does not grow with the number of samples, but with each option that says what is held at a time.
func TestNeed(t *testing.T) {
	o := options{n: 10000, steps: 1000}
	base := o.need(2).Total()
	if o.n = 1 << 40; o.need(2).Total() > 100e6 || base > 100e6 {
		t.Errorf("the defaults need %.3g bytes, with many samples %.3g", base, o.need(2).Total())
	}
	for name, change := range map[string]func(*options){
		"--batch":      func(o *options) { o.batch = 10_000_000 },
		"--steps":      func(o *options) { o.steps = 10_000_000 },
		"--trajectory": func(o *options) { o.trajectory = make([]float64, 100) },
		"--plot":       func(o *options) { o.plot = "x.png" },
		"network":      func(o *options) { o.network = 1e6 },
	} {
		p := o
		change(&p)
		if !(p.need(2).Total() > o.need(2).Total()) {
			t.Errorf("%s does not count", name)
		}
	}
}

// Files that are larger than what is free are refused with the number of samples that would fit; devices, and files whose size is not known before, are not.
func TestFitsDisk(t *testing.T) {
	dir := t.TempDir()
	free, ok := disk.Free(filepath.Join(dir, "x"))
	if !ok {
		t.Skip("the free space is not known here")
	}
	m := &model.Model{Model: &checkpoint.Model{Net: &nets.Network{Config: nets.MLP{D: 2}}}}
	m.Model.Norm = data.Normalisation{}
	for _, c := range []struct {
		out  string
		rows float64 // of what is free
		runs int
		fits bool
	}{
		{"x.npy", 1.0 / 16, 1, true},
		{"x.npy", 1.0 / 4, 1, false},
		{"x.npy", 1.0 / 12, 2, false},
		{"x.csv", 1.0 / 8, 1, true},
		{"x.csv", 1, 1, false},
		{"x.npz", 1, 1, true},
		{os.DevNull, 1, 1, true},
	} {
		path := c.out
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		o := options{out: path, n: int(c.rows * free)}
		err := o.fitsDisk(m, slices.Repeat([]options{o}, c.runs))
		if (err == nil) != c.fits {
			t.Errorf("%+v: %v", c, err)
		}
		if err != nil && !strings.Contains(err.Error(), " would fit") {
			t.Errorf("%+v: %v", c, err)
		}
	}
	o := options{out: filepath.Join(dir, "x.npy"), n: int(free / 16), trajectory: make([]float64, 3)}
	if o.fitsDisk(m, []options{o}) == nil {
		t.Error("trajectories are not counted")
	}
}
