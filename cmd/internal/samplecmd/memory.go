package samplecmd

import (
	"math"

	"hbar/cmd/internal/model"
	"hbar/internal/memory"
	"hbar/kernels/cpu"
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
		{What: "the network", Bytes: o.network},
		{What: "samples at a time", Bytes: batch * dims * float64(numberBytes+stateBytes*len(o.trajectory))},
		{What: "steps", Bytes: stepBytes * float64(o.steps)},
	}
	if o.plot != "" || o.show != "" {
		n = append(n, memory.Part{What: "the picture", Bytes: 24 * min(float64(o.n), shownSamples, math.Max(shownNumbers/dims, 400)) * dims})
	}
	return n
}

// networkBytes is the memory of a network that runs on the CPU as a program: its weights, those that are rearranged for its kernels,
// and the values of the samples that pass through it together. It is 0 for chains of dense layers, which take next to nothing.
func (o options) networkBytes(m *model.Model) (float64, error) {
	e, ok := m.Solver.(*cpu.Engine)
	if !ok {
		return 0, nil
	}
	n := o.n
	if o.guidance != 0 {
		n = max(n, 2*n)
	}
	values, err := e.Bytes(n)
	return float64(values) + 4*float64(m.Model.Net.NumParams()), err
}

// fits refuses a run that needs more memory than there is.
func (o options) fits(d int) error {
	return memory.Check(o.need(d), memory.Available(), memory.Suggest(
		memory.Option{Name: "--batch", Value: o.batch, Need: func(v int) float64 { p := o; p.batch = v; return p.need(d).Total() }},
		memory.Option{Name: "--steps", Value: o.steps, Need: func(v int) float64 { p := o; p.steps = v; return p.need(d).Total() }},
	))
}
