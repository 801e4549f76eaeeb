//go:build gpu && cgo

package exec

import (
	"errors"
	"fmt"

	"gorgonia.org/tensor"

	"hbar/cuda/driver"
	"hbar/kernels/fit"
	"hbar/kernels/gpu"
	"hbar/kernels/simd"
)

// evaluation holds what a Trainer needs to compute loss and gradient of the batch in its tensors, and the output of the network,
// which training steps do not keep.
type evaluation struct {
	module *driver.Module
	dense  *driver.Kernel
	output *driver.Buffer // [room][ldn of the last layer]
	room   int
	graphs [2]*driver.Graph // of Evaluate and Advance
}

func (e *evaluation) dropGraphs() error {
	err := errors.Join(e.graphs[0].Close(), e.graphs[1].Close())
	e.graphs = [2]*driver.Graph{}
	return err
}

func (e *evaluation) close() error {
	err := errors.Join(e.dropGraphs(), e.output.Free())
	if e.module != nil {
		err = errors.Join(err, e.module.Unload())
	}
	*e = evaluation{}
	return err
}

// ParamTensors are the parameters and the last batch's gradients, in the order of Chain.Params: weights [out, in], biases
// [out]. They are the trainer's own memory until Close. Refresh follows an upload to a parameter.
func (t *Trainer) ParamTensors() (params, grads []*tensor.Dense, err error) {
	params, grads = make([]*tensor.Dense, len(t.prog.Params)), make([]*tensor.Dense, len(t.prog.Params))
	for _, v := range []struct {
		dst []*tensor.Dense
		b   *driver.Buffer
	}{{params, t.param}, {grads, t.g}} {
		for _, l := range t.layout.Layers {
			w, e := t.matrix(v.b, l.W, l.N, l.K, l.LDK)
			b, e2 := t.d.Tensors().Over(v.b.View(4*l.B, 4*l.N), tensor.Float32, l.N)
			if err := errors.Join(e, e2); err != nil {
				return nil, nil, err
			}
			v.dst[l.weight], v.dst[l.bias] = w, b
		}
	}
	return params, grads, nil
}

// Activations are the inputs of the layers of the last batch, [rows, width]: the network's input, then the units of each
// hidden layer. They are valid until the next SetBatch or Close.
func (t *Trainer) Activations() ([]*tensor.Dense, error) {
	out := make([]*tensor.Dense, len(t.layout.Layers))
	for i, l := range t.layout.Layers {
		var err error
		if out[i], err = t.matrix(t.pass.Activation(i), 0, t.rows, l.K, l.LDK); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// BatchTensors are rows of the batch: the samples [rows, D] and time features [rows, F] of the network's input, targets
// [rows, D], weights [rows], and the output [rows, D] that Evaluate leaves. They are valid until the next SetBatch or
// Close.
func (t *Trainer) BatchTensors(rows int) (x, time, target, weight, output *tensor.Dense, err error) {
	if rows < 1 || rows > t.rowRoom {
		return nil, nil, nil, nil, nil, fmt.Errorf("cuda: tensors of %d rows of batches of at most %d", rows, t.rowRoom)
	}
	if err := t.prepare(); err != nil {
		return nil, nil, nil, nil, nil, err
	}
	d, first, last := t.prog.D, t.layout.Layers[0], t.layout.Layers[len(t.layout.Layers)-1]
	var e [5]error
	x, e[0] = t.matrix(t.pass.Input(), 0, rows, d, first.LDK)
	time, e[1] = t.matrix(t.pass.Input(), d, rows, first.K-d, first.LDK)
	target, e[2] = t.d.Tensors().Over(t.target, tensor.Float32, rows, d)
	weight, e[3] = t.d.Tensors().Over(t.weight, tensor.Float32, rows)
	output, e[4] = t.matrix(t.eval.output, 0, rows, d, last.LDN)
	return x, time, target, weight, output, errors.Join(e[:]...)
}

// matrix is a tensor of rows of cols numbers, ld numbers apart, from number at of a buffer on.
func (t *Trainer) matrix(b *driver.Buffer, at, rows, cols, ld int) (*tensor.Dense, error) {
	return t.d.Tensors().OverRows(b.View(4*at, b.Size()-4*at), tensor.Float32, rows, cols, ld)
}

// Refresh recomputes what the trainer derives from the parameters. Call it after an upload to the tensors of ParamTensors.
func (t *Trainer) Refresh() error { return t.recopy() }

// SetInputs draws the batch of src for step Steps() and uploads it.
func (t *Trainer) SetInputs(src fit.Source) error {
	t.host.fill(t.prog, src, t.step, t.first, t.rows, t.layout.Layers[0].LDK)
	return errors.Join(driver.Upload(t.pass.Input(), t.host.input), driver.Upload(t.target, t.host.target), driver.Upload(t.weight, t.host.weight))
}

// given are the kernels' arguments for the batch in the tensors.
func (t *Trainer) given() DrawArgs {
	a := t.drawn()
	a.Data, a.Target, a.Weight = 0, t.target.Address(), t.weight.Address()
	return a
}

// Evaluate computes output, loss and gradient of the batch that SetInputs or uploads to BatchTensors have left, and changes no
// parameter. The work is captured once for a size of batches and replayed.
func (t *Trainer) Evaluate() (fit.Result, error) { return t.present(0, nil) }

// Advance is Evaluate and the step of Adam with learning rate lr. Output is that before the step.
func (t *Trainer) Advance(lr float64) (fit.Result, error) { return t.present(1, []float64{lr}) }

func (t *Trainer) present(update int, lrs []float64) (r fit.Result, err error) {
	defer func() { err = t.shared.note(err) }()
	if err := t.begin(lrs); err != nil {
		return fit.Result{}, err
	}
	if err := t.prepare(); err != nil {
		return fit.Result{}, err
	}
	evaluate := func() error {
		if err := t.enqueueGradient(t.given()); err != nil {
			return err
		}
		if err := t.enqueueOutput(); err != nil {
			return err
		}
		return t.enqueueUpdate(update == 1)
	}
	g := &t.eval.graphs[update]
	run := evaluate
	if t.captures() {
		if *g == nil {
			var err error
			if *g, err = t.d.Capture(evaluate); err != nil {
				return fit.Result{}, err
			}
		}
		run = (*g).Replay
	}
	if err := run(); err != nil {
		return fit.Result{}, err
	}
	c, _, err := t.read(0)
	if err != nil {
		return fit.Result{}, err
	}
	t.step = c.Step
	return fit.Result{Loss: c.Loss, GradNorm: c.Norm}, t.blame(c)
}

// prepare allocates memory for the output.
func (t *Trainer) prepare() (err error) {
	e := &t.eval
	if e.dense == nil {
		if e.module == nil {
			if e.module, err = t.d.Load(gpu.Dense); err != nil {
				return err
			}
		}
		if e.dense, err = e.module.Kernel(tileF32Narrow.name, tileF32Narrow.threads, tileF32Narrow.shared); err != nil {
			return err
		}
	}
	if e.room == t.rowRoom {
		return nil
	}
	e.room = 0 // in case of an error
	if err := e.output.Free(); err != nil {
		return err
	}
	if e.output, err = t.zeros(4 * t.rowRoom * t.layout.Layers[len(t.layout.Layers)-1].LDN); err != nil {
		return err
	}
	e.room = t.rowRoom
	return nil
}

// enqueueOutput computes the output from the input of the last layer.
func (t *Trainer) enqueueOutput() error {
	i := len(t.layout.Layers) - 1
	l := t.layout.Layers[i]
	q := denseArgs{A: matrix(t.pass.X(i), int64(l.LDK), 1), B: matrix(t.param.At(l.W), 1, int64(l.LDK)),
		C: t.eval.output.Address(), CRow: int64(l.LDN), Bias: t.param.At(l.B),
		M: int32(t.rows), N: int32(l.N), K: int32(l.K), Group: 1, Act: int32(simd.Identity)}
	s := tileF32Narrow
	return t.eval.dense.Launch((t.rows+s.m-1)/s.m*((l.N+s.n-1)/s.n), driver.Pack(new(driver.Args), q))
}
