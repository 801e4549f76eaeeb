package loglik

import (
	"slices"

	"hbar/internal/memory"
	"hbar/solver/likelihood"
)

// sized are engines that know the memory of their values (general.Engine). A block of samples passes through the network at a time, so
// that it does not grow with the number of points.
type sized interface {
	Bytes(n int) (int64, error)
	TraceBytes(k, n int) (int64, error)
}

// Need is the memory of the network itself, for the methods of o.
func (n *Network) Need(o Options) (memory.Need, error) {
	parameters := 0
	for _, q := range n.Params {
		parameters += len(q.Data)
	}
	need := memory.Need{{What: "parameters", Bytes: 4 * float64(parameters)}}
	e, ok := n.Solver.(sized)
	if !ok {
		return need, nil
	}
	total := 0.0
	add := func(b int64, err error) error {
		total += float64(b)
		return err
	}
	const many = 1 << 10 // more samples than any block
	if slices.Contains(o.Methods, Flow) {
		probes := []int{0}
		if o.Divergence != likelihood.Exact {
			probes = slices.Compact([]int{max(1, o.Probes), 1}) // the mesh with half as many steps has one
		}
		for _, k := range probes {
			if err := add(e.TraceBytes(k, many)); err != nil {
				return nil, err
			}
		}
	}
	if slices.Contains(o.Methods, PathIntegral) || o.Path.Own != nil {
		if err := add(e.Bytes(many)); err != nil {
			return nil, err
		}
	}
	return append(need, memory.Part{What: "values and packed weights of the network", Bytes: total}), nil
}
