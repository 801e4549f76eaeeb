package graph

import (
	"errors"
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"hbar/kernels/fit"
	"hbar/kernels/learn"
)

// Machine computes a network's loss and gradient as a gorgonia.VM, on an Executor. RunAll takes parameters from the nodes'
// tensors and inputs from Bind, or from the nodes (gorgonia.Let), and leaves the loss and the gradients in the values of
// Loss and Grads; so node.Value() and node.Grad() read as after any other VM. One goroutine at a time, one machine at a
// time on a network.
//
// On the CPU it allocates nothing after the first run of a batch size.
//
// On a Resident executor the values of parameters, gradients, inputs and Output are tensors in the device's memory, from the
// start and until Close: Upload and Download carry the parameters, and a tensor's engine (Carrier) carries each by itself. The
// inputs' tensors are the executor's, not to be replaced: upload to them, or Bind. They and Output have as many rows as the
// nodes; of a larger batch that is bound they are the first ones.
type Machine struct {
	net      *Network
	exec     Executor
	resident Resident // exec, if it is one
	in       batch
	bound    bool
	rows     int         // of the nodes' shapes
	ran      int         // rows of the last batch
	params   [][]float32 // in Go's memory
	grads    [][]float32
	loss     gorgonia.F32
}

var _ gorgonia.VM = (*Machine)(nil)

// batch is a fit.Source of given rows.
type batch struct {
	x, time, target, weight []float32
	d, f                    int
}

func (b *batch) Fill(t *fit.Tile) {
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

// NewMachine returns a machine for n on the CPU. opt.Batch may be left 0. Close it when done.
func NewMachine(n *Network, opt fit.Options) (*Machine, error) {
	opt.Batch = max(opt.Batch, Batch)
	tr, err := learn.New(n.training, opt)
	if err != nil {
		return nil, err
	}
	return NewMachineOn(n, onCPU{tr})
}

// NewMachineOn returns a machine for n on an executor of n.Training(), a cuda.Trainer for one. Closing the machine closes the
// executor; so does a failure here.
func NewMachineOn(n *Network, exec Executor) (*Machine, error) {
	m := &Machine{net: n, exec: exec, rows: n.Weight.Shape()[0], in: batch{d: n.Spec.D, f: n.Spec.Features()}}
	m.resident, _ = exec.(Resident)
	if err := m.bindNodes(); err != nil {
		return nil, errors.Join(err, exec.Close())
	}
	return m, nil
}

func (m *Machine) bindNodes() error {
	if err := gorgonia.UnsafeLet(m.net.Loss, &m.loss); err != nil {
		return fmt.Errorf("graph: loss: %w", err)
	}
	if m.resident == nil {
		for _, p := range m.net.Params {
			m.params = append(m.params, data(p.Value()))
		}
		var tensors []*tensor.Dense
		tensors, m.grads = hostTensors(m.net.Grads)
		return let(m.net.Grads, tensors)
	}
	for _, p := range m.net.training.Params {
		m.params = append(m.params, p.Data)
	}
	params, grads, err := m.resident.ParamTensors()
	if err != nil {
		return err
	}
	return errors.Join(let(m.net.Params, params), let(m.net.Grads, grads), m.setBatch(m.rows))
}

// hostTensors are zeros in Go's memory for nodes.
func hostTensors(nodes gorgonia.Nodes) (tensors []*tensor.Dense, numbers [][]float32) {
	for _, n := range nodes {
		t := tensor.New(tensor.WithShape(n.Shape()...), tensor.Of(float32s))
		tensors, numbers = append(tensors, t), append(numbers, t.Float32s())
	}
	return tensors, numbers
}

// let binds tensors to nodes.
func let(nodes gorgonia.Nodes, tensors []*tensor.Dense) error {
	for i, n := range nodes {
		if err := gorgonia.UnsafeLet(n, tensors[i]); err != nil {
			return fmt.Errorf("graph: %s: %w", n.Name(), err)
		}
	}
	return nil
}

// batchNodes are the nodes of a batch, in the order of Resident.BatchTensors.
func (m *Machine) batchNodes() gorgonia.Nodes {
	n := m.net
	return gorgonia.Nodes{n.X, n.Time, n.Target, n.Weight, n.Output}
}

// setBatch is the executor's, and gives a resident one's new memory to the nodes. The first batch is as large as these, so
// there is always room for them.
func (m *Machine) setBatch(n int) error {
	if n == m.ran {
		return nil
	}
	if err := m.exec.SetBatch(n); err != nil {
		return err
	}
	m.ran = n
	if m.resident == nil {
		return nil
	}
	x, time, target, weight, output, err := m.resident.BatchTensors(m.rows)
	if err != nil {
		return err
	}
	return let(m.batchNodes(), []*tensor.Dense{x, time, target, weight, output})
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

// Upload copies the parameters from Go's memory, that of Network.Values, to the machine.
func (m *Machine) Upload() error { return m.exec.SetParams(m.params) }

// Download copies the parameters from the machine to Go's memory, that of Network.Values.
func (m *Machine) Download() error {
	_, err := m.exec.Params(m.params)
	return err
}

// RunAll computes the loss and its gradient at the parameters of the nodes' tensors.
func (m *Machine) RunAll() error {
	if err := m.ready(); err != nil {
		return err
	}
	if m.resident != nil {
		return m.runResident()
	}
	if err := m.Upload(); err != nil {
		return err
	}
	r, err := m.exec.Gradient(&m.in)
	if err != nil {
		return err
	}
	if _, err := m.exec.Gradients(m.grads); err != nil {
		return err
	}
	m.loss = gorgonia.F32(r.Loss)
	return nil
}

func (m *Machine) runResident() error {
	if err := m.present(); err != nil {
		return err
	}
	r, err := m.resident.Evaluate()
	if err != nil {
		return err
	}
	m.loss = gorgonia.F32(r.Loss)
	return nil
}

// present makes a resident executor use what is in the tensors, after what was bound is there.
func (m *Machine) present() error {
	if m.bound {
		if err := m.resident.SetInputs(&m.in); err != nil {
			return err
		}
	}
	return m.resident.Refresh()
}

// ready sets the inputs and their number of rows.
func (m *Machine) ready() error {
	n := m.rows
	if m.bound || m.resident == nil {
		if err := m.hostInputs(); err != nil {
			return err
		}
		var err error
		if n, err = m.in.check(); err != nil {
			return err
		}
	}
	return m.setBatch(n)
}

// hostInputs are those of Bind, or else of the nodes' tensors.
func (m *Machine) hostInputs() error {
	if m.bound {
		return nil
	}
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
	return nil
}

// Step takes a step of Adam with learning rate lr (learn.Trainer.Step) on bound inputs, or those of the nodes, from the
// machine's parameters: those last uploaded, or of the step before. Download shows the new ones.
func (m *Machine) Step(lr float64) (fit.Result, error) {
	if err := m.ready(); err != nil {
		return fit.Result{}, err
	}
	if m.resident == nil {
		return m.exec.Step(&m.in, lr)
	}
	if err := m.present(); err != nil {
		return fit.Result{}, err
	}
	return m.resident.Advance(lr)
}

// Reset does nothing: a run leaves nothing to rewind.
func (m *Machine) Reset() {}

// Close ends the machine and its executor. The nodes have tensors in Go's memory then: parameters as last downloaded, and
// zeros where a device's tensors were.
func (m *Machine) Close() error {
	err := m.exec.Close()
	if m.resident == nil {
		return err
	}
	for i, p := range m.net.Params {
		t := tensor.New(tensor.WithShape(p.Shape()...), tensor.WithBacking(m.params[i]))
		err = errors.Join(err, gorgonia.UnsafeLet(p, t))
	}
	for _, nodes := range []gorgonia.Nodes{m.net.Grads, m.batchNodes()} {
		tensors, _ := hostTensors(nodes)
		err = errors.Join(err, let(nodes, tensors))
	}
	return err
}
