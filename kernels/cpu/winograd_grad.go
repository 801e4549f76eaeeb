package cpu

import "hbar/kernels/simd"

// winogradChunk is the elements of the transformed inputs and output gradients that the team shares at a time.
const winogradChunk = 1 << 19

// sums is the elements of the sums of the weights' gradient.
func (g *winograd) sums() int { return 16 * oddLines(g.Out*g.In) }

// backwardW sums the products of transformed inputs and transformed output gradients over the tiles of all samples, in
// their order, in the transform domain: sums [16][Out][In], the strides of components as oddLines says. A chunk of tiles is transformed by the whole team, then the
// team shares the products.
func (g *winograd) backwardW(t *Team, sums, dy []float32, lddy int, x []float32, ldx, n int, accumulate bool) {
	all := n * g.tiles()
	if all == 0 && !accumulate {
		clear(sums[:g.sums()])
	}
	chunk := min(all, max(sumRows, winogradChunk/(16*(g.In+oddLines(g.Out)))/sumRows*sumRows))
	s := t.Shared(16 * (oddLines(chunk*g.In) + oddLines(chunk*oddLines(g.Out))))
	for lo := 0; lo < all; lo += chunk {
		g.chunk(t, sums, s, dy, lddy, x, ldx, lo, min(all, lo+chunk), accumulate || lo > 0)
	}
}

// transformTiles is the tiles that a task transforms.
const transformTiles = 16

func (g *winograd) chunk(t *Team, sums, s, dy []float32, lddy int, x []float32, ldx, lo, hi int, accumulate bool) {
	m, in, out := hi-lo, g.In, g.Out
	ldz := oddLines(out)
	vs, zs, ss := oddLines(m*in), oddLines(m*ldz), oddLines(out*in) // strides of components
	v, z := s[:16*vs], s[16*vs:]                                    // [16][panels][tiles][16] and [16][tiles][ldz]
	t.Run((m+transformTiles-1)/transformTiles, func(_, task int) {
		from := lo + task*transformTiles
		g.runs(from, min(hi, from+transformTiles), func(sample, a, b int) {
			first := sample*g.tiles() + a - lo
			t.Impl.WinogradInput(v[first*lanes:], vs, lanes, m*lanes, x[sample*g.H*g.W*ldx:], ldx, g.patch[16*a:16*b], in/lanes)
			t.Impl.WinogradOutputGrad(z[first*ldz:], zs, ldz, lanes, dy[sample*g.outH*g.outW*lddy:], lddy, g.pixel[4*a:4*b], out/lanes)
		})
	})
	strips := (out + 4*stripRows - 1) / (4 * stripRows)
	t.Run(16*strips, func(_, task int) {
		xi, o := task/strips, task%strips*4*stripRows
		end := min(out, o+4*stripRows)
		r := simd.Product[float32]{CM: in, CP: lanes, AM: 1, AK: ldz, BP: m * lanes, BK: lanes, NP: in / lanes, Accumulate: accumulate}
		for k := 0; k < m; k += sumRows {
			r.K, r.B = min(sumRows, m-k), v[xi*vs+k*lanes:]
			for o := o; o < end; o += stripRows {
				r.M, r.A, r.C = min(stripRows, end-o), z[xi*zs+k*ldz+o:], sums[xi*ss+o*in:]
				t.Impl.Product32(&r)
			}
			r.Accumulate = true
		}
	})
}

// finishW transforms the sums back.
func (g *winograd) finishW(t *Team, dw, sums []float32, accumulate bool) {
	const rows = 8
	t.Run((g.Out+rows-1)/rows, func(_, task int) {
		for o := task * rows; o < min(g.Out, (task+1)*rows); o++ {
			t.Impl.WinogradWeightsGrad(dw[o*9*g.In:], g.In, sums[o*g.In:], oddLines(g.Out*g.In), g.In/lanes, accumulate)
		}
	})
}
