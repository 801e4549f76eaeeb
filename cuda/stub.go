//go:build !gpu || !cgo

package cuda

import (
	"context"
	"fmt"

	"hbar/kernels"
	"hbar/kernels/infer"
)

func unavailable() error {
	return fmt.Errorf("%w: no CUDA in this build; build with -tags gpu", ErrUnavailable)
}

// Available reports why no CUDA device can be used.
func Available() error { return unavailable() }

// Device is one GPU; this build has none.
type Device struct{}

// Open returns GPU number index, counted from 0.
func Open(index int) (*Device, error) { return nil, unavailable() }

// Close releases the device.
func (d *Device) Close() error { return nil }

func (d *Device) String() string { return "no GPU" }

// Sampler is the fused sampler on a GPU.
type Sampler struct{}

// NewSampler compiles a program for the device.
func NewSampler(d *Device, p *kernels.Chain, precision Precision) (*Sampler, error) {
	return nil, unavailable()
}

// Trajectory carries samples through a step table.
func (s *Sampler) Trajectory(ctx context.Context, x, m []float32, rows []kernels.Row, no kernels.Noise, progress func(done int)) error {
	return unavailable()
}

// Close frees the sampler's memory.
func (s *Sampler) Close() error { return nil }

// Engine runs a network on a GPU; its methods are those of the CPU's engine.
type Engine struct{ *infer.Engine }

// NewEngine opens a device for a network.
func NewEngine(p *kernels.Chain, index int, precision Precision) (*Engine, error) {
	return nil, unavailable()
}

// Device describes the device.
func (e *Engine) Device() string { return "no GPU" }

// Fused reports whether trajectories are fused.
func (e *Engine) Fused() bool { return false }

// Close releases the device.
func (e *Engine) Close() error { return nil }
