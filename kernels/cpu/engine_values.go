package cpu

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
	return e.forward(ctx, dst, x, tau, e.labelFrom(sample0))
}

func (e *Engine) forward(ctx context.Context, dst, x []float32, tau []float64, label func(i int) float64) error {
	n, err := e.samples(len(x), tau)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.guided(ctx, n, dst, x, tau, label)
}

// guided writes the values, under guidance from one batch with and without labels.
func (e *Engine) guided(ctx context.Context, n int, dst, x []float32, tau []float64, label func(i int) float64) error {
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
	return e.forward64(ctx, dst, x, tau, e.labelFrom(sample0))
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
		return fmt.Errorf("cpu: %d directions with %d elements for %d samples; want n·k·D, or none and D directions", k, v, n)
	}
	return nil
}

// Tangent writes n(x, τ) to dst (n×D, may be nil) and the directional derivatives (∂n/∂x) v along the k directions v (n×k×D;
// nil: unit vectors) to jv (n×k×D).
func (e *Engine) Tangent(ctx context.Context, dst, jv, x, v []float32, k int, tau []float64) error {
	n, err := e.samples(len(x), tau)
	if err == nil {
		err = e.checkDirections(n, k, len(v))
	}
	if err != nil {
		return err
	}
	out := make([]float32, n*e.d)
	return directions(n, e.d, k, v, func(j int, dir []float32) error {
		outputs := map[string][]float32{"sv": out}
		if dst != nil && j == 0 {
			outputs["out"] = dst
		}
		if err := e.run(ctx, "v", n, map[string][]float32{"x": x, "v": dir}, tau, e.label, outputs); err != nil {
			return err
		}
		scatter(jv, out, n, e.d, k, j)
		return nil
	})
}

// scatter puts the results of direction j in their places.
func scatter[F float32 | float64](jv, out []F, n, d, k, j int) {
	for i := range n {
		copy(jv[(i*k+j)*d:(i*k+j+1)*d], out[i*d:])
	}
}

// Tangent64 is Tangent in float64.
func (e *Engine) Tangent64(ctx context.Context, dst, jv, x, v []float64, k int, tau []float64) error {
	n, err := e.samples(len(x), tau)
	if err == nil {
		err = e.checkDirections(n, k, len(v))
	}
	if err != nil {
		return err
	}
	out := make([]float64, n*e.d)
	return directions(n, e.d, k, v, func(j int, dir []float64) error {
		outputs := map[string][]float64{"sv": out}
		if dst != nil && j == 0 {
			outputs["out"] = dst
		}
		if err := e.run64(ctx, "v", n, map[string][]float64{"x": x, "v": dir}, tau, e.label, outputs); err != nil {
			return err
		}
		scatter(jv, out, n, e.d, k, j)
		return nil
	})
}

// Divergence writes n(x, τ) to dst (n×D, may be nil) and div_i = Σ_k v_k·(∂n/∂x) v_k to div (n), by a cotangent for each
// probe: Hutchinson's sum over the k probes v (n×k×D), not divided by k, or with v nil and k = D the exact divergence.
func (e *Engine) Divergence(ctx context.Context, dst []float32, div []float64, x, v []float32, k int, tau []float64) error {
	n, err := e.samples(len(x), tau)
	if err == nil {
		err = e.checkDirections(n, k, len(v))
	}
	if err != nil {
		return err
	}
	clear(div)
	g := make([]float32, n*e.d)
	return directions(n, e.d, k, v, func(j int, dir []float32) error {
		outputs := map[string][]float32{"g": g}
		if dst != nil && j == 0 {
			outputs["out"] = dst
		}
		if err := e.run(ctx, "ga", n, map[string][]float32{"x": x, "a": dir}, tau, e.label, outputs); err != nil {
			return err
		}
		for i := range n {
			for c := i * e.d; c < (i+1)*e.d; c++ {
				div[i] += float64(dir[c]) * float64(g[c])
			}
		}
		return nil
	})
}

// Divergence64 is Divergence in float64.
func (e *Engine) Divergence64(ctx context.Context, dst, div, x, v []float64, k int, tau []float64) error {
	n, err := e.samples(len(x), tau)
	if err == nil {
		err = e.checkDirections(n, k, len(v))
	}
	if err != nil {
		return err
	}
	clear(div)
	g := make([]float64, n*e.d)
	return directions(n, e.d, k, v, func(j int, dir []float64) error {
		outputs := map[string][]float64{"g": g}
		if dst != nil && j == 0 {
			outputs["out"] = dst
		}
		if err := e.run64(ctx, "ga", n, map[string][]float64{"x": x, "a": dir}, tau, e.label, outputs); err != nil {
			return err
		}
		for i := range n {
			for c := i * e.d; c < (i+1)*e.d; c++ {
				div[i] += dir[c] * g[c]
			}
		}
		return nil
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
	if q.G != nil {
		terms := ""
		for _, t := range []struct {
			name string
			s    []F
		}{{"a", q.A}, {"b", q.B}, {"c", q.C}, {"e", q.E}} {
			if t.s != nil {
				terms += t.name
				in[t.name] = t.s
			}
		}
		if terms == "" {
			clear(q.G)
		} else {
			kind += "g" + terms
			out["g"] = q.G
		}
	}
	for name, s := range map[string][]F{"out": q.S, "sv": q.SV, "sw": q.SW, "svw": q.H} {
		if s != nil {
			out[name] = s
		}
	}
	return kind, in, out
}

// Adjoint32 computes kernels.Adjoint.
func (e *Engine) Adjoint32(ctx context.Context, q *kernels.Adjoint[float32], tau []float64) error {
	n, err := e.samples(len(q.X), tau)
	if err == nil {
		err = q.Validate()
	}
	if err != nil {
		return err
	}
	kind, in, out := adjoint(q)
	return e.run(ctx, kind, n, in, tau, e.label, out)
}

// Adjoint64 computes kernels.Adjoint in float64.
func (e *Engine) Adjoint64(ctx context.Context, q *kernels.Adjoint[float64], tau []float64) error {
	n, err := e.samples(len(q.X), tau)
	if err == nil {
		err = q.Validate()
	}
	if err != nil {
		return err
	}
	kind, in, out := adjoint(q)
	return e.run64(ctx, kind, n, in, tau, e.label, out)
}

// Jets64 is not offered: Taylor jets of a whole network are for dense chains in few dimensions.
func (e *Engine) Jets64(context.Context, []float64, []float64, []float64, int) error {
	return fmt.Errorf("cpu: Taylor expansions are for dense chains; this network has derivatives along directions (ScoreJVP, ScoreVJP2)")
}
