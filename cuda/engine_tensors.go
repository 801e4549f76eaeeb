//go:build gpu && cgo

package cuda

import (
	"context"
	"errors"
	"fmt"

	"gorgonia.org/tensor"

	"hbar/cuda/driver"
	"hbar/kernels"
)

// Tensors is the engine of tensors in the device's memory. Unlike the Engine's own methods it has no lock: one goroutine at a time
// may use it, and no other goroutine may use the Engine meanwhile.
func (e *Engine) Tensors() *driver.TensorEngine { return e.d.Tensors() }

// TrajectoryTensors is Trajectory of samples that stay on the device: x and m are tensors [n, D] of Tensors, float32; m may
// be nil. It may return before the device has finished; work that is enqueued later runs after it. After an error the numbers are
// arbitrary. For a network that the fused kernels do not take, the samples pass through the host's memory.
func (e *Engine) TrajectoryTensors(ctx context.Context, x, m *tensor.Dense, rows []kernels.Row, no kernels.Noise) error {
	xs, err := e.samples("x", x)
	if err != nil {
		return err
	}
	var ms *driver.Buffer
	if m != nil {
		if ms, err = e.samples("m", m); err != nil {
			return err
		}
		if k, n := m.Shape()[0], x.Shape()[0]; k != n {
			return fmt.Errorf("cuda: TrajectoryTensors: the memory m of %d samples; x has %d", k, n)
		}
	}
	if e.sampler == nil {
		return e.byHost(ctx, x, m, rows, no)
	}
	return e.Lend(func() error {
		return e.sampler.Enqueue(ctx, xs, ms, rows, no)
	})
}

// samples is the memory of a tensor of samples.
func (e *Engine) samples(name string, t *tensor.Dense) (*driver.Buffer, error) {
	s := t.Shape()
	if t.Engine() != tensor.Engine(e.d.Tensors()) || t.Dtype() != tensor.Float32 || len(s) != 2 || s[1] != e.Dim() {
		return nil, fmt.Errorf("cuda: TrajectoryTensors: %s is %v of %v; want [n, %d] of float32 in the memory of %s", name, s, t.Dtype(), e.Dim(), e.d.Name)
	}
	return e.d.Tensors().Memory("TrajectoryTensors", name, t)
}

func (e *Engine) byHost(ctx context.Context, x, m *tensor.Dense, rows []kernels.Row, no kernels.Noise) error {
	host := func(t *tensor.Dense) (*tensor.Dense, []float32, error) {
		if t == nil {
			return nil, nil, nil
		}
		h := tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(t.Shape()...))
		return h, h.Float32s(), e.d.Tensors().Download(h, t)
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
		err = e.d.Tensors().Upload(m, hm)
	}
	return errors.Join(err, e.d.Tensors().Upload(x, hx))
}
