//go:build gpu && cgo

package cuda

import (
	"context"
	"errors"
	"fmt"

	"gorgonia.org/tensor"

	"hbar/kernels"
)

// Tensors is the engine of tensors in the device's memory. Unlike the Engine's own methods it takes no turns: one goroutine at a
// time may use it, and no other the Engine meanwhile.
func (e *Engine) Tensors() *TensorEngine { return e.d.tensors }

// TrajectoryTensors is Trajectory of samples that stay on the device: x and m are tensors [n, D] of Tensors, float32; m may
// be nil. It may return before the device is done, in order with what is enqueued next; after an error the numbers are
// arbitrary. A network that is none for the fused kernels passes through the host's memory.
func (e *Engine) TrajectoryTensors(ctx context.Context, x, m *tensor.Dense, rows []kernels.Row, no kernels.Noise) error {
	n, err := e.samples("x", x)
	if err != nil {
		return err
	}
	if m != nil {
		if k, err := e.samples("m", m); err != nil {
			return err
		} else if k != n {
			return fmt.Errorf("cuda: TrajectoryTensors: the memory m of %d samples; x has %d", k, n)
		}
	}
	if e.sampler == nil {
		return e.byHost(ctx, x, m, rows, no)
	}
	return e.fused(func() (err error) {
		wire, err := wireRows(rows)
		if err != nil || len(rows) == 0 {
			return err
		}
		t := trajectory{s: e.sampler, ctx: ctx, rows: rows, wire: wire, memory: kernels.UsesMemory(rows)}
		var mem *Buffer
		switch {
		case t.memory && m == nil:
			if mem, err = e.d.Alloc(4 * n * e.Dim()); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, mem.Free()) }()
			if err := mem.Zero(); err != nil {
				return err
			}
		case t.memory:
			mem = e.d.bufferOf(m)
		}
		return t.run(e.d.bufferOf(x), mem, n, no, func(int) {})
	})
}

// samples is the number of samples in a tensor of them.
func (e *Engine) samples(name string, t *tensor.Dense) (int, error) {
	s := t.Shape()
	if t.Engine() != tensor.Engine(e.d.tensors) || t.Dtype() != tensor.Float32 || len(s) != 2 || s[1] != e.Dim() {
		return 0, fmt.Errorf("cuda: TrajectoryTensors: %s is %v of %v; want [n, %d] of float32 in the memory of %s", name, s, t.Dtype(), e.Dim(), e.d.Name)
	}
	l, err := e.d.tensors.layout("TrajectoryTensors", t)
	if err == nil && !l.dense() {
		err = fmt.Errorf("cuda: TrajectoryTensors: the rows of %s are %d bytes apart; they must follow each other", name, l.pitch)
	}
	return s[0], err
}

// bufferOf is the memory of a tensor.
func (d *Device) bufferOf(t *tensor.Dense) *Buffer {
	return d.view(t.Uintptr(), int(t.MemSize()))
}

func (e *Engine) byHost(ctx context.Context, x, m *tensor.Dense, rows []kernels.Row, no kernels.Noise) error {
	host := func(t *tensor.Dense) (*tensor.Dense, []float32, error) {
		if t == nil {
			return nil, nil, nil
		}
		h := tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(t.Shape()...))
		return h, h.Float32s(), e.d.tensors.Download(h, t)
	}
	hx, vx, err := host(x)
	hm, vm, err2 := host(m)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	if err := e.General.Trajectory(ctx, vx, vm, rows, no, nil); err != nil {
		return err
	}
	if hm != nil {
		err = e.d.tensors.Upload(m, hm)
	}
	return errors.Join(err, e.d.tensors.Upload(x, hx))
}
