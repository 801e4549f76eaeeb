package learn_test

import (
	"fmt"
	"math/rand/v2"

	"hbar/graph"
	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/kernels/learn"
)

// A network learns x ↦ −x at every time: the score of the standard normal distribution.
func Example() {
	spec := graph.Spec{D: 2, Width: 32, Depth: 2, Act: "silu"}
	params, err := spec.Initial(1)
	if err != nil {
		fmt.Println(err)
		return
	}
	net, err := graph.New(spec, params)
	if err != nil {
		fmt.Println(err)
		return
	}
	t, err := learn.New(net.Training(), fit.Options{Batch: 128})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer t.Close()
	source := fit.SourceFunc(func(b *fit.Tile) {
		for i := range b.Hi - b.Lo {
			r := rand.New(kernels.NewSource(1, kernels.StreamBatch, uint64(b.Step)<<32|uint64(b.Lo+i)))
			b.Tau[i], b.Weight[i] = r.Float64(), 1
			for j := range 2 {
				b.X[2*i+j] = float32(r.NormFloat64())
				b.Target[2*i+j] = -b.X[2*i+j]
			}
		}
	})
	for range 600 {
		r, err := t.Step(source, 3e-3)
		if err != nil {
			fmt.Println(err)
			return
		}
		if s := t.Steps(); s == 1 || s == 600 {
			fmt.Printf("step %d: loss below 0.01: %t\n", s, r.Loss < 0.01)
		}
	}
	// Output:
	// step 1: loss below 0.01: false
	// step 600: loss below 0.01: true
}
