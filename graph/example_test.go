package graph_test

import (
	"fmt"

	"hbar/graph"
	"hbar/kernels/simd"
)

// The network of arXiv:2403.11262 and what it lowers to: one instruction a layer, with its activation.
func ExampleNew() {
	spec := graph.Spec{D: 2, Width: 128, Depth: 3, Act: "silu"}
	params, err := spec.Initial(0)
	if err != nil {
		fmt.Println(err)
		return
	}
	net, err := graph.New(spec, params)
	if err != nil {
		fmt.Println(err)
		return
	}
	p := net.Chain()
	for _, in := range p.Forward {
		fmt.Printf("%-14s %3d → %3d, SiLU: %t\n", p.Params[in.W].Name, p.Widths[in.Src], p.Widths[in.Dst], in.Act == simd.SiLU)
	}
	fmt.Println(spec.NumParams(), "parameters")
	// Output:
	// dense0.weight    3 → 128, SiLU: true
	// dense1.weight  128 → 128, SiLU: true
	// dense2.weight  128 → 128, SiLU: true
	// dense3.weight  128 →   2, SiLU: false
	// 33794 parameters
}
