//go:build gpu && cgo

package exec

import (
	"context"
	"errors"
	"fmt"

	"hbar/cuda/driver"
	"hbar/kernels/simd"
)

// Forward writes n(x, τ) of n samples (n×D) to dst (n×D). tau holds n times, or one for all samples.
func (g *General) Forward(ctx context.Context, dst, x []float32, tau []float64) error {
	return g.do(func() error { return forward(ctx, "Forward", g.net32, dst, x, tau) })
}

// Forward64 is Forward in float64.
func (g *General) Forward64(ctx context.Context, dst, x, tau []float64) error {
	return g.do64(func(n *layers[float64]) error { return forward(ctx, "Forward64", n, dst, x, tau) })
}

func forward[F simd.Float](ctx context.Context, call string, n *layers[F], dst, x []F, tau []float64) error {
	d := n.g.p.D
	count, err := samples(call, d, len(x), tau)
	if err != nil {
		return err
	}
	if len(dst) != len(x) {
		return fmt.Errorf("cuda: %s: dst has %d elements, want %d", call, len(dst), len(x))
	}
	return n.g.batches(ctx, call, count, 1, func(lo, hi int) error {
		if err := n.values(x[lo*d:hi*d], tau, lo, hi, nil); err != nil {
			return err
		}
		return n.download(dst[lo*d:hi*d], n.outputSlot("value"))
	})
}

// values takes samples lo to hi, x, through the network and leaves the output in scratch memory.
func (n *layers[F]) values(x []F, tau []float64, lo, hi int, slopes []deviceRows) error {
	t, err := n.batchTimes(tau, lo, hi)
	if err != nil {
		return err
	}
	in, err := n.upload(slot{"x", 0}, x, n.g.p.D)
	if err != nil {
		return err
	}
	if in, err = n.input(hi-lo, 1, rowsGiven, in, t.phi); err != nil {
		return err
	}
	_, err = n.pass("value", hi-lo, 1, in, &t, slopes)
	return err
}

// Tangent writes n(x, τ) to dst (n×D, may be nil) and the directional derivatives (∂n/∂x) v of each sample along its k
// directions v (n×k×D) to jv (n×k×D). With v nil and k = D the directions are the unit vectors: jv[i][j] is column j of
// the Jacobian, ∂n/∂x_j. tau holds n times, or one for all samples.
func (g *General) Tangent(ctx context.Context, dst, jv, x, v []float32, k int, tau []float64) error {
	return g.do(func() error { return tangent(ctx, "Tangent", g.net32, dst, jv, nil, x, v, k, tau) })
}

// Tangent64 is Tangent in float64.
func (g *General) Tangent64(ctx context.Context, dst, jv, x, v []float64, k int, tau []float64) error {
	return g.do64(func(n *layers[float64]) error { return tangent(ctx, "Tangent64", n, dst, jv, nil, x, v, k, tau) })
}

// Divergence writes n(x, τ) to dst (n×D, may be nil) and div_i = Σ_k v_k·(∂n/∂x) v_k to div (n): Hutchinson's sum over
// the k probes v (n×k×D), not divided by k, or with v nil and k = D the exact divergence. The sum over k and over the
// coordinates is made in float64.
func (g *General) Divergence(ctx context.Context, dst []float32, div []float64, x, v []float32, k int, tau []float64) error {
	if div == nil {
		return errors.New("cuda: Divergence without div")
	}
	return g.do(func() error { return tangent(ctx, "Divergence", g.net32, dst, nil, div, x, v, k, tau) })
}

// Divergence64 is Divergence in float64.
func (g *General) Divergence64(ctx context.Context, dst, div, x, v []float64, k int, tau []float64) error {
	if div == nil {
		return errors.New("cuda: Divergence64 without div")
	}
	return g.do64(func(n *layers[float64]) error { return tangent(ctx, "Divergence64", n, dst, nil, div, x, v, k, tau) })
}

// tangent computes the values first, and keeps the slopes f' of the activations. The directions, k rows for each sample, then pass
// through the network with their products multiplied by the slopes.
func tangent[F simd.Float](ctx context.Context, call string, n *layers[F], dst, jv []F, div []float64, x, v []F, k int, tau []float64) error {
	d := n.g.p.D
	count, err := samples(call, d, len(x), tau)
	if err != nil {
		return err
	}
	if k < 1 || v == nil && k != d {
		return fmt.Errorf("cuda: %s: %d directions, want at least 1, or D = %d for the unit vectors", call, k, d)
	}
	err = errors.Join(length(call, "dst", dst, count*d), length(call, "v", v, count*k*d), length(call, "jv", jv, count*k*d), length(call, "div", div, count))
	if err != nil {
		return err
	}
	return n.g.batches(ctx, call, count, k, func(lo, hi int) error {
		m := hi - lo
		slopes, err := n.slopes(m)
		if err != nil {
			return err
		}
		if err := n.values(x[lo*d:hi*d], tau, lo, hi, slopes); err != nil {
			return err
		}
		kind, rows := rowsUnit, deviceRows{}
		if v != nil {
			kind = rowsGiven
			if rows, err = n.upload(slot{"v", 0}, v[lo*k*d:hi*k*d], d); err != nil {
				return err
			}
		}
		in, err := n.input(m*k, k, kind, rows, deviceRows{})
		if err != nil {
			return err
		}
		out, err := n.pass("tangent", m*k, k, in, nil, slopes)
		if err != nil {
			return err
		}
		if div != nil {
			b, err := n.g.space.bytes(slot{"div", 0}, 8*m)
			if err != nil {
				return err
			}
			a := driver.Pack(driver.Pack(new(driver.Args).Buf(b), out.at), rows.at).I32(k).I32(d)
			if err := n.g.each(n.name("trace"), m, driver.Pack(a, int64(m))); err != nil {
				return err
			}
			if err := driver.Download(div[lo:hi], b); err != nil {
				return err
			}
		}
		if jv != nil {
			if err := n.download(jv[lo*k*d:hi*k*d], n.outputSlot("tangent")); err != nil {
				return err
			}
		}
		if dst != nil {
			return n.download(dst[lo*d:hi*d], n.outputSlot("value"))
		}
		return nil
	})
}
