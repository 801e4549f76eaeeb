package graph

import (
	"fmt"
	"slices"
	"sync"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"hbar/kernels"
	"hbar/nets"
	"hbar/program"
	"hbar/program/chain"
	"hbar/program/ops"
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
	own := make([]kernels.Param, len(params))
	for i, p := range params {
		own[i] = p
		own[i].Data = slices.Clone(p.Data)
	}
	net, err := nets.New(spec)
	if err != nil {
		return nil, err
	}
	c, err := chain.Of(net.Program, own)
	if err != nil {
		return nil, err
	}
	n := &Network{Spec: spec, freqs: c.Time.Freqs, training: chain.Training(c)}
	return n, n.build(net.Program, batch)
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

// build makes the graph. The time enters as its features, which executors compute in float64; the loss is a mean over the
// batch and the coordinates.
func (n *Network) build(p *program.Program, batch int) error {
	p, err := fromFeatures(p)
	if err != nil {
		return err
	}
	var names []string
	for _, q := range n.training.Params {
		names = append(names, q.Name)
	}
	d, err := differentiate(p, names, batch, lossOf{scale: 1 / float64(batch*n.Spec.D), weight: []int{}})
	if err != nil {
		return err
	}
	n.Graph, n.Output, n.Loss = d.Graph, d.Output, d.Loss
	n.X, n.Time, n.Target, n.Weight = d.Inputs["x"], d.Inputs["time"], d.Inputs["target"], d.Inputs["weight"]
	for _, q := range n.training.Params {
		node := d.Params[q.Name]
		v := tensor.New(tensor.WithShape(node.Shape()...), tensor.WithBacking(q.Data))
		if err := gorgonia.UnsafeLet(node, v); err != nil {
			return fmt.Errorf("graph: %s: %w", q.Name, err)
		}
		n.Params, n.Grads = append(n.Params, node), append(n.Grads, d.Grads[q.Name])
	}
	return nil
}

// fromFeatures is a chain with the time's features as the input "time".
func fromFeatures(p *program.Program) (*program.Program, error) {
	t := p.Lookup("t")
	return program.Build(func(b *program.Builder) {
		env := make([]program.Value, len(p.Values))
		leaf := b.Leaves()
		features := func(id program.ID) { env[id] = b.Input("time", program.Sample, p.Values[id].Shape...) }
		freqs := program.None
		for _, in := range p.Instrs {
			if _, ok := in.Op.(ops.Fourier); ok {
				freqs = in.In[0]
			}
		}
		for i, v := range p.Values {
			switch id := program.ID(i); {
			case v.Role == program.Derived || id == freqs:
			case id != t:
				env[i] = leaf(id, v)
			case freqs == program.None:
				features(id)
			}
		}
		for _, in := range p.Instrs {
			if _, ok := in.Op.(ops.Fourier); ok {
				features(in.Out[0])
				continue
			}
			program.InlineInstr(b, in, env)
		}
		b.Output("out", env[p.Output("out")])
	})
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
