package graph

import (
	"fmt"
	"slices"
	"sync"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"hbar/kernels"
)

// Network is a score network, its loss and the loss's gradient as one Gorgonia graph, and the programs it lowers to.
type Network struct {
	Spec Spec
	Nodes
	freqs    []float32
	training *kernels.ChainTraining
}

// Nodes are the named nodes of a network's graph. Parameters are bound to tensors from the start; the four inputs are
// for the caller to bind (gorgonia.Let). Their Batch rows are Gorgonia's need of a shape, not a limit: the programs and
// Machine take any number.
type Nodes struct {
	Graph        *gorgonia.ExprGraph
	X            *gorgonia.Node // [Batch, D] samples, scaled by c_in
	Time         *gorgonia.Node // [Batch, F] time features
	Target       *gorgonia.Node // [Batch, D] what Output should be
	Weight       *gorgonia.Node // [Batch] weight of a row's squared error
	Params       gorgonia.Nodes // dense0.weight [out, in], dense0.bias [out], …
	Output, Loss *gorgonia.Node // [Batch, D] and a scalar
	Grads        gorgonia.Nodes // ∂Loss/∂Params
}

// Batch is the number of rows that the inputs of a network's graph have.
const Batch = 64

// building serialises the construction of graphs: first calls of gorgonia.Grad race on a global of that package.
var building sync.Mutex

// New builds the network of spec with a copy of params, which are those of spec.ParamShapes (as spec.Initial draws them
// or a checkpoint holds them).
func New(spec Spec, params []kernels.Param) (*Network, error) { return newBatch(spec, params, Batch) }

func newBatch(spec Spec, params []kernels.Param, batch int) (*Network, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if err := fits(spec, params); err != nil {
		return nil, err
	}
	n := &Network{Spec: spec}
	if spec.Fourier > 0 {
		last := len(params) - 1
		n.freqs = slices.Clone(params[last].Data)
		params = params[:last]
	}
	building.Lock()
	defer building.Unlock()
	if err := n.build(params, batch); err != nil {
		return nil, fmt.Errorf("graph: building the network: %w", err)
	}
	t, err := lower(&n.Nodes)
	if err != nil {
		return nil, err
	}
	t.Time.Freqs = n.freqs
	n.training = t
	return n, nil
}

// fits reports where params are not those of s.
func fits(s Spec, params []kernels.Param) error {
	want := s.ParamShapes()
	for i, w := range want {
		if i >= len(params) {
			return fmt.Errorf("graph: parameter %s is missing", w.Name)
		}
		p := params[i]
		if p.Name != w.Name || p.Rows != w.Rows || p.Cols != w.Cols || len(p.Data) != p.Rows*p.Cols {
			return fmt.Errorf("graph: parameter %d is %s [%d, %d] with %d values; it must be %s [%d, %d]", i, p.Name, p.Rows, p.Cols, len(p.Data), w.Name, w.Rows, w.Cols)
		}
	}
	if len(params) > len(want) {
		return fmt.Errorf("graph: parameter %s is not part of the network, which ends with %s", params[len(want)].Name, want[len(want)-1].Name)
	}
	return nil
}

// build makes the graph.
func (n *Network) build(params []kernels.Param, batch int) error {
	n.leaves(params, batch)
	act, err := parseAct(n.Spec.Act)
	if err != nil {
		return err
	}
	var b builder
	h := b.apply(newConcat(), n.X, n.Time)
	for i := range n.Spec.Depth {
		y := b.apply(newActivation(act), b.apply(newDense(), h, n.Params[2*i], n.Params[2*i+1]))
		if n.Spec.Residual && i > 0 {
			y = b.apply(newAdd(), h, y)
		}
		h = y
	}
	last := 2 * n.Spec.Depth
	n.Output = b.apply(newDense(), h, n.Params[last], n.Params[last+1])
	n.Loss = b.apply(newLoss(), n.Output, n.Target, n.Weight)
	if b.err != nil {
		return b.err
	}
	n.Grads, err = gorgonia.Grad(n.Loss, n.Params...)
	return err
}

// leaves makes a graph of the inputs and parameters alone.
func (n *Network) leaves(params []kernels.Param, batch int) {
	n.Graph = gorgonia.NewGraph()
	input := func(name string, cols int) *gorgonia.Node {
		return gorgonia.NewMatrix(n.Graph, float32s, gorgonia.WithShape(batch, cols), gorgonia.WithName(name))
	}
	n.X, n.Time, n.Target = input("x", n.Spec.D), input("time", n.Spec.Features()), input("target", n.Spec.D)
	n.Weight = gorgonia.NewVector(n.Graph, float32s, gorgonia.WithShape(batch), gorgonia.WithName("weight"))
	for i, p := range params {
		node, shape := gorgonia.NewMatrix, []int{p.Rows, p.Cols}
		if i%2 == 1 {
			node, shape = gorgonia.NewVector, shape[:1]
		}
		v := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(slices.Clone(p.Data)))
		n.Params = append(n.Params, node(n.Graph, float32s, gorgonia.WithShape(shape...), gorgonia.WithName(p.Name), gorgonia.WithValue(v)))
	}
}

// Chain is the forward part of the network. Its parameters are the memory of the nodes' tensors.
func (n *Network) Chain() *kernels.Chain { return &n.training.Chain }

// Training is the network with the gradient of its loss. Its parameters are the memory of the nodes' tensors.
func (n *Network) Training() *kernels.ChainTraining { return n.training }

// Values are the parameters with the memory of the nodes' tensors, and the frequencies, as a checkpoint holds them.
func (n *Network) Values() []kernels.Param {
	ps := slices.Clone(n.training.Params)
	if n.freqs != nil {
		ps = append(ps, kernels.Param{Name: FreqsName, Rows: len(n.freqs), Cols: 1, Data: n.freqs})
	}
	return ps
}
