package general

import (
	"context"
	"fmt"

	"hbar/kernels"
)

// Forward writes n(x, τ) to dst (n×D).
func (e *Engine) Forward(ctx context.Context, dst, x []float32, tau []float64) error {
	return e.forward(ctx, dst, x, tau, e.label)
}

// ForwardFrom is Forward with the labels of the samples sample0, sample0 + 1, …, as trajectories have them.
func (e *Engine) ForwardFrom(ctx context.Context, dst, x []float32, tau []float64, sample0 uint64) error {
	return e.forward(ctx, dst, x, tau, e.LabelFrom(sample0))
}

func (e *Engine) forward(ctx context.Context, dst, x []float32, tau []float64, label func(i int) float64) error {
	n, err := e.samples(len(x), tau)
	if err != nil {
		return err
	}
	if err := e.acquire(ctx); err != nil {
		return err
	}
	defer e.release()
	return e.Guided(ctx, n, dst, x, tau, label)
}

// Guided writes the values, under guidance from one batch that holds the samples with and without labels. Call it within Lend only.
func (e *Engine) Guided(ctx context.Context, n int, dst, x []float32, tau []float64, label func(i int) float64) error {
	w := float32(e.o.Guidance)
	if w == 0 {
		return e.runLocked(ctx, "", n, map[string][]float32{"x": x}, tau, label, map[string][]float32{"out": dst})
	}
	size := n * e.d
	both := append(append(make([]float32, 0, 2*size), x...), x...)
	if len(tau) > 1 {
		tau = append(append([]float64(nil), tau...), tau...)
	}
	out := make([]float32, 2*size)
	err := e.runLocked(ctx, "", 2*n, map[string][]float32{"x": both}, tau, func(i int) float64 {
		if i >= n {
			return e.o.None
		}
		return label(i)
	}, map[string][]float32{"out": out})
	if err != nil {
		return err
	}
	for i := range dst {
		dst[i] = (1+w)*out[i] - w*out[size+i]
	}
	return nil
}

// Forward64 is Forward in float64.
func (e *Engine) Forward64(ctx context.Context, dst, x, tau []float64) error {
	return e.forward64(ctx, dst, x, tau, e.label)
}

// Forward64From is ForwardFrom in float64.
func (e *Engine) Forward64From(ctx context.Context, dst, x, tau []float64, sample0 uint64) error {
	return e.forward64(ctx, dst, x, tau, e.LabelFrom(sample0))
}

func (e *Engine) forward64(ctx context.Context, dst, x, tau []float64, label func(i int) float64) error {
	n, err := e.samples(len(x), tau)
	if err != nil {
		return err
	}
	in := map[string][]float64{"x": x}
	if err := e.run64(ctx, "", n, in, tau, label, map[string][]float64{"out": dst}); err != nil || e.o.Guidance == 0 {
		return err
	}
	none := make([]float64, len(dst))
	if err := e.run64(ctx, "", n, in, tau, func(int) float64 { return e.o.None }, map[string][]float64{"out": none}); err != nil {
		return err
	}
	for i := range dst {
		dst[i] = (1+e.o.Guidance)*dst[i] - e.o.Guidance*none[i]
	}
	return nil
}

// directions calls f for each direction j of k, gathered as n×D; without v they are the unit vectors.
func directions[F float32 | float64](n, d, k int, v []F, f func(j int, dir []F) error) error {
	dir := make([]F, n*d)
	for j := range k {
		for i := range n {
			if v != nil {
				copy(dir[i*d:(i+1)*d], v[(i*k+j)*d:])
				continue
			}
			clear(dir[i*d : (i+1)*d])
			dir[i*d+j] = 1
		}
		if err := f(j, dir); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) checkDirections(n, k, v int) error {
	if k < 1 || v == 0 && k != e.d || v != 0 && v != n*k*e.d {
		return fmt.Errorf("engine: %d directions with %d elements for %d samples; want n·k·D, or none and D directions", k, v, n)
	}
	return nil
}

// pass runs a program of one kind for n samples in a precision.
type pass[F float32 | float64] func(ctx context.Context, kind string, n int, in map[string][]F, tau []float64, label func(i int) float64, out map[string][]F) error

// along runs a program once for each of the k directions v (n×k×D; nil: unit vectors), which are its input named into, and calls
// each with the direction and the output named from. The values n(x, τ) go to dst unless that is nil.
func along[F float32 | float64](ctx context.Context, e *Engine, run pass[F], kind, into, from string, dst, x, v []F, k int, tau []float64, each func(j int, dir, out []F)) error {
	n, err := e.samples(len(x), tau)
	if err == nil {
		err = e.checkDirections(n, k, len(v))
	}
	if err != nil {
		return err
	}
	out := make([]F, n*e.d)
	return directions(n, e.d, k, v, func(j int, dir []F) error {
		outputs := map[string][]F{from: out}
		if dst != nil && j == 0 {
			outputs["out"] = dst
		}
		if err := run(ctx, kind, n, map[string][]F{"x": x, into: dir}, tau, e.label, outputs); err != nil {
			return err
		}
		each(j, dir, out)
		return nil
	})
}

// Tangent writes n(x, τ) to dst (n×D, may be nil) and the directional derivatives (∂n/∂x) v along the k directions v (n×k×D;
// nil: unit vectors) to jv (n×k×D).
func (e *Engine) Tangent(ctx context.Context, dst, jv, x, v []float32, k int, tau []float64) error {
	return tangent(ctx, e, e.run, dst, jv, x, v, k, tau)
}

// Tangent64 is Tangent in float64.
func (e *Engine) Tangent64(ctx context.Context, dst, jv, x, v []float64, k int, tau []float64) error {
	return tangent(ctx, e, e.run64, dst, jv, x, v, k, tau)
}

func tangent[F float32 | float64](ctx context.Context, e *Engine, run pass[F], dst, jv, x, v []F, k int, tau []float64) error {
	return along(ctx, e, run, "v", "v", "sv", dst, x, v, k, tau, func(j int, _, out []F) {
		for i := range len(x) / e.d {
			copy(jv[(i*k+j)*e.d:(i*k+j+1)*e.d], out[i*e.d:])
		}
	})
}

// Divergence writes n(x, τ) to dst (n×D, may be nil) and div_i = Σ_k v_k·(∂n/∂x) v_k to div (n), by a cotangent for each
// probe: Hutchinson's sum over the k probes v (n×k×D), not divided by k, or with v nil and k = D the exact divergence.
func (e *Engine) Divergence(ctx context.Context, dst []float32, div []float64, x, v []float32, k int, tau []float64) error {
	return divergence(ctx, e, e.run, dst, div, x, v, k, tau)
}

// Divergence64 is Divergence in float64.
func (e *Engine) Divergence64(ctx context.Context, dst, div, x, v []float64, k int, tau []float64) error {
	return divergence(ctx, e, e.run64, dst, div, x, v, k, tau)
}

func divergence[F float32 | float64](ctx context.Context, e *Engine, run pass[F], dst []F, div []float64, x, v []F, k int, tau []float64) error {
	return along(ctx, e, run, "ga", "a", "g", dst, x, v, k, tau, func(j int, dir, g []F) {
		if j == 0 {
			clear(div)
		}
		for i := range len(x) / e.d {
			for c := i * e.d; c < (i+1)*e.d; c++ {
				div[i] += float64(dir[c]) * float64(g[c])
			}
		}
	})
}

// adjoint are the program, inputs and outputs of an Adjoint.
func adjoint[F float32 | float64](q *kernels.Adjoint[F]) (kind string, in, out map[string][]F) {
	in, out = map[string][]F{"x": q.X}, map[string][]F{}
	if q.V != nil {
		kind, in["v"] = kind+"v", q.V
	}
	if q.W != nil {
		kind, in["w"] = kind+"w", q.W
	}
	if q.Grad != nil {
		terms := ""
		for _, t := range []struct {
			name string
			s    []F
		}{{"a", q.CovS}, {"b", q.CovSV}, {"c", q.CovSW}, {"e", q.CovSVW}} {
			if t.s != nil {
				terms += t.name
				in[t.name] = t.s
			}
		}
		if terms == "" {
			clear(q.Grad)
		} else {
			kind += "g" + terms
			out["g"] = q.Grad
		}
	}
	for name, s := range map[string][]F{"out": q.S, "sv": q.SV, "sw": q.SW, "svw": q.SVW} {
		if s != nil {
			out[name] = s
		}
	}
	return kind, in, out
}

// Adjoint32 computes kernels.Adjoint.
func (e *Engine) Adjoint32(ctx context.Context, q *kernels.Adjoint[float32], tau []float64) error {
	return runAdjoint(ctx, e, e.run, q, tau)
}

// Adjoint64 computes kernels.Adjoint in float64.
func (e *Engine) Adjoint64(ctx context.Context, q *kernels.Adjoint[float64], tau []float64) error {
	return runAdjoint(ctx, e, e.run64, q, tau)
}

func runAdjoint[F float32 | float64](ctx context.Context, e *Engine, run pass[F], q *kernels.Adjoint[F], tau []float64) error {
	n, err := e.samples(len(q.X), tau)
	if err == nil {
		err = q.Validate()
	}
	if err != nil {
		return err
	}
	kind, in, out := adjoint(q)
	return run(ctx, kind, n, in, tau, e.label, out)
}

// Jets64 is not offered: Taylor jets of a whole network are for dense chains in few dimensions.
func (e *Engine) Jets64(context.Context, []float64, []float64, []float64, int) error {
	return fmt.Errorf("engine: Taylor expansions are for dense chains; this network has derivatives along directions (ScoreJVP, ScoreAdjoint)")
}
