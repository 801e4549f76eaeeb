package nets

import (
	"errors"
	"fmt"

	"hbar/kernels"
	"hbar/program"
)

// Network is a network as a program, with the weights of its parameters.
type Network struct {
	Config  Config
	Program *program.Program
	// Params describe the parameters, in the order of Program.With(program.Param).
	Params []Param
	// Weights are the values of the parameters, in the layout of the program; nil until they are drawn or loaded.
	Weights [][]float32
}

// New builds the network of a configuration, without weights.
func New(c Config) (*Network, error) {
	p, params, err := build(c, nil)
	if err != nil {
		return nil, err
	}
	return &Network{Config: c, Program: p, Params: params}, nil
}

// maxParams is the number of parameters that a network may have: 2⁴⁰, four terabytes.
const maxParams = 1 << 40

func build(c Config, drop *dropout) (*program.Program, []Param, error) {
	if err := c.Validate(); err != nil {
		return nil, nil, err
	}
	m := &maker{drop: drop}
	p, err := program.Build(func(b *program.Builder) {
		m.b = b
		c.build(m)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("nets: %s: %w", c.Kind(), err)
	}
	total := 0
	for _, q := range m.params {
		if total += q.Size(); total > maxParams {
			return nil, nil, fmt.Errorf("nets: %s: more than 2⁴⁰ parameters, 4.4 TB of weights; fewer or narrower layers would fit", c.Kind())
		}
	}
	return p, m.params, nil
}

// TrainingProgram is the program with dropout, whose masks are drawn from the seed, the layer and the input counter. Its
// parameters are those of Program, in the same order. Without dropout in the configuration it is Program.
func (n *Network) TrainingProgram(seed uint64) (*program.Program, error) {
	u, ok := n.Config.(UNet)
	if !ok || u.Dropout == 0 {
		return n.Program, nil
	}
	p, _, err := build(n.Config, &dropout{p: u.Dropout, seed: seed})
	return p, err
}

// NumParams is the number of trained parameters.
func (n *Network) NumParams() int {
	total := 0
	for _, p := range n.Params {
		if !p.Fixed {
			total += p.Size()
		}
	}
	return total
}

// Param is the index of a parameter by name, or −1.
func (n *Network) Param(name string) int {
	for i, p := range n.Params {
		if p.Name == name {
			return i
		}
	}
	return -1
}

// Matrices are the parameters as matrices [first dimension, all others] that share the memory of Weights. The trained ones
// and the fixed ones are listed together, in the order of Params.
func (n *Network) Matrices() []kernels.Param {
	ps := make([]kernels.Param, len(n.Params))
	for i, p := range n.Params {
		ps[i] = kernels.Param{Name: p.Name, Rows: p.Shape[0], Cols: p.Size() / p.Shape[0]}
		if n.Weights != nil {
			ps[i].Data = n.Weights[i]
		}
	}
	return ps
}

// CheckWeights reports weights that are missing or of the wrong number.
func (n *Network) CheckWeights() error {
	if n.Weights == nil {
		return errors.New("nets: the network has no weights")
	}
	if len(n.Weights) != len(n.Params) {
		return fmt.Errorf("nets: %d weights for %d parameters", len(n.Weights), len(n.Params))
	}
	for i, p := range n.Params {
		if len(n.Weights[i]) != p.Size() {
			return fmt.Errorf("nets: parameter %s of shape %v has %d values; want %d", p.Name, p.Shape, len(n.Weights[i]), p.Size())
		}
	}
	return nil
}
