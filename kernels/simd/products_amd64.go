//go:build !noasm

package simd

import "unsafe"

type (
	// productFn computes mb blocks of R rows of one or two panels (kernels/_asm, product). Strides are in bytes. cm, am are from row to row, cp, bp from panel to
	// panel, ak, bk from step to step. mode says what sums start from. A sum is multiplied by d unless d is nil. next, stride, second, mask and jump, ask and first say
	// what is prefetched.
	productFn[F Float] func(c *F, cm, cp int, a *F, am, ak int, b *F, bp, bk int, bias *F, k, mode, mb int, d *F, next uintptr, stride, second int, ask *F, first, mask, jump, form int)

	// carryFn is productFn without d: while it sums a block it applies an activation to the block before, pr rows at prev, and
	// with the derivative writes that dd bytes further (kernels/_asm, carry). next, stride and second say what is prefetched.
	carryFn[F Float] func(c *F, cm, cp int, a *F, am, ak int, b *F, bp, bk int, bias *F, k, mode, mb int, prev *F, pr, dd int, next uintptr, stride, second int)

	// actFn applies an activation to rows of 64 bytes, gradFn with its derivative.
	actFn[F Float]  func(y *F, ym int, x *F, xm int, rows int)
	gradFn[F Float] func(y *F, ym int, d *F, dm int, x *F, xm int, rows int)

	// jetFn composes SiLU (act 0) or tanh (act 1) with n vectors of jets, whose coefficients are ld bytes apart.
	jetFn[F Float] func(x *F, ld, n, act int)
)

// productKernels are one instruction set's kernels for products of one element type, and the loops that call them.
type productKernels[F Float] struct {
	one, two []productFn[F] // by rows of a block; two panels at once where there are enough registers
	carry    carrier[F]
	act      [5]actFn[F] // by Act; nil: the definition in Go
	grad     [5]gradFn[F]
	fours    bool           // blocks of one panel run four steps at a time where their operands lie so
	lanes    int            // of a vector
	jet      [4][6]jetFn[F] // by dimension and order; nil: the definition in Go
}

// carrier holds the kernels that carry activations.
type carrier[F Float] struct {
	off    bool // not worth it on this machine
	panels int  // of a block
	by     [5]carried[F]
}

// carried are the kernels for one activation, by rows of a block; nil below the fewest worth it.
type carried[F Float] struct {
	steps    int // k steps to carry a row of a block
	of, grad []carryFn[F]
}

// A kernel cannot be preempted. These keep one call to about ten microseconds.
const (
	maxSteps = 1 << 15 // rows times k of a product call
	maxK     = 1 << 12
	maxRows  = 1 << 10 // rows of an activation call
	maxVecs  = 64      // vectors of a jet call
	tileRows = 240     // rows of C that pass through all panels before the next ones do
)

func at[F Float](s []F, i int) *F {
	if len(s) == 0 {
		return nil
	}
	return (*F)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(s)), i*int(unsafe.Sizeof(s[0]))))
}

func (t *productKernels[F]) product(q *Product[F]) {
	if !q.check() {
		return
	}
	rowsAhead := q.Next.Rows
	for m := 0; m < q.M; m += tileRows {
		rows := min(tileRows, q.M-m)
		p := t.carried(q, m, rows)
		for p < q.NP {
			np := 1
			if t.two != nil && p+1 < q.NP {
				np = 2
			}
			t.panels(q, p, np, m, rows, &rowsAhead)
			p += np
		}
	}
}

// Initial values of sums.
const (
	fromZero = iota
	fromBias
	fromC
	addToC // from zero, and the sum is added to C
)

// Where operands lie.
const (
	general = iota
	along   // B in whole panels, neighbours of A along the steps
	across  // B in whole panels, neighbours of A in neighbouring rows
)

// form says where operands lie for kernels that run four steps at a time.
func (q *Product[F]) form() int {
	switch {
	case q.BK != panel[F]():
		return general
	case q.AK == 1:
		return along
	case q.AM == 1:
		return across
	}
	return general
}

func (q *Product[F]) start() int {
	switch {
	case q.Accumulate:
		return fromC
	case q.Bias != nil:
		return fromBias
	}
	return fromZero
}

// largeD is the bytes of D for which activations come after each block: more than half of a second-level cache.
const largeD = 512 << 10

// activatesBlocks reports whether the activation of n rows comes after the sums of each block, and not of all rows of some panels. The block of D is in the first-level cache then, because the
// kernel of the sums has prefetched it. Where D is in a near cache anyway, or blocks are as small as AVX2's, the further calls take longer.
func (t *productKernels[F]) activatesBlocks(q *Product[F], n int) bool {
	return q.Ep == ActivateGrad && t.two != nil && n*q.CM*size[F]() > largeD
}

// panels computes n rows, first and on, of np panels from p on. The rows are cut into
// blocks as equal as can be. It lowers rowsAhead, the rows of q.Next that are not prefetched yet.
func (t *productKernels[F]) panels(q *Product[F], p, np, first, n int, rowsAhead *int) {
	sz, P := size[F](), panel[F]()
	fns := t.one
	if np == 2 {
		fns = t.two
	}
	most := len(fns) - 1
	blocks := (n + most - 1) / most
	R, larger := n/blocks, n%blocks // blocks of R rows, the first ones with one more
	form, each := general, 2        // steps between prefetches
	if t.fours && np == 1 {
		if form = q.form(); form != general {
			each = 4
		}
	}
	from := q.start()
	chunk := q.chunk()
	blockwise := t.activatesBlocks(q, n)
	for k, kn := 0, 0; k == 0 || k < q.K; k += max(1, kn) {
		var bi, d, ask *F
		if k > 0 {
			from = fromC
			if k%chunk == 0 {
				from = addToC
			}
		}
		kn = min(q.K-k, maxK, chunk-k%chunk)
		if from == fromBias {
			bi = at(q.Bias, p*P)
		}
		next := q.ahead(p, np, k+kn, kn/each, blocks, each, rowsAhead)
		row := first
		for _, g := range [2]struct{ rows, n int }{{R + 1, larger}, {R, blocks - larger}} {
			for left := g.n; left > 0; {
				mb := min(left, max(1, maxSteps/(g.rows*(kn+1))))
				activate := blockwise && k+kn == q.K
				if activate {
					mb = 1
				}
				c := row*q.CM + p*q.CP
				steps := kn
				if q.Ep == MulD && k+kn == q.K {
					d = at(q.D, c)
				}
				if array, o := q.later(c, c+g.rows*q.CM, k+kn, from); array != nil && kn >= 4 {
					ask, steps = at(array, o), kn/(2*each)*each
				}
				var a, b *F
				if kn > 0 {
					a, b = at(q.A, row*q.AM+k*q.AK), at(q.B, p*q.BP+k*q.BK)
				}
				fns[g.rows](at(q.C, c), sz*q.CM, sz*q.CP, a, sz*q.AM, sz*q.AK, b, sz*q.BP, sz*q.BK, bi, kn, from, mb, d, next.at, next.stride, next.second, ask, steps, next.mask, next.jump, form)
				if activate {
					for i := range np {
						t.finish(q, p+i, row, g.rows)
					}
				}
				left -= mb
				next.at += uintptr(mb * next.block)
				row += mb * g.rows
			}
		}
	}
	if !blockwise {
		for i := range np {
			t.finish(q, p+i, first, n)
		}
	}
}

// ahead is what a product prefetches while it sums: with every second step, or every fourth where it runs four at a time, the cache lines at the address at and second bytes further, after which the
// address grows by stride, and by jump where the steps left of the block have no bit of mask; by block with each block. Nothing is read there.
type ahead struct {
	at             uintptr
	stride, second int
	mask, jump     int
	block          int
}

// ahead is for a product of so many blocks of panels p, .., p+np-1 of B that prefetches so many times, with every each-th step. What is prefetched is the last rows of Next, whose
// number is lowered, or else the rows of these panels from k on, or, after the last, the first rows of the following panels. Rows of B that are not neighbouring cache lines are left alone.
func (q *Product[F]) ahead(p, np, k, times, blocks, each int, rows *int) ahead {
	if *rows > 0 && times >= 2 {
		return q.Next.ahead(times, blocks, each, rows)
	}
	if k >= q.K {
		k, p = 0, p+np
	}
	i := p*q.BP + k*q.BK
	if q.BK != panel[F]() || i >= len(q.B) || times == 0 {
		return ahead{at: uintptr(unsafe.Pointer(unsafe.SliceData(q.B)))}
	}
	length, second := 64*min(q.K-k, q.chunk()), size[F]()*q.BP
	if np == 1 { // both go through one panel
		length = (length/64 + 1) / 2 * 64
		second = length
	}
	stride := (length + blocks*times - 1) / (blocks * times)
	return ahead{at: uintptr(unsafe.Pointer(&q.B[i])), stride: stride, second: second, block: times * stride}
}

// ahead spreads the last rows of a region, of which so many are left, over blocks that prefetch so many times ≥ 2, with every each-th step. One address goes through the first half of the rows
// that the blocks have time for, the second through the other half. Of rows that are too long for that only the first lines are prefetched.
func (r *Region[F]) ahead(times, blocks, each int, left *int) ahead {
	sz := size[F]()
	row := 1 // times to a row: a power of two, so that a mask finds the last one
	for 2*row <= times/2 && row**left <= blocks*times {
		row *= 2
	}
	half := (min(*left, blocks*(times/row)*2) + 1) / 2
	first := (r.Rows - *left) * r.Ld
	*left -= min(*left, 2*half)
	stride := min(64, ((sz*r.Cols+63)/64*64+row-1)/row)
	return ahead{
		at: uintptr(unsafe.Pointer(&r.S[first])), stride: stride, second: half * r.Ld * sz,
		mask: each * (row - 1), jump: sz*r.Ld - row*stride, block: times / row * sz * r.Ld,
	}
}

// later is an array laid out as C that is prefetched in the middle of the sums of a block at c, and where in it the block's part begins: an operand of the epilogue or of the caller if k, the
// steps that are then done, is all, or C itself at the next block, where sums start from it.
func (q *Product[F]) later(c, next, k, from int) ([]F, int) {
	switch last := k == q.K; {
	case last && (q.Ep == MulD || q.Ep == ActivateGrad):
		return q.D, c
	case last && len(q.Ask) > c:
		return q.Ask, c
	case from == fromC && next < len(q.C):
		return q.C, next
	}
	return nil, 0
}

// carried computes as many panels of rows m.. as it can with the activation of each block carried by the next, and
// returns their number.
func (t *productKernels[F]) carried(q *Product[F], m, rows int) int {
	y := &t.carry
	fns := y.by[q.Act].of
	if q.Ep == ActivateGrad {
		fns = y.by[q.Act].grad
	} else if q.Ep != Activate {
		return 0
	}
	if y.off || fns == nil || q.NP < y.panels {
		return 0
	}
	most := len(fns) - 1
	blocks := (rows + most - 1) / most
	R, larger := rows/blocks, rows%blocks
	last := q.lastSteps()
	steps := most * y.by[q.Act].steps
	if fns[R] == nil || last < steps {
		return 0
	}
	sz, P := size[F](), panel[F]()
	first := t.one
	if y.panels == 2 {
		first = t.two
	}
	k := q.K - last
	from := q.start()
	switch {
	case k == 0:
	case k%q.chunk() == 0:
		from = addToC
	default:
		from = fromC
	}
	dd := 0
	if q.Ep == ActivateGrad {
		dd = int(uintptr(unsafe.Pointer(unsafe.SliceData(q.D))) - uintptr(unsafe.Pointer(unsafe.SliceData(q.C))))
	}
	prev, prevRows, none := 0, 0, 0 // the block that waits for its activation
	p := 0
	for ; p+y.panels <= q.NP; p += y.panels {
		if k > 0 { // the sums of the steps that come before
			before := *q
			before.K, before.Ep = k, Plain
			t.panels(&before, p, y.panels, m, rows, &none)
		}
		var bi *F
		if from == fromBias {
			bi = at(q.Bias, p*P)
		}
		b := at(q.B, p*q.BP+k*q.BK)
		next := q.ahead(p, y.panels, q.K, (last-steps)/2, blocks, 2, &none)
		row := m
		for _, g := range [2]struct{ rows, n int }{{R + 1, larger}, {R, blocks - larger}} {
			for left := g.n; left > 0; {
				mb := 1
				o := row*q.CM + p*q.CP
				c, a := at(q.C, o), at(q.A, row*q.AM+k*q.AK)
				if prevRows == 0 {
					first[g.rows](c, sz*q.CM, sz*q.CP, a, sz*q.AM, sz*q.AK, b, sz*q.BP, sz*q.BK, bi, last, from, mb, nil, next.at, 0, 0, nil, last, 0, 0, general)
				} else {
					mb = min(left, max(1, maxSteps/(g.rows*last)))
					fns[g.rows](c, sz*q.CM, sz*q.CP, a, sz*q.AM, sz*q.AK, b, sz*q.BP, sz*q.BK, bi, last, from, mb, at(q.C, prev), prevRows, dd, next.at, next.stride, next.second)
					next.at += uintptr(mb * next.block)
				}
				left -= mb
				row += mb * g.rows
				prev, prevRows = o+(mb-1)*g.rows*q.CM, g.rows
			}
		}
	}
	for i := range y.panels {
		c, n := at(q.C, prev+i*q.CP), prevRows
		if q.Ep == Activate {
			t.act[q.Act](c, sz*q.CM, c, sz*q.CM, n)
		} else {
			t.grad[q.Act](c, sz*q.CM, at(q.D, prev+i*q.CP), sz*q.CM, c, sz*q.CM, n)
		}
	}
	return p
}

// lastSteps is the steps of the last call of a kernel for a block.
func (q *Product[F]) lastSteps() int {
	if q.K == 0 {
		return 0
	}
	return ((q.K-1)%q.chunk())%maxK + 1
}

// finish applies the activation, if there is one, to rows m.. of panel p.
func (t *productKernels[F]) finish(q *Product[F], p, m, rows int) {
	switch q.Ep {
	case Plain, MulD:
		return
	}
	sz, P := size[F](), panel[F]()
	for i := m; i < m+rows; i += maxRows {
		n := min(maxRows, m+rows-i)
		o := i*q.CM + p*q.CP
		c := at(q.C, o)
		switch {
		case q.Ep == Activate && t.act[q.Act] != nil:
			t.act[q.Act](c, sz*q.CM, c, sz*q.CM, n)
		case q.Ep == ActivateGrad && t.grad[q.Act] != nil:
			t.grad[q.Act](c, sz*q.CM, at(q.D, o), sz*q.CM, c, sz*q.CM, n)
		default:
			for r := range n {
				c := q.C[o+r*q.CM:][:P]
				for j, v := range c {
					y, d := eval(q.Act, v)
					c[j] = y
					if q.Ep == ActivateGrad {
						q.D[o+r*q.CM+j] = d
					}
				}
			}
		}
	}
}

// jets is Impl.Jet32 or Jet64. The units left after whole vectors go through a padded copy.
func (t *productKernels[F]) jets(f Act, x []F, ld, w, dim, order int) {
	checkJet(f, x, ld, w, dim, order)
	if f == Identity {
		return
	}
	act := 0
	if f == Tanh {
		act = 1
	}
	if f == GELU || f == GELUTanh || dim >= len(t.jet) || order >= len(t.jet[0]) || t.jet[dim][order] == nil {
		jetGeneric(f, x, ld, w, dim, order)
		return
	}
	fn, sz, V := t.jet[dim][order], size[F](), t.lanes
	full := w - w%V
	for j := 0; j < full; j += maxVecs * V {
		fn(at(x, j), sz*ld, min(maxVecs, (full-j)/V), act)
	}
	if full == w {
		return
	}
	n := NJet(dim, order)
	pad := make([]F, n*V)
	for i := range n {
		copy(pad[i*V:(i+1)*V], x[i*ld+full:i*ld+w])
	}
	fn(&pad[0], sz*V, 1, act)
	for i := range n {
		copy(x[i*ld+full:i*ld+w], pad[i*V:])
	}
}
