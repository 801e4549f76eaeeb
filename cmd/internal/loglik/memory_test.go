package loglik

import (
	"testing"

	"hbar/solver/likelihood"
)

// Memory grows with each option that multiplies, and the defaults are small.
func TestNeed(t *testing.T) {
	o := Options{Methods: []Method{Flow, WKB, PathIntegral}, H: []float64{0, 0.1, 1}, Probes: 16, Path: likelihood.PathOptions{Paths: 1000, Steps: 1000}}
	if b := o.Need(1000, 2).Total(); b > 100e6 {
		t.Errorf("the defaults need %.0f bytes", b)
	}
	for _, c := range []struct {
		name   string
		n, d   int
		change func(*Options)
		least  float64
	}{
		{"points", 100_000_000, 2, func(*Options) {}, 100e9},
		{"dimensions", 1000, 1 << 20, func(*Options) {}, 100e9},
		{"probes", 1000, 2, func(o *Options) { o.Probes = 1_000_000 }, 10e9},
		{"paths", 1, 2, func(o *Options) { o.Path.Paths = 1_000_000_000 }, 8e9},
		{"steps", 1, 2, func(o *Options) { o.Path.Steps = 10_000_000 }, 1e9},
		{"resamples", 1, 2, func(o *Options) { o.Path.Bootstrap = 1_000_000_000 }, 8e9},
	} {
		p := o
		c.change(&p)
		if b := p.Need(c.n, c.d).Total(); b < c.least {
			t.Errorf("many %s need %.3g bytes, want %.3g or more", c.name, b, c.least)
		}
	}
	if err := o.Fits(1000, 2, "--n", nil); err != nil {
		t.Error(err)
	}
}
