//go:build !gpu || !cgo

package cuda

import (
	"context"
	"fmt"

	"hbar/kernels"
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

// Engine runs a network on a GPU; its methods are those of the CPU's engine.
type Engine struct{}

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

// Dim is the number of dimensions of a sample.
func (e *Engine) Dim() int { return 0 }

// Forward evaluates the network.
func (e *Engine) Forward(ctx context.Context, dst, x []float32, tau []float64) error {
	return unavailable()
}

// Forward64 is Forward in float64.
func (e *Engine) Forward64(ctx context.Context, dst, x, tau []float64) error { return unavailable() }

// Tangent computes directional derivatives.
func (e *Engine) Tangent(ctx context.Context, dst, jv, x, v []float32, k int, tau []float64) error {
	return unavailable()
}

// Tangent64 is Tangent in float64.
func (e *Engine) Tangent64(ctx context.Context, dst, jv, x, v []float64, k int, tau []float64) error {
	return unavailable()
}

// Divergence computes divergences.
func (e *Engine) Divergence(ctx context.Context, dst []float32, div []float64, x, v []float32, k int, tau []float64) error {
	return unavailable()
}

// Divergence64 is Divergence in float64.
func (e *Engine) Divergence64(ctx context.Context, dst, div, x, v []float64, k int, tau []float64) error {
	return unavailable()
}

// Adjoint32 computes gradients of functions of values and derivatives.
func (e *Engine) Adjoint32(ctx context.Context, q *kernels.Adjoint[float32], tau []float64) error {
	return unavailable()
}

// Adjoint64 is Adjoint32 in float64.
func (e *Engine) Adjoint64(ctx context.Context, q *kernels.Adjoint[float64], tau []float64) error {
	return unavailable()
}

// Jets64 expands the network in its input.
func (e *Engine) Jets64(ctx context.Context, dst, x, tau []float64, order int) error {
	return unavailable()
}

// Trajectory carries samples through a step table.
func (e *Engine) Trajectory(ctx context.Context, x, m []float32, rows []kernels.Row, no kernels.Noise, progress func(done int)) error {
	return unavailable()
}
