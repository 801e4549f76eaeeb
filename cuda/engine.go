package cuda

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"hbar/kernels"
	"hbar/kernels/infer"
)

// Engine runs a network's trajectories fused on a device, and all else — values, derivatives, jets — on the CPU: it is an
// infer.Engine with another Trajectory. Its methods may be called concurrently; trajectories take turns.
type Engine struct {
	*infer.Engine
	turn    sync.Mutex
	device  *Device
	sampler *Sampler
}

// NewEngine opens device index for the program that cpu runs. It fails, saying why, where there is no such device and
// for a program that the fused kernels do not take; see NewSampler.
func NewEngine(cpu *infer.Engine, p *kernels.Program, index int, precision Precision) (*Engine, error) {
	d, err := Open(index)
	if err != nil {
		return nil, err
	}
	s, err := NewSampler(d, p, precision)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return &Engine{Engine: cpu, device: d, sampler: s}, nil
}

// Device describes the device: "cuda:0 NVIDIA H200 (sm_90, …)".
func (e *Engine) Device() string { return e.device.String() }

// Trajectory is infer.Engine's, on the device.
func (e *Engine) Trajectory(ctx context.Context, x, m []float32, rows []kernels.Row, no kernels.Noise, progress func(done int)) error {
	e.turn.Lock()
	defer e.turn.Unlock()
	if e.sampler == nil {
		return fmt.Errorf("cuda: the engine of %s is closed", e.device)
	}
	return e.sampler.Trajectory(ctx, x, m, rows, no, progress)
}

// Close frees the network's memory on the device and releases the device. The methods that run on the CPU still work.
func (e *Engine) Close() error {
	e.turn.Lock()
	defer e.turn.Unlock()
	if e.sampler == nil {
		return nil
	}
	err := errors.Join(e.sampler.Close(), e.device.Close())
	e.sampler = nil
	return err
}
