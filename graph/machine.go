package graph

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"hbar/kernels/learn"
)

// Machine computes a network's loss and gradient as a gorgonia.VM, on the kernels of package learn. RunAll takes
// parameters from the nodes' tensors and inputs from Bind, or from the nodes (gorgonia.Let), and leaves the loss and the
// gradients in the values of Loss and Grads; so node.Value() and node.Grad() read as after any other VM. It allocates
// nothing after the first run of a batch size. One goroutine at a time.
type Machine struct {
	net     *Network
	trainer *learn.Trainer
	in      batch
	bound   bool
	params  [][]float32 // the nodes' tensors
	grads   [][]float32
	loss    gorgonia.F32
}

var _ gorgonia.VM = (*Machine)(nil)

// batch is a learn.Source of given rows.
type batch struct {
	x, time, target, weight []float32
	d, f                    int
}

func (b *batch) Fill(t *learn.Tile) {
	copy(t.X, b.x[t.Lo*b.d:])
	copy(t.Features, b.time[t.Lo*b.f:])
	copy(t.Target, b.target[t.Lo*b.d:])
	copy(t.Weight, b.weight[t.Lo:])
	t.HasFeatures = true
}

// check returns the number of rows.
func (b *batch) check() (int, error) {
	n := len(b.weight)
	if n == 0 || len(b.x) != n*b.d || len(b.time) != n*b.f || len(b.target) != n*b.d {
		return 0, fmt.Errorf("graph: inputs x, time, target, weight have %d, %d, %d, %d values; for n rows they must have %d n, %d n, %d n, n",
			len(b.x), len(b.time), len(b.target), n, b.d, b.f, b.d)
	}
	return n, nil
}

// NewMachine returns a machine for n. opt.Batch may be left 0. Close it when done.
func NewMachine(n *Network, opt learn.Options) (*Machine, error) {
	opt.Batch = max(opt.Batch, Batch)
	tr, err := learn.New(n.training, opt)
	if err != nil {
		return nil, err
	}
	m := &Machine{net: n, trainer: tr, in: batch{d: n.Spec.D, f: n.Spec.Features()}}
	for i, p := range n.Params {
		m.params = append(m.params, data(p.Value()))
		g := tensor.New(tensor.WithShape(p.Shape()...), tensor.Of(float32s))
		m.grads = append(m.grads, g.Float32s())
		if err := gorgonia.UnsafeLet(n.Grads[i], g); err != nil {
			tr.Close()
			return nil, fmt.Errorf("graph: gradient of %s: %w", p.Name(), err)
		}
	}
	if err := gorgonia.UnsafeLet(n.Loss, &m.loss); err != nil {
		tr.Close()
		return nil, fmt.Errorf("graph: loss: %w", err)
	}
	return m, nil
}

// Bind gives the inputs of the runs to come: x [n, D], time features [n, F], target [n, D], weight [n], for any n. The
// machine reads the slices when it runs.
func (m *Machine) Bind(x, time, target, weight []float32) error {
	b := batch{x, time, target, weight, m.in.d, m.in.f}
	if _, err := b.check(); err != nil {
		return err
	}
	m.in, m.bound = b, true
	return nil
}

// Upload copies the parameters from the nodes' tensors to the machine.
func (m *Machine) Upload() error { return m.trainer.SetParams(m.params) }

// Download copies the parameters from the machine to the nodes' tensors.
func (m *Machine) Download() { m.trainer.Params(m.params) }

// RunAll computes the loss and its gradient at the parameters of the nodes' tensors.
func (m *Machine) RunAll() error {
	if err := m.ready(); err != nil {
		return err
	}
	if err := m.Upload(); err != nil {
		return err
	}
	r, err := m.trainer.Gradient(&m.in)
	if err != nil {
		return err
	}
	m.trainer.Gradients(m.grads)
	m.loss = gorgonia.F32(r.Loss)
	return nil
}

// ready sets the inputs and their number of rows.
func (m *Machine) ready() error {
	if !m.bound {
		for _, in := range []struct {
			dst  *[]float32
			node *gorgonia.Node
		}{{&m.in.x, m.net.X}, {&m.in.time, m.net.Time}, {&m.in.target, m.net.Target}, {&m.in.weight, m.net.Weight}} {
			v, ok := in.node.Value().(*tensor.Dense)
			if !ok {
				return fmt.Errorf("graph: input %s has no value; Bind the inputs of the machine or gorgonia.Let those of the graph", in.node.Name())
			}
			*in.dst = v.Float32s()
		}
	}
	n, err := m.in.check()
	if err == nil {
		m.trainer.SetBatch(n)
	}
	return err
}

// Step takes a step of Adam with learning rate lr (learn.Trainer.Step) on bound inputs, from the machine's parameters:
// those last uploaded, or of the step before. Download shows the new ones.
func (m *Machine) Step(lr float64) (learn.Result, error) {
	if err := m.ready(); err != nil {
		return learn.Result{}, err
	}
	return m.trainer.Step(&m.in, lr)
}

// Reset does nothing: a run leaves nothing to rewind.
func (m *Machine) Reset() {}

// Close ends the machine's goroutines.
func (m *Machine) Close() error {
	m.trainer.Close()
	return nil
}
