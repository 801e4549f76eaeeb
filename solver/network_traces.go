package solver

import (
	"context"
	"fmt"
)

// Tracer is a Model that computes Hutchinson's products of several probes at once.
type Tracer interface {
	Model
	// ScoreTraces writes s (n×D) and, for the k probes v (n×k×D) of each row, vᵀ(∂s/∂x)v to traces (n×k).
	ScoreTraces(ctx context.Context, s, traces, x, v []float64, k int, t []float64) error
}

var _ Tracer = (*Network)(nil)

// tracer is an engine whose probes share passes through the network (general.Engine).
type tracer interface {
	Traces(ctx context.Context, dst []float32, traces []float64, x, v []float32, k int, tau []float64) error
}

// ScoreTraces implements Tracer.
func (m *Network) ScoreTraces(ctx context.Context, s, traces, x, v []float64, k int, t []float64) error {
	in, err := m.inputs(x, t)
	if err == nil {
		err = lengths(len(x), s)
	}
	if err == nil && (k < 1 || len(v) != len(x)*k || len(traces) != in.n*k) {
		err = fmt.Errorf("solver: %d probes with %d numbers for %d traces; need n·k·D = %d and n·k", k, len(v), len(traces), len(x)*k)
	}
	if err != nil {
		return err
	}
	e, ok := m.engine.(tracer)
	if !ok || m.precision == Float64 {
		products := make([]float64, len(v))
		if err := m.ScoreJVP(ctx, s, products, x, v, k, t); err != nil {
			return err
		}
		for i := range traces {
			traces[i] = dot(v[i*in.d:(i+1)*in.d], products[i*in.d:(i+1)*in.d])
		}
		return nil
	}
	y := like[float32](s)
	if err := e.Traces(ctx, y, traces, down[float32](&in, x, in.d, 1), down[float32](&in, v, k*in.d, 0), k, in.tau); err != nil {
		return err
	}
	up(&in, s, x, y, in.d, 0)
	for i := range traces {
		c, probe := in.of(i/k), v[i*in.d:(i+1)*in.d]
		traces[i] = c.p*dot(probe, probe) + c.q*c.cin*traces[i]
	}
	return nil
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}
