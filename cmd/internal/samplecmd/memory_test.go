package samplecmd

import (
	"testing"

	"hbar/checkpoint"
	"hbar/cmd/internal/model"
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
