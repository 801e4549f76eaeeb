package learn

import (
	"fmt"

	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/kernels/simd"
)

// runTile is the first phase for rows [lo, hi) of the batch.
func (w *worker) runTile(t *Trainer, lo, hi int) {
	n := hi - lo
	w.fill(t, lo, hi)
	for _, l := range t.layers {
		w.forward(t, l, lo, n)
	}
	w.loss(t, lo, n)
	for i := range t.prog.Backward {
		if in := &t.prog.Backward[i]; in.Op != kernels.BackParams {
			w.backward(t, in, lo, n)
		}
	}
}

// rows is the buffer from row lo of the batch.
func rows(b *buffer, local []float32, lo int) []float32 {
	if b.kept {
		return b.batch[lo*b.ld:]
	}
	return local
}

func (w *worker) fwdRows(t *Trainer, b, lo int) []float32  { return rows(&t.fwd[b], w.fwd[b], lo) }
func (w *worker) gradRows(t *Trainer, b, lo int) []float32 { return rows(&t.grad[b], w.grad[b], lo) }

// fill draws the tile and writes the network's input.
func (w *worker) fill(t *Trainer, lo, hi int) {
	p, n := t.prog, hi-lo
	f := p.Time.Width()
	w.tile = fit.Tile{Step: t.step, Lo: t.first + lo, Hi: t.first + hi, Worker: w.id, X: w.x[:n*p.D], Tau: w.tau[:n], Target: w.target[:n*p.D],
		Weight: w.weight[:n], Features: w.features[:n*f]}
	t.source.Fill(&w.tile)
	in, ld := w.fwdRows(t, 0, lo), t.fwd[0].ld
	for i := range n {
		row := in[i*ld:][:p.D+f]
		x := w.tile.X[i*p.D:]
		for j := range p.D { // a few columns: copy would cost a call
			row[j] = x[j]
		}
		switch {
		case w.tile.HasFeatures:
			copy(row[p.D:], w.tile.Features[i*f:])
		case p.Time.Freqs == nil:
			row[p.D] = float32(w.tile.Tau[i])
		default:
			p.Time.Fill(row[p.D:], w.tile.Tau[i])
		}
	}
}

func (w *worker) forward(t *Trainer, l *layer, lo, n int) {
	src, dst := &t.fwd[l.src], &t.fwd[l.dst]
	a, c := w.fwdRows(t, l.src, lo), w.fwdRows(t, l.dst, lo)
	if l.head { // the bias is multiplied by the column of ones
		t.opt.Impl.Head32(c, a, src.ld, t.param[l.off:], l.bias, n, l.rows, l.out)
		return
	}
	q := &w.product
	*q = simd.Product[float32]{C: c, CM: dst.ld, CP: lanes, A: a, AM: src.ld, AK: 1,
		B: t.param[l.off:], BP: lanes * l.rows, BK: lanes, Bias: l.bias, M: n, K: l.in, NP: pad(l.out) / lanes}
	if l.act != simd.Identity {
		q.Ep, q.Act, q.D = simd.ActivateGrad, l.act, w.slope[l.dst]
	}
	t.opt.Impl.Product32(q)
	if l.add >= 0 {
		add, ld := w.fwdRows(t, l.add, lo), t.fwd[l.add].ld
		for i := range n {
			t.opt.Impl.Update(c[i*dst.ld:][:l.out], add[i*ld:], nil, nil, &sum)
		}
	}
}

// sum makes Update x += s.
var sum = [8]float32{1, 1}

// loss sums w |net − target|² over each chunk of the tile and writes ∂loss/∂net = 2/(nD) w (net − target).
func (w *worker) loss(t *Trainer, lo, n int) {
	d := t.prog.D
	out, ld := w.fwdRows(t, t.prog.Output, lo), t.fwd[t.prog.Output].ld
	g, gld := w.gradRows(t, t.prog.LossGrad, lo), t.grad[t.prog.LossGrad].ld
	scale := 2 / float32(float64(t.total)*float64(d))
	for first := 0; first < n; first += chunkRows {
		last := min(n, first+chunkRows)
		total := 0.0
		for i := first; i < last; i++ {
			c := w.tile.Weight[i]
			s := 0.0
			y, target, gr := out[i*ld:][:d], w.tile.Target[i*d:][:d], g[i*gld:][:d]
			for j, v := range y {
				e := v - target[j]
				s += float64(e) * float64(e)
				gr[j] = scale * c * e
			}
			total += float64(c) * s
		}
		chunk := (lo + first) / chunkRows
		t.chunkLoss[chunk], t.chunkErr[chunk] = total, nil
		if !finite(total) {
			t.chunkErr[chunk] = w.blame(t, lo, first, last)
		}
	}
}

func (w *worker) backward(t *Trainer, in *kernels.BackInstr, lo, n int) {
	src, dst := &t.grad[in.Src], &t.grad[in.Dst]
	a, c := w.gradRows(t, in.Src, lo), w.gradRows(t, in.Dst, lo)
	q := &w.product
	*q = simd.Product[float32]{C: c, CM: dst.ld, CP: lanes, M: n, NP: pad(dst.width) / lanes}
	from := -1
	if in.Op == kernels.BackInput {
		l := t.byWeight[in.W]
		q.A, q.AM, q.AK, q.K = a, src.ld, 1, l.out
		if l.head {
			q.B, q.BP, q.BK = t.param[l.off:], lanes, l.rows
		} else {
			q.B, q.BP, q.BK = l.back, lanes*l.out, lanes
		}
		from = in.Add
	} else {
		from = in.Src
	}
	if from >= 0 {
		add, ld := w.gradRows(t, from, lo), t.grad[from].ld
		for i := range n {
			copy(c[i*dst.ld:][:dst.width], add[i*ld:])
		}
		q.Accumulate = true
	}
	if in.Act >= 0 && w.slope[in.Act] != nil {
		q.Ep, q.D = simd.MulD, w.slope[in.Act]
	}
	t.opt.Impl.Product32(q)
}

// blame returns an error with the first value of rows [first, last) of the tile that is not finite.
func (w *worker) blame(t *Trainer, lo, first, last int) error {
	d := t.prog.D
	find := func(what string, row func(i int) []float32) error {
		for i := first; i < last; i++ {
			for j, v := range row(i) {
				if !finite(float64(v)) {
					return fmt.Errorf("%s of row %d, column %d is %v", what, lo+i, j, v)
				}
			}
		}
		return nil
	}
	in, width, inLd := w.fwdRows(t, 0, lo), t.fwd[0].width, t.fwd[0].ld
	out, ld := w.fwdRows(t, t.prog.Output, lo), t.fwd[t.prog.Output].ld
	for _, v := range []struct {
		what string
		row  func(i int) []float32
	}{
		{"the network's input", func(i int) []float32 { return in[i*inLd:][:width] }},
		{"the target", func(i int) []float32 { return w.tile.Target[i*d:][:d] }},
		{"the weight", func(i int) []float32 { return w.tile.Weight[i:][:1] }},
		{"the network's output", func(i int) []float32 { return out[i*ld:][:d] }},
	} {
		if err := find(v.what, v.row); err != nil {
			return err
		}
	}
	return fmt.Errorf("the squared errors of rows %d to %d are too large", lo+first, lo+last-1)
}
