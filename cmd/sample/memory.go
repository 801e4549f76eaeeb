package main

import (
	"math"

	"hbar/internal/memory"
)

// Bytes of what a run holds, with their copies for a GPU.
const (
	stepBytes   = 400 // of a step of the sampler's table, two rows for heun
	numberBytes = 64  // of a coordinate of the samples in memory
	stateBytes  = 16  // of a coordinate of a recorded state
)

// need is the memory of a run in d dimensions.
func (o options) need(d int) memory.Need {
	dims := float64(d)
	batch := min(float64(o.n), float64(o.batch))
	if o.batch == 0 { // some MB are chosen
		batch = min(float64(o.n), math.Max((1<<20)/dims, 256))
	}
	n := memory.Need{
		{What: "samples at a time", Bytes: batch * dims * float64(numberBytes+stateBytes*len(o.trajectory))},
		{What: "steps", Bytes: stepBytes * float64(o.steps)},
	}
	if o.plot != "" {
		n = append(n, memory.Part{What: "the picture", Bytes: 24 * min(float64(o.n), shownSamples, math.Max(shownNumbers/dims, 400)) * dims})
	}
	return n
}

// fits refuses a run that needs more memory than there is.
func (o options) fits(d int) error {
	return memory.Check(o.need(d), memory.Available(), memory.Suggest(
		memory.Option{Name: "--batch", Value: o.batch, Need: func(v int) float64 { p := o; p.batch = v; return p.need(d).Total() }},
		memory.Option{Name: "--steps", Value: o.steps, Need: func(v int) float64 { p := o; p.steps = v; return p.need(d).Total() }},
	))
}
