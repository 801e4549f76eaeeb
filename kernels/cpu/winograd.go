package cpu

import "hbar/kernels/simd"

// winograd computes a convolution 3×3 with stride 1 by Winograd's F(2×2, 3×3): 16 products of channels for each tile of
// 2×2 output pixels in place of 36. Tiles are numbered through the batch, so that small images share a product.
// Channels are multiples of 16.
type winograd struct {
	ConvShape
	outH, outW int
	tilesY     int // of an image
	tilesX     int
	patch      []int32   // 16 input pixels of each tile of an image, -1 outside
	pixel      []int32   // 4 output pixels
	fwd        []float32 // weights, see winogradGroup
	bwd        *winograd // the gradient in x, a convolution of the same sort
}

// winogradGroup is the panels of outputs whose sums a task keeps at a time. Transformed weights are laid out
// [groups][16][panels of the group][inputs][16 outputs].
const winogradGroup = 4

// winogradFloats is the elements of the transformed inputs of a block of tiles.
const winogradFloats = 96 << 10

// winogradChain is the longest chain of additions in a product. The output transform adds up rounding errors of 16 products,
// and short chains keep a convolution as accurate as one with direct sums.
const winogradChain = 64

// winogradSuits reports whether a shape is computed this way: where it takes clearly fewer multiplications, those of tiles
// that reach over the edge included.
func winogradSuits(s ConvShape) bool {
	if s.KH != 3 || s.KW != 3 || s.Stride != 1 || s.In%lanes != 0 || s.Out%lanes != 0 || s.Left > 2 || s.Right > 2 || s.Top > 2 || s.Bottom > 2 {
		return false
	}
	h, w := s.OutH(), s.OutW()
	return 16*((h+1)/2)*((w+1)/2)*5 <= 9*h*w*4
}

func newWinograd(s ConvShape) *winograd {
	g := newWinogradForward(s)
	b := s
	b.H, b.W, b.In, b.Out = g.outH, g.outW, s.Out, s.In
	b.Left, b.Right, b.Top, b.Bottom = 2-s.Left, 2-s.Right, 2-s.Top, 2-s.Bottom
	g.bwd = newWinogradForward(b)
	return g
}

func newWinogradForward(s ConvShape) *winograd {
	g := &winograd{ConvShape: s, outH: s.OutH(), outW: s.OutW()}
	g.tilesY, g.tilesX = (g.outH+1)/2, (g.outW+1)/2
	for ty := range g.tilesY {
		for tx := range g.tilesX {
			for i := range 16 {
				g.patch = append(g.patch, pixelAt(2*ty-s.Top+i/4, 2*tx-s.Left+i%4, s.H, s.W))
			}
			for i := range 4 {
				g.pixel = append(g.pixel, pixelAt(2*ty+i/2, 2*tx+i%2, g.outH, g.outW))
			}
		}
	}
	return g
}

// pixelAt is the index of a pixel, -1 outside of the image.
func pixelAt(y, x, h, w int) int32 {
	if y < 0 || y >= h || x < 0 || x >= w {
		return -1
	}
	return int32(y*w + x)
}

func (g *winograd) bytes() (forward, backward int) { return 4 * g.packed(), 4 * g.bwd.packed() }

// packed is the elements of the transformed weights.
func (g *winograd) packed() int {
	at, stride := g.panel((g.Out/lanes - 1) / winogradGroup * winogradGroup)
	return at + 16*stride
}

// tiles is the number of tiles of an image.
func (g *winograd) tiles() int { return g.tilesY * g.tilesX }

// panel is the position of output panel p in the transformed weights, and the stride between components there.
func (g *winograd) panel(p int) (at, stride int) {
	group, in := p/winogradGroup, p%winogradGroup
	panel := g.In * lanes
	stride = oddLines(min(winogradGroup, g.Out/lanes-group*winogradGroup) * panel)
	return group*16*oddLines(winogradGroup*panel) + in*panel, stride
}

// setForward transforms w [Out, 3, 3, In], in blocks of 16×16 channels, and transposes the blocks.
func (g *winograd) setForward(t *Team, w []float32) {
	if g.fwd == nil {
		g.fwd = aligned(g.packed())
	}
	t.Run(g.Out/lanes, func(worker, p int) {
		const block = lanes*lanes + lanes
		s := t.Scratch(worker, 16*block)
		at, stride := g.panel(p)
		for c := 0; c < g.In; c += lanes {
			t.Impl.WinogradWeights(s, block, lanes, w[p*lanes*9*g.In+c:], g.In, 9*g.In, lanes, false)
			t.Impl.Transpose16(g.fwd[at+c*lanes:], stride, lanes, s, block, lanes, 16)
		}
	})
}

// setBackward transforms the same weights, with the kernel flipped and inputs and outputs exchanged.
func (g *winograd) setBackward(t *Team, w []float32) {
	b := g.bwd
	if b.fwd == nil {
		b.fwd = aligned(b.packed())
	}
	t.Run(b.Out/lanes, func(_, p int) {
		at, stride := b.panel(p)
		t.Impl.WinogradWeights(b.fwd[at:], stride, lanes, w[p*lanes:], g.In, 9*g.In, g.Out, true)
	})
}

// runs calls f for the parts of tiles [lo, hi) of the batch that lie in one sample: local tiles [a, b).
func (g *winograd) runs(lo, hi int, f func(sample, a, b int)) {
	per := g.tiles()
	for lo < hi {
		s := lo / per
		end := min(hi, (s+1)*per)
		f(s, lo-s*per, end-s*per)
		lo = end
	}
}

// Tiles of a block.
const (
	fewestTiles = 24 // in a block: two blocks of rows of a product
	mostTiles   = 192
)

// cut is how the work on n tiles is divided among the workers: blocks of tiles and, where there are few, groups of panels.
func (g *winograd) cut(n, workers int) (block, blocks, groups, count int) {
	block = min(mostTiles, max(fewestTiles, winogradFloats/(16*g.In)))
	blocks = (n + block - 1) / block
	groups, count = (g.Out/lanes+winogradGroup-1)/winogradGroup, 1
	if workers == 1 || n >= fewestTiles*workers {
		blocks = (blocks + workers - 1) / workers * workers
	} else {
		all := groups
		groups = max(1, all*blocks/(2*workers))
		count = (all + groups - 1) / groups
	}
	block = (n + blocks - 1) / blocks
	return block, (n + block - 1) / block, groups, count
}

// forward convolves n samples.
func (g *winograd) forward(t *Team, y []float32, ldy int, x []float32, ldx, n int, e *Epilogue) {
	if g.fwd == nil {
		panic("cpu: Conv before its weights were set")
	}
	if e == nil {
		e = &Epilogue{}
	}
	all := n * g.tiles()
	block, blocks, groups, count := g.cut(all, t.Workers())
	panels := g.Out / lanes
	step := groups * winogradGroup
	t.Run(blocks*count, func(w, task int) {
		lo, p := task/count*block, task%count*step
		j := winogradJob{winograd: g, im: t.Impl, y: y, ldy: ldy, e: e}
		j.block(t, w, x, ldx, lo, min(all, lo+block), p, min(panels, p+step))
	})
}

// winogradJob is a forward pass.
type winogradJob struct {
	*winograd
	im  *simd.Impl
	y   []float32
	ldy int
	e   *Epilogue
}

// block computes tiles [lo, hi) of the batch for output panels [p, q).
func (j *winogradJob) block(t *Team, w int, x []float32, ldx, lo, hi, p, q int) {
	m, in := hi-lo, j.In
	wide := min(winogradGroup, q-p) * lanes
	vs, ms := oddLines(m*in), oddLines(m*wide) // strides of components
	s := t.Scratch(w, 16*(vs+ms)+5*wide)
	v, sums, bias := s[:16*vs], s[16*vs:][:16*ms], s[16*(vs+ms):]
	j.runs(lo, hi, func(sample, a, b int) {
		first := sample*j.tiles() + a - lo
		j.im.WinogradInput(v[first*in:], vs, in, lanes, x[sample*j.H*j.W*ldx:], ldx, j.patch[16*a:16*b], in/lanes)
	})
	r := simd.Product[float32]{CM: wide, CP: lanes, AM: in, AK: 1, BP: lanes * in, BK: lanes, M: m, K: in, Chunk: winogradChain}
	for ; p < q; p += winogradGroup {
		r.NP = min(winogradGroup, q-p)
		at, stride := j.panel(p)
		for xi := range 16 {
			r.A, r.B, r.C = v[xi*vs:], j.fwd[at+xi*stride:], sums[xi*ms:]
			j.im.Product32(&r)
		}
		j.runs(lo, hi, func(sample, a, b int) {
			first := sample*j.tiles() + a - lo
			j.output(sample, a, b, sums[first*wide:], ms, wide, p, r.NP, bias)
		})
	}
}

// output stores tiles [a, b) of a sample for np output panels from p on.
func (j *winogradJob) output(sample, a, b int, sums []float32, ms, mt, p, np int, row []float32) {
	e, o, width := j.e, p*lanes, np*lanes
	pixels := j.outH * j.outW
	var bias []float32
	switch {
	case e.Bias != nil && e.SampleBias != nil:
		bias = row[:width]
		j.im.Add(bias, e.Bias[o:][:width], e.SampleBias[sample*e.SampleLd+o:][:width])
	case e.Bias != nil:
		bias = e.Bias[o:]
	case e.SampleBias != nil:
		bias = e.SampleBias[sample*e.SampleLd+o:]
	}
	y := j.y[sample*pixels*j.ldy+o:]
	if e.Act == simd.Identity && e.Pre == nil && (e.Residual == nil || !e.Accumulate) {
		r, ldr := y, j.ldy
		switch {
		case e.Residual != nil:
			r, ldr = e.Residual[sample*pixels*e.ResidualLd+o:], e.ResidualLd
		case !e.Accumulate:
			r = nil
		}
		j.im.WinogradOutput(y, j.ldy, j.pixel[4*a:4*b], sums, ms, mt, lanes, bias, r, ldr, np)
		return
	}
	// The values before the activation are written to e.Pre or to a row of scratch, four pixels of a tile at a time.
	pre := row[width:][:4*width]
	var four [4]int32
	for i := a; i < b; i++ {
		pix := j.pixel[4*i:][:4]
		for k, q := range pix {
			four[k] = int32(k)
			if q < 0 {
				four[k] = -1
			}
		}
		j.im.WinogradOutput(pre, width, four[:], sums[(i-a)*mt:], ms, mt, lanes, bias, nil, 0, np)
		f := *e
		f.SampleBias = nil
		for k, q := range pix {
			if q >= 0 {
				f.finish(j.im, y[int(q)*j.ldy:], pre[k*width:][:width], sample*pixels+int(q), o)
			}
		}
	}
}
