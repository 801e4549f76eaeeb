package graph

import (
	"fmt"

	"hbar/kernels/simd"
	"hbar/nets"
)

// Spec describes a score network that is a chain of dense layers.
type Spec = nets.MLP

// FreqsName is the parameter that holds the frequencies of the Fourier time embedding. It is not trained.
const FreqsName = nets.FreqsName

// acts are the activations of hidden layers.
var acts = []struct {
	name string
	act  simd.Act
}{{"silu", simd.SiLU}, {"gelu", simd.GELU}, {"tanh", simd.Tanh}}

func parseAct(name string) (simd.Act, error) {
	for _, a := range acts {
		if a.name == name {
			return a.act, nil
		}
	}
	return 0, fmt.Errorf("graph: activation %q unknown", name)
}

func actName(f simd.Act) string {
	for _, a := range acts {
		if a.act == f {
			return a.name
		}
	}
	return "identity"
}
