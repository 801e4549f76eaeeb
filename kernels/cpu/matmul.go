package cpu

import "hbar/kernels/simd"

// job is a product of rows by packed weights, Y = A B with an epilogue.
type job struct {
	in, out int
	b       []float32 // panels [⌈out/16⌉][in][16]
	y       []float32
	ldy     int
	rows    int
	e       *Epilogue

	// source gives rows [lo, hi) of A with their stride: a view of them, or s, filled, whose length is
	// gathered·(hi-lo).
	source   func(s []float32, lo, hi int) (a []float32, ld int)
	gathered int // elements of a row that source writes; 0: it gives views

	// rowAt returns where the sums of a row are stored; nil: in row i of y.
	rowAt func(row int) (y []float32)
}

// chain is the largest number of terms that are added one after another. Rounding errors grow with its square root.
const chain = 256

// Sizes of a task.
const (
	tileFloats  = 96 << 10 // elements of A in a tile of rows: three eighths of a second-level cache of one megabyte
	mostRows    = 240      // of a tile
	fewestRows  = 24
	tasksWanted = 4 // for each worker, where there are many rows
	groupTasks  = 8 // for each worker, where panels can be divided at no cost: with fewer a worker waits longer for a slower one
)

// tiles cuts rows into tiles of a size that suits sums over in elements: as equal as can be, multiples of 12 but the last. With small there are enough of them for all
// workers.
func tiles(rows, in, workers int, small bool) (size, count int) {
	size = min(mostRows, max(fewestRows, tileFloats/in))
	if most := rows / (tasksWanted * workers); small && most < size && workers > 1 {
		size = max(fewestRows, most)
	}
	count = (rows + size - 1) / size
	size = (rows + count - 1) / count
	if size > 12 {
		size = (size + 11) / 12 * 12
	}
	count = (rows + size - 1) / size
	return size, count
}

// groups cuts panels into groups so that there are as many tasks as wanted, if there are several workers.
func groups(panels, tiles, workers, wanted int) (size, count int) {
	if workers == 1 || tiles >= wanted {
		return panels, 1
	}
	count = min((panels+1)/2, (wanted+tiles-1)/tiles)
	size = (panels + count - 1) / count
	size += size & 1
	return size, (panels + size - 1) / size
}

// matmul runs a job. A sum over in elements has the order of the elements, whatever the tiles.
func matmul(t *Team, j *job) {
	panels := roundUp(j.out) / lanes
	// Each tile reads all weights that its task has, and each group of panels all rows.
	rows, nr := tiles(j.rows, j.in, t.Workers(), j.gathered > 0 || j.rows >= j.out)
	wanted := groupTasks * t.Workers()
	if j.gathered > 0 { // each task gathers its rows
		wanted = 2 * t.Workers()
	}
	np, ng := groups(panels, nr, t.Workers(), wanted)
	t.Run(nr*ng, func(w, task int) {
		lo, p := task/ng*rows, task%ng*np
		j.tile(t, w, lo, min(j.rows, lo+rows), p, min(panels, p+np))
	})
}

// groupPanels is the panels of a tile whose sums stay in the second-level cache until the epilogue is done with them.
const groupPanels = 16

// tile computes rows [lo, hi) of panels [p, q).
func (j *job) tile(t *Team, w, lo, hi, p, q int) {
	m, e := hi-lo, j.e
	whole := min(q, j.out/lanes) // panels from here on go through scratch
	if j.rowAt != nil || e != nil && e.Accumulate && !e.plain() {
		whole = p
	}
	width := (q - whole) * lanes // of a row of sums in scratch
	scratch := t.Scratch(w, m*j.gathered+m*max(0, width))
	a, lda := j.source(scratch[:m*j.gathered], lo, hi)
	r := simd.Product[float32]{A: a, AM: lda, AK: 1, BP: lanes * j.in, BK: lanes, M: m, K: j.in, CP: lanes, Chunk: chain}
	for p < whole {
		r.B, r.NP = j.b[p*lanes*j.in:], whole-p
		if !e.plain() {
			r.NP = min(r.NP, groupPanels)
		}
		j.store(t.Impl, r, lo, p)
		p += r.NP
	}
	if p >= q {
		return
	}
	sums := scratch[m*j.gathered:]
	r.C, r.CM, r.B, r.NP = sums, width, j.b[p*lanes*j.in:], q-p
	t.Impl.Product32(&r)
	o, n := p*lanes, min(j.out, q*lanes)-p*lanes
	for i := range m {
		var y []float32
		if j.rowAt != nil {
			y = j.rowAt(lo + i)[o:]
		} else {
			y = j.y[(lo+i)*j.ldy+o:]
		}
		s := sums[i*width:][:n]
		if e != nil && e.Bias != nil {
			t.Impl.Add(s, s, e.Bias[o:][:n])
		}
		if e.pairs() {
			e.finishPair(t.Impl, y, s, (lo+i)*j.ldy+o)
			continue
		}
		e.finish(t.Impl, y, s, lo+i, o)
	}
}

// store runs a product and stores its sums, whole panels from p on, in y.
func (j *job) store(im *simd.Impl, r simd.Product[float32], lo, p int) {
	e, o, n := j.e, p*lanes, r.NP*lanes
	r.C, r.CM = j.y[lo*j.ldy+o:], j.ldy
	if e == nil {
		im.Product32(&r)
		return
	}
	if e.Bias != nil {
		r.Bias = e.Bias[o:]
	}
	r.Accumulate = e.Accumulate
	if e.Residual != nil && e.ResidualLd == j.ldy {
		r.Ask = e.Residual[lo*j.ldy+o:]
	}
	act := e.Act
	switch {
	case e.Pre != nil:
		r.C, r.CM = e.Pre[lo*e.PreLd+o:], e.PreLd
	case e.times != nil:
		r.Ep, r.D = simd.MulD, e.times[lo*j.ldy+o:]
	case e.Slope != nil:
		r.Ep, r.Act, r.D = simd.ActivateGrad, act, e.Slope[lo*j.ldy+o:]
		act = simd.Identity
	case e.SampleBias == nil && act != simd.Identity:
		r.Ep, r.Act = simd.Activate, act
		act = simd.Identity
	}
	im.Product32(&r)
	if e.plain() {
		return
	}
	for i := range r.M {
		s, y := r.C[i*r.CM:][:n], j.y[(lo+i)*j.ldy+o:][:n]
		if e.SampleBias != nil {
			im.Add(s, s, e.SampleBias[(lo+i)/e.SampleRows*e.SampleLd+o:][:n])
		}
		if act != simd.Identity || e.Pre != nil {
			im.Act32(act, y, nil, s)
		}
		e.residual(im, y, lo+i, o)
	}
}

// outer is a gradient of weights, dw = dyᵀ A, a sum over rows.
type outer struct {
	o, i       int // rows and columns of dw
	dw         []float32
	lddw       int
	rows       int
	accumulate bool
	dy         []float32
	lddy       int

	// source gives rows [lo, hi) of columns [col, col+n) of A with their stride: a view of them, or s, filled.
	source   func(s []float32, lo, hi, col, n int) (a []float32, ld int)
	gathered bool // source fills
	step     int  // columns of a task are a multiple of it; 0: lanes
}

const (
	sumRows    = 128 // rows of a product for weights: two panels of them stay in the first-level cache
	outerRows  = 192 // of dw in a task
	outerCols  = 384
	packedRows = 48 // of dw for which two panels of A are worth packing
	stripRows  = 24 // of dw in a product: the columns of A that they take stay in the first-level cache while all panels pass
)

// oddLines is a row stride of at least n elements that is an odd number of cache lines: rows then fall into all sets of a
// cache.
func oddLines(n int) int { return roundUp(n) | lanes }

func (g *outer) run(t *Team) {
	step := g.step
	if step == 0 {
		step = lanes
	}
	no := (g.o + outerRows - 1) / outerRows
	units := (g.i + step - 1) / step
	nc := max(1, min(units, (g.i+outerCols-1)/outerCols))
	if want := 2 * t.Workers(); no*nc < want && t.Workers() > 1 {
		if g.i >= g.o {
			nc = max(nc, min((units+1)/2, (want+no-1)/no))
			if step > lanes {
				nc = max(nc, min(units, (want+no-1)/no))
			}
		} else {
			no = max(no, min((g.o+stripRows-1)/stripRows, (want+nc-1)/nc))
		}
	}
	block := (g.o + no - 1) / no
	if block > stripRows {
		block = (block + stripRows - 1) / stripRows * stripRows
	}
	no = (g.o + block - 1) / block
	per := (units + nc - 1) / nc
	nc = (units + per - 1) / per
	t.Run(no*nc, func(w, task int) {
		o, c := task/nc*block, task%nc*per*step
		g.block(t, w, o, min(block, g.o-o), c, min(per*step, g.i-c))
	})
}

// block computes rows [o, o+no) and columns [c, c+nc) of dw.
func (g *outer) block(t *Team, w, o, no, c, nc int) {
	wide, full := roundUp(nc), nc/lanes
	tail := wide - full*lanes // 0 or lanes
	gather := 0
	if g.gathered {
		gather = sumRows * wide
	}
	ldy := oddLines(no)
	s := t.Scratch(w, gather+sumRows*(ldy+2*lanes+tail)+tail*no)
	a, s := s[:gather], s[gather:]
	pair, s := s[:2*lanes*sumRows], s[2*lanes*sumRows:]
	dy, s := s[:sumRows*ldy], s[sumRows*ldy:]
	x, sums := s[:sumRows*tail], s[sumRows*tail:]
	dw := g.dw[o*g.lddw+c:]
	r := simd.Product[float32]{AM: 1, AK: ldy, Accumulate: g.accumulate}
	if g.rows == 0 && !g.accumulate {
		for k := range no {
			clear(dw[k*g.lddw:][:nc])
		}
	}
	if tail > 0 && g.accumulate {
		for k := range no {
			copy(sums[k*lanes:][:lanes], dw[k*g.lddw+full*lanes:k*g.lddw+nc])
		}
	}
	for lo := 0; lo < g.rows; lo += sumRows {
		hi := min(g.rows, lo+sumRows)
		n := hi - lo
		for k := range n {
			copy(dy[k*ldy:][:no], g.dy[(lo+k)*g.lddy+o:])
		}
		src, ld := g.source(a, lo, hi, c, nc)
		if tail > 0 {
			t.Impl.Pack(x, src[full*lanes:], ld, n, nc-full*lanes)
		}
		r.K = n
		strips := full // panels that products take as they are
		if no >= packedRows {
			strips = 0
			for p := 0; p < full; p += 2 {
				r.NP = min(2, full-p)
				t.Impl.Pack(pair, src[p*lanes:], ld, n, r.NP*lanes)
				r.Next = g.next(src, ld, lo, hi, o, no, p, full)
				r.M, r.A, r.B, r.BP, r.BK, r.C, r.CM, r.CP = no, dy, pair, lanes*n, lanes, dw[p*lanes:], g.lddw, lanes
				t.Impl.Product32(&r)
			}
			r.Next = simd.Region[float32]{}
		}
		for m := 0; m < no; m += stripRows {
			r.M, r.A = min(stripRows, no-m), dy[m:]
			if strips > 0 {
				r.B, r.BP, r.BK, r.C, r.CM, r.CP, r.NP = src, lanes, ld, dw[m*g.lddw:], g.lddw, lanes, strips
				t.Impl.Product32(&r)
			}
			if tail > 0 {
				r.B, r.BP, r.BK, r.C, r.CM, r.CP, r.NP = x, lanes, lanes, sums[m*lanes:], lanes, lanes, 1
				t.Impl.Product32(&r)
			}
		}
		r.Accumulate = true
	}
	if tail > 0 && g.rows > 0 {
		for k := range no {
			copy(dw[k*g.lddw+full*lanes:k*g.lddw+nc], sums[k*lanes:])
		}
	}
}

// next is what the products of panels p and p+1 of rows [lo, hi) prefetch, so that copies of it do not wait for memory. Every other two panels it is columns of A in memory, src: of
// the four panels after the next two, or the first four of the rows behind. Between these it is parts of the following rows of dy.
func (g *outer) next(src []float32, ld, lo, hi, o, no, p, full int) (r simd.Region[float32]) {
	rows := min(g.rows, 2*hi-lo) - hi // that follow
	if i := p / 4; p%4 != 0 {
		parts := (full + 1) / 4
		cols := (no + parts - 1) / parts
		if rows > 0 && i*cols < no {
			r = simd.Region[float32]{S: g.dy[hi*g.lddy+o+i*cols:], Ld: g.lddy, Rows: rows, Cols: min(cols, no-i*cols)}
		}
		return r
	}
	if g.gathered {
		return r
	}
	first := p + 4
	if first < full {
		return simd.Region[float32]{S: src[first*lanes:], Ld: ld, Rows: hi - lo, Cols: min(4, full-first) * lanes}
	}
	if rows > 0 {
		r = simd.Region[float32]{S: src[(hi-lo)*ld:], Ld: ld, Rows: rows, Cols: min(4, full) * lanes}
	}
	return r
}
