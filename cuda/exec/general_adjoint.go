//go:build gpu && cgo

package exec

import (
	"context"

	"hbar/cuda/driver"
	"hbar/kernels"
	"hbar/kernels/simd"
)

// VJP32 writes n(x, τ) to dst (n×D, may be nil) and (∂n/∂x)ᵀ u to vj (n×D).
func (g *General) VJP32(ctx context.Context, dst, vj, x, u []float32, tau []float64) error {
	return g.Adjoint32(ctx, &kernels.Adjoint[float32]{X: x, CovS: u, Grad: vj, S: dst}, tau)
}

// VJP64 is VJP32 in float64.
func (g *General) VJP64(ctx context.Context, dst, vj, x, u, tau []float64) error {
	return g.Adjoint64(ctx, &kernels.Adjoint[float64]{X: x, CovS: u, Grad: vj, S: dst}, tau)
}

// Adjoint32 computes q. tau holds n times, or one for all samples.
func (g *General) Adjoint32(ctx context.Context, q *kernels.Adjoint[float32], tau []float64) error {
	return g.do(func() error { return adjoint(ctx, "Adjoint32", g.net32, q, tau) })
}

// Adjoint64 computes q. tau holds n times, or one for all samples.
func (g *General) Adjoint64(ctx context.Context, q *kernels.Adjoint[float64], tau []float64) error {
	return g.do64(func(n *layers[float64]) error { return adjoint(ctx, "Adjoint64", n, q, tau) })
}

func adjoint[F simd.Float](ctx context.Context, call string, n *layers[F], q *kernels.Adjoint[F], tau []float64) error {
	count, err := samples(call, n.g.p.D, len(q.X), tau)
	if err != nil {
		return err
	}
	if err := q.Validate(); err != nil {
		return err
	}
	return n.g.batches(ctx, call, count, q.Rows(), func(lo, hi int) error {
		t := tape[F]{layers: n, q: q, g: q.Rows(), lo: lo, m: hi - lo}
		if err := t.forward(tau); err != nil {
			return err
		}
		if q.Grad != nil {
			if err := t.backward(); err != nil {
				return err
			}
		}
		return t.results()
	})
}

// tape holds what the forward pass of a batch leaves for the backward pass: rows of the coefficients of 1, τ, ε and τε, g of
// them for each sample (see kernels.Adjoint).
type tape[F simd.Float] struct {
	*layers[F]
	q     *kernels.Adjoint[F]
	g     int
	lo, m int          // first sample, and how many
	buf   []deviceRows // of each buffer
	z     []deviceRows // before the activation, of each instruction that has one
	adj   []deviceRows // adjoints of the buffers; of buffer 0 those of the samples' coordinates
	seen  []bool       // which adjoints hold something
}

// interleave returns the batch's rows of the coefficients. nil stands for zeros.
func (t *tape[F]) interleave(coef ...[]F) []F {
	d := t.layers.g.p.D
	dst := make([]F, t.m*t.g*d)
	for c := range t.g {
		if coef[c] == nil {
			continue
		}
		for i := range t.m {
			copy(dst[(i*t.g+c)*d:][:d], coef[c][(t.lo+i)*d:])
		}
	}
	return dst
}

func (t *tape[F]) forward(tau []float64) error {
	p, n, rows := t.layers.g.p, t.layers, t.m*t.g
	tm, err := n.batchTimes(tau, t.lo, t.lo+t.m)
	if err != nil {
		return err
	}
	in, err := n.upload(slot{"x", 0}, t.interleave(t.q.X, t.q.V, t.q.W, nil), p.D)
	if err != nil {
		return err
	}
	t.buf, t.z = make([]deviceRows, len(p.Widths)), make([]deviceRows, len(p.Forward))
	if t.buf[0], err = n.input(rows, t.g, rowsGiven, in, tm.phi); err != nil {
		return err
	}
	for i, ins := range p.Forward {
		width := p.Widths[ins.Dst]
		y, err := n.rows(slot{"adjoint y", ins.Dst}, rows, width)
		if err != nil {
			return err
		}
		t.buf[ins.Dst] = y
		var add deviceRows
		if ins.Add >= 0 {
			add = t.buf[ins.Add]
		}
		if ins.Act == simd.Identity {
			q := n.product(i, rows, t.buf[ins.Src], y)
			n.addBias(&q, i, t.g, tm)
			q.Add, q.AddRow = add.at, int64(add.row)
			if err := n.layer(ins.Src, &q); err != nil {
				return err
			}
			continue
		}
		if t.z[i], err = n.rows(slot{"adjoint z", i}, rows, width); err != nil {
			return err
		}
		q := n.product(i, rows, t.buf[ins.Src], t.z[i])
		n.addBias(&q, i, t.g, tm)
		if err := n.layer(ins.Src, &q); err != nil {
			return err
		}
		a := driver.Pack(driver.Pack(driver.Pack(driver.Pack(new(driver.Args), t.z[i].at), y.at), add.at), int64(t.m)).I32(width).I32(t.g).I32(int(ins.Act))
		if err := n.g.each(n.name("adjoint_forward"), t.m*width, a); err != nil {
			return err
		}
	}
	return nil
}

// adjointOf is the adjoint of a buffer: rows as the buffer's, of buffer 0 one for each sample, the coordinates.
func (t *tape[F]) adjointOf(buffer int) (deviceRows, error) {
	p := t.layers.g.p
	rows, width := t.m*t.g, p.Widths[buffer]
	if buffer == 0 {
		rows, width = t.m, p.D
	}
	var err error
	if t.adj[buffer].at == 0 {
		t.adj[buffer], err = t.layers.rows(slot{"adjoint", buffer}, rows, width)
	}
	return t.adj[buffer], err
}

// backward starts from the covectors at the output and computes the adjoint of the coordinates.
func (t *tape[F]) backward() (err error) {
	p, n, rows := t.layers.g.p, t.layers, t.m*t.g
	t.adj, t.seen = make([]deviceRows, len(p.Widths)), make([]bool, len(p.Widths))
	if t.adj[p.Output], err = n.upload(slot{"adjoint", p.Output}, t.interleave(t.q.CovS, t.q.CovSV, t.q.CovSW, t.q.CovSVW), p.D); err != nil {
		return err
	}
	t.seen[p.Output] = true
	for i := len(p.Forward) - 1; i >= 0; i-- {
		ins := p.Forward[i]
		if !t.seen[ins.Dst] {
			continue
		}
		width, a := p.Widths[ins.Dst], t.adj[ins.Dst]
		if ins.Add >= 0 {
			if err := t.addAdjoint(ins.Add, a); err != nil {
				return err
			}
		}
		if ins.Act != simd.Identity {
			args := driver.Pack(driver.Pack(driver.Pack(new(driver.Args), t.z[i].at), a.at), int64(t.m)).I32(width).I32(t.g).I32(int(ins.Act))
			if err := n.g.each(n.name("adjoint_reverse"), t.m*width, args); err != nil {
				return err
			}
		}
		to, err := t.adjointOf(ins.Src)
		if err != nil {
			return err
		}
		w := p.Params[ins.W]
		q := denseArgs{
			A: matrix(a.at, int64(width), 1), B: matrix(n.param(ins.W, 0), int64(w.Cols), 1), C: to.at, CRow: int64(to.row),
			M: int32(rows), N: int32(w.Cols), K: int32(width), Group: 1,
		}
		if ins.Src == 0 { // only the values depend on x
			q.A.Row, q.M, q.N = int64(t.g*width), int32(t.m), int32(p.D)
		}
		if t.seen[ins.Src] {
			q.Accumulate = 1
		}
		if err := n.layer(ins.Src, &q); err != nil {
			return err
		}
		t.seen[ins.Src] = true
	}
	return nil
}

// addAdjoint adds the adjoint a of a sum to the adjoint of one of its terms.
func (t *tape[F]) addAdjoint(buffer int, a deviceRows) error {
	p := t.layers.g.p
	to, err := t.adjointOf(buffer)
	if err != nil {
		return err
	}
	rows, from := t.m*t.g, a.row
	if buffer == 0 {
		rows, from = t.m, t.g*a.row
	}
	accumulate := 0
	if t.seen[buffer] {
		accumulate = 1
	}
	t.seen[buffer] = true
	width := min(to.row, p.Widths[buffer])
	args := driver.Pack(driver.Pack(driver.Pack(driver.Pack(driver.Pack(new(driver.Args), to.at), int64(to.row)), a.at), int64(from)), int64(rows)).I32(width).I32(accumulate)
	return t.layers.g.each(t.name("add_rows"), rows*width, args)
}

// results copies the results that the caller asked for to the host.
func (t *tape[F]) results() error {
	p, q, n := t.layers.g.p, t.q, t.layers
	d := p.D
	if q.S != nil || q.SV != nil || q.SW != nil || q.SVW != nil {
		rows := make([]F, t.m*t.g*d)
		if err := n.download(rows, slot{"adjoint y", p.Output}); err != nil {
			return err
		}
		for c, dst := range [4][]F{q.S, q.SV, q.SW, q.SVW} {
			if dst == nil {
				continue
			}
			for i := range t.m {
				copy(dst[(t.lo+i)*d:(t.lo+i+1)*d], rows[(i*t.g+c)*d:])
			}
		}
	}
	if q.Grad == nil {
		return nil
	}
	return n.download(q.Grad[t.lo*d:(t.lo+t.m)*d], slot{"adjoint", 0})
}
