package cpu

// im2col computes a convolution of any shape as a product. The rows of A are gathered a tile at a time: the pixels under
// the kernel, in the order of the weights, with zeros outside of the image.
type im2col struct {
	ConvShape
	outH, outW int
	fwd        *Dense     // from KH·KW·In to Out
	residues   []*residue // of the gradient in x
}

// residue is the gradient in the pixels y ≡ y0, x ≡ x0 modulo the stride. Output pixels reach them through those taps of
// the kernel that agree with them, always the same ones: a convolution with stride 1.
type residue struct {
	y0, x0, h, w int   // first pixel, pixels in both directions
	ky, kx       []int // taps in both directions
	b            []float32
}

func newIm2col(s ConvShape) *im2col {
	g := &im2col{ConvShape: s, outH: s.OutH(), outW: s.OutW(), fwd: NewDense(s.KH*s.KW*s.In, s.Out)}
	agree := func(at, pad, k int) (taps []int) {
		for i := (at + pad) % s.Stride; i < k; i += s.Stride {
			taps = append(taps, i)
		}
		return taps
	}
	for y := range min(s.Stride, s.H) {
		for x := range min(s.Stride, s.W) {
			g.residues = append(g.residues, &residue{y0: y, x0: x, h: (s.H - y + s.Stride - 1) / s.Stride, w: (s.W - x + s.Stride - 1) / s.Stride,
				ky: agree(y, s.Top, s.KH), kx: agree(x, s.Left, s.KW)})
		}
	}
	return g
}

func (g *im2col) bytes() (forward, backward int) {
	forward, _ = g.fwd.Bytes()
	for _, p := range g.residues {
		backward += 4 * len(p.ky) * len(p.kx) * g.Out * roundUp(g.In)
	}
	return forward, backward
}

// setBackward packs the taps of each residue: panels of input channels, [⌈In/16⌉][taps][Out][16].
func (g *im2col) setBackward(t *Team, w []float32) {
	panels := roundUp(g.In) / lanes
	tap := g.Out * lanes
	for _, p := range g.residues {
		taps := len(p.ky) * len(p.kx)
		if p.b == nil {
			p.b = aligned(panels * taps * tap)
		}
		t.Run(panels, func(_, q int) {
			i := q * taps
			for _, ky := range p.ky {
				for _, kx := range p.kx {
					t.Impl.Pack(p.b[i*tap:][:tap], w[(ky*g.KW+kx)*g.In+q*lanes:], g.KH*g.KW*g.In, g.Out, min(lanes, g.In-q*lanes))
					i++
				}
			}
		})
	}
}

func (g *im2col) forward(t *Team, y []float32, ldy int, x []float32, ldx, n int, e *Epilogue) {
	if g.fwd.fwd == nil {
		panic("cpu: Conv.Forward before SetForward")
	}
	k := g.fwd.In
	matmul(t, &job{in: k, out: g.Out, b: g.fwd.fwd, y: y, ldy: ldy, rows: n * g.outH * g.outW, e: e, gathered: k,
		source: func(s []float32, lo, hi int) ([]float32, int) {
			g.gather(s, x, ldx, lo, hi, 0, g.KH)
			return s, k
		}})
}

// gather writes for the output pixels [lo, hi) of the batch the input pixels under rows [ky0, ky1) of the kernel.
func (g *im2col) gather(s, x []float32, ldx, lo, hi, ky0, ky1 int) {
	oy, ox := lo/g.outW%g.outH, lo%g.outW
	image := x[lo/(g.outH*g.outW)*g.H*g.W*ldx:]
	for range hi - lo {
		for ky := ky0; ky < ky1; ky++ {
			iy := oy*g.Stride - g.Top + ky
			if iy < 0 || iy >= g.H {
				clear(s[:g.KW*g.In])
				s = s[g.KW*g.In:]
				continue
			}
			ix := ox*g.Stride - g.Left
			if ldx == g.In && ix >= 0 && ix+g.KW <= g.W {
				copy(s[:g.KW*g.In], image[(iy*g.W+ix)*ldx:])
				s = s[g.KW*g.In:]
				continue
			}
			for kx := range g.KW {
				if i := ix + kx; i < 0 || i >= g.W {
					clear(s[:g.In])
				} else {
					copy(s[:g.In], image[(iy*g.W+i)*ldx:])
				}
				s = s[g.In:]
			}
		}
		if ox++; ox == g.outW {
			ox = 0
			if oy++; oy == g.outH {
				oy = 0
				image = image[min(len(image), g.H*g.W*ldx):]
			}
		}
	}
}

func (g *im2col) backwardX(t *Team, dx []float32, lddx int, dy []float32, lddy, n int, accumulate bool) {
	e := &Epilogue{Accumulate: accumulate}
	for _, p := range g.residues {
		if p.b == nil {
			panic("cpu: Conv.BackwardX before SetBackward")
		}
		size := p.h * p.w
		at := func(row int) (s, y, x int) {
			return row / size, p.y0 + row/p.w%p.h*g.Stride, p.x0 + row%p.w*g.Stride
		}
		k := len(p.ky) * len(p.kx) * g.Out
		if k == 0 {
			for row := 0; row < n*size && !accumulate; row++ {
				i, y, x := at(row)
				clear(dx[((i*g.H+y)*g.W+x)*lddx:][:g.In])
			}
			continue
		}
		j := &job{in: k, out: g.In, b: p.b, y: dx, ldy: lddx, rows: n * size, e: e, gathered: k,
			source: func(s []float32, lo, hi int) ([]float32, int) {
				a := s
				for row := lo; row < hi; row++ {
					i, y, x := at(row)
					for _, ky := range p.ky {
						oy := (y + g.Top - ky) / g.Stride
						for _, kx := range p.kx {
							ox := (x + g.Left - kx) / g.Stride
							if y+g.Top < ky || x+g.Left < kx || oy >= g.outH || ox >= g.outW {
								clear(s[:g.Out])
							} else {
								copy(s[:g.Out], dy[((i*g.outH+oy)*g.outW+ox)*lddy:])
							}
							s = s[g.Out:]
						}
					}
				}
				return a, k
			}}
		if g.Stride > 1 {
			j.rowAt = func(row int) []float32 {
				i, y, x := at(row)
				return dx[((i*g.H+y)*g.W+x)*lddx:]
			}
		}
		matmul(t, j)
	}
}

// backwardW sums over the output pixels of all samples in their order. A task takes whole rows of the kernel.
func (g *im2col) backwardW(t *Team, dw, dy []float32, lddy int, x []float32, ldx, n int, accumulate bool) {
	k := g.KW * g.In
	o := &outer{o: g.Out, i: g.KH * k, dw: dw, lddw: g.KH * k, rows: n * g.outH * g.outW, accumulate: accumulate,
		dy: dy, lddy: lddy, gathered: true, step: k,
		source: func(s []float32, lo, hi, col, cols int) ([]float32, int) {
			g.gather(s, x, ldx, lo, hi, col/k, (col+cols)/k)
			return s, cols
		}}
	o.run(t)
}
