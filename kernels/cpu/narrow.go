package cpu

import "hbar/kernels/simd"

// narrow computes a convolution with stride 1 to a few channels, which would leave most of a panel of outputs empty. A
// product finds for each input pixel what it contributes through each tap of the kernel, KH·KW·Out numbers; an output is
// the sum of those of the pixels under its kernel, tap by tap.
type narrow struct {
	ConvShape
	outH, outW int
	dense      *Dense // from In to KH·KW·Out
}

// narrowSuits reports whether a shape is computed this way: where it takes clearly fewer multiplications.
func narrowSuits(s ConvShape) bool {
	taps := s.KH * s.KW
	for _, p := range [4][2]int{{s.Left, s.KW}, {s.Right, s.KW}, {s.Top, s.KH}, {s.Bottom, s.KH}} {
		if p[0] < 0 || p[0] >= p[1] { // or some outputs have no pixel under their kernel; negative: a flipped kernel
			return false
		}
	}
	return s.Stride == 1 &&
		4*roundUp(taps*s.Out)*s.H*s.W <= 3*taps*roundUp(s.Out)*s.OutH()*s.OutW()
}

// newNarrow plans a convolution, or with flipped its gradient in x, which is a convolution with the flipped kernel.
func newNarrow(s ConvShape, flipped bool) *narrow {
	if flipped {
		b := s
		b.H, b.W, b.In, b.Out = s.OutH(), s.OutW(), s.Out, s.In
		b.Left, b.Right, b.Top, b.Bottom = s.KW-1-s.Left, s.KW-1-s.Right, s.KH-1-s.Top, s.KH-1-s.Bottom
		s = b
	}
	return &narrow{ConvShape: s, outH: s.OutH(), outW: s.OutW(), dense: NewDense(s.In, s.KH*s.KW*s.Out)}
}

func (g *narrow) bytes() int {
	b, _ := g.dense.Bytes()
	return b
}

// set takes the weights w [Out, KH, KW, In].
func (g *narrow) set(t *Team, w []float32) {
	taps := g.KH * g.KW
	m := t.Shared(taps * g.Out * g.In)
	for o := range g.Out {
		for k := range taps {
			copy(m[(k*g.Out+o)*g.In:][:g.In], w[(o*taps+k)*g.In:])
		}
	}
	g.dense.SetForward(t, m)
}

// setFlipped takes the weights w [In, KH, KW, Out] of the convolution whose gradient this is.
func (g *narrow) setFlipped(t *Team, w []float32) {
	taps := g.KH * g.KW
	m := t.Shared(taps * g.Out * g.In)
	for i := range g.In {
		for k := range taps {
			for o := range g.Out {
				m[((taps-1-k)*g.Out+o)*g.In+i] = w[(i*taps+k)*g.Out+o]
			}
		}
	}
	g.dense.SetForward(t, m)
}

// forward computes the outputs in bands of rows. The contributions of a pixel do not depend on the band.
func (g *narrow) forward(t *Team, y []float32, ldy int, x []float32, ldx, n int, e *Epilogue) {
	if g.dense.fwd == nil {
		panic("cpu: Conv before its weights were set")
	}
	bands := 1
	if want := tasksWanted * t.Workers(); n < want && t.Workers() > 1 {
		bands = min(max(1, g.outH/4), (want+n-1)/n)
	}
	most := max(1, tileFloats/(roundUp(g.dense.Out)*g.W)) // input rows whose contributions are bounded memory
	bands = max(bands, (g.outH+most-1)/most)
	rows := (g.outH + bands - 1) / bands
	bands = (g.outH + rows - 1) / rows
	t.Run(n*bands, func(w, task int) {
		lo := task % bands * rows
		g.band(t, w, y, ldy, x[task/bands*g.H*g.W*ldx:], ldx, task/bands, lo, min(g.outH, lo+rows), e)
	})
}

// band computes output rows [lo, hi) of the image x, the batch's number sample.
func (g *narrow) band(t *Team, w int, y []float32, ldy int, x []float32, ldx, sample, lo, hi int, e *Epilogue) {
	from, to := max(0, lo-g.Top), min(g.H, hi-g.Top+g.KH-1) // input rows that matter
	ld := roundUp(g.dense.Out)
	s := t.Scratch(w, (to-from)*g.W*ld+g.Out)
	parts, sum := s[:(to-from)*g.W*ld], s[(to-from)*g.W*ld:]
	t.Impl.Product32(&simd.Product[float32]{C: parts, CM: ld, CP: lanes, A: x[from*g.W*ldx:], AM: ldx, AK: 1, B: g.dense.fwd,
		BP: lanes * g.In, BK: lanes, M: (to - from) * g.W, K: g.In, NP: ld / lanes, Chunk: chain})
	for oy := lo; oy < hi; oy++ {
		for ox := range g.outW {
			clear(sum)
			if e != nil && e.Bias != nil {
				copy(sum, e.Bias)
			}
			for ky := range g.KH {
				iy := oy - g.Top + ky
				if iy < 0 || iy >= g.H {
					continue
				}
				for kx := range g.KW {
					ix := ox - g.Left + kx
					if ix < 0 || ix >= g.W {
						continue
					}
					for o, v := range parts[((iy-from)*g.W+ix)*ld+(ky*g.KW+kx)*g.Out:][:g.Out] {
						sum[o] += v
					}
				}
			}
			row := (sample*g.outH+oy)*g.outW + ox
			e.finish(t.Impl, y[row*ldy:], sum, row, 0)
		}
	}
}
