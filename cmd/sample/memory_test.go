package main

import "testing"

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
	} {
		p := o
		change(&p)
		if !(p.need(2).Total() > o.need(2).Total()) {
			t.Errorf("%s does not count", name)
		}
	}
}
