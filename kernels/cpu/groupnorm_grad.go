package cpu

import "hbar/kernels/simd"

// GroupNormGrad says where Backward puts its results. Nil fields are not computed, except that DX is needed.
type GroupNormGrad struct {
	DX             []float32 // [N, P, C]; may be dy, not x
	DAdd           []float32 // [N, C]: the gradient in Add
	DWeight, DBias []float32 // [C]
	Accumulate     bool      // add to DWeight and DBias
}

// Backward computes the gradients of ⟨dy, y⟩ from x and the statistics that Forward wrote. A parameter's gradient is
// the sum of the samples' in their order, each rounded to float32, so micro-batches give the same bits.
//
// With dz = dy·f'(z) and x̂ = (u - μ) r: dx = r(w dz - ⟨w dz⟩ - x̂⟨w dz x̂⟩), the means ⟨·⟩ over a group.
func (g *GroupNorm) Backward(t *Team, o GroupNormGrad, dy, x, stats []float32) {
	g.check("GroupNorm.Backward", stats, o.DX, dy, x)
	want("GroupNorm.Backward", "stats", len(stats), g.StatsLen())
	if o.DAdd != nil {
		want("GroupNorm.Backward", "dadd", len(o.DAdd), g.N*g.C)
	}
	if g.P == 0 {
		clear(o.DAdd)
	}
	q := newPhased(t, g.N)
	b := g.newBackward(q, t.Impl, stats)
	defer b.free()
	var params []float32
	if o.DWeight != nil || o.DBias != nil {
		p, back := borrow[float32](&pool32, 2*g.N*g.C)
		defer pool32.Put(back)
		clear(p)
		params = p
	}
	if g.P > 0 {
		q.run(b.start(), b.sums(g.Act, o.DX, dy, x), b.finish(params), b.apply(o.DX, x, o.DAdd != nil), b.add(o.DAdd))
	}
	if o.DWeight != nil {
		sumSamples(t, o.DWeight, params, g.N, g.C, 2*g.C, o.Accumulate)
	}
	if o.DBias != nil {
		sumSamples(t, o.DBias, params[min(g.C, len(params)):], g.N, g.C, 2*g.C, o.Accumulate)
	}
}

// backward holds what each phase of a sample leaves for the next.
type backward struct {
	*GroupNorm
	im     *simd.Impl
	stats  []float32
	buf    []float32 // [slot]: coefficients m, a, b, and a', b', c' of dx = dz·a' + (x - m)·b' + c'; then sums by blocks
	back   *[]float32
	blocks int
}

func (g *GroupNorm) newBackward(q phased, im *simd.Impl, stats []float32) *backward {
	b := &backward{GroupNorm: g, im: im, stats: stats, blocks: blocks(g.P, g.C)}
	b.buf, b.back = borrow[float32](&pool32, q.slots*b.slot())
	return b
}

func (b *backward) slot() int { return (6 + 2*b.blocks) * b.C }

func (b *backward) free() { pool32.Put(b.back) }

// vec is vector i of a slot.
func (b *backward) vec(slot, i int) []float32 { return b.buf[slot*b.slot()+i*b.C:][:b.C] }

func (b *backward) coef(slot int) normCoef {
	return normCoef{b.vec(slot, 0), b.vec(slot, 1), b.vec(slot, 2)}
}

// start restores the coefficients of the norm from the statistics.
func (b *backward) start() phase {
	return phase{1, func(_, slot, n, _ int) {
		for j := range b.Groups {
			b.groupCoef(b.coef(slot), n, j, [3]float32(b.stats[3*(n*b.Groups+j):]))
		}
	}}
}

// sums writes dz to dx and sums dz and dz·(x - m) over each block of positions.
func (b *backward) sums(f simd.Act, dx, dy, x []float32) phase {
	size := b.P * b.C
	return phase{b.blocks, func(_, slot, n, i int) {
		lo, hi := block(b.P, b.C, i)
		lo, hi = lo+n*size, hi+n*size
		k := b.coef(slot)
		s0, s1 := b.vec(slot, 6+2*i), b.vec(slot, 7+2*i)
		clear(s0)
		clear(s1)
		b.im.AffineGrad(f, dx[lo:hi], dy[lo:hi], x[lo:hi], k.m, k.a, k.b, s0, s1)
	}}
}

// total is the sum of a channel over the blocks of a slot, of dz (which 0) or dz·(x - m) (which 1).
func (b *backward) total(slot, which, c int) (s float64) {
	v := b.buf[slot*b.slot():]
	for i := range b.blocks {
		s += float64(v[(6+2*i+which)*b.C+c])
	}
	return s
}

// finish computes the coefficients of dx, and the sample's share of the gradients in weight and bias, [N, 2, C].
func (b *backward) finish(params []float32) phase {
	w := b.C / b.Groups
	count := float64(b.P) * float64(w)
	return phase{1, func(_, slot, n, _ int) {
		for j := range b.Groups {
			st := [3]float32(b.stats[3*(n*b.Groups+j):])
			r := float64(st[2])
			var g0, g1 float64
			for c := j * w; c < (j+1)*w; c++ {
				_, d := b.center(n, c, st)
				s0 := b.total(slot, 0, c)
				s1 := r * (b.total(slot, 1, c) - d*s0) // Σ dz·x̂
				g0 += float64(b.Weight[c]) * s0
				g1 += float64(b.Weight[c]) * s1
				if params != nil {
					params[2*n*b.C+c], params[(2*n+1)*b.C+c] = float32(s1), float32(s0)
				}
			}
			g0, g1 = g0/count, g1/count
			for c := j * w; c < (j+1)*w; c++ {
				_, d := b.center(n, c, st)
				b.vec(slot, 3)[c] = float32(float64(b.Weight[c]) * r)
				b.vec(slot, 4)[c] = float32(-r * r * g1)
				b.vec(slot, 5)[c] = float32(r*r*g1*d - r*g0)
			}
		}
	}}
}

// apply turns dz into dx, and with sums sums it over each block of positions.
func (b *backward) apply(dx, x []float32, sums bool) phase {
	size := b.P * b.C
	return phase{b.blocks, func(_, slot, n, i int) {
		lo, hi := block(b.P, b.C, i)
		lo, hi = lo+n*size, hi+n*size
		b.im.Combine(dx[lo:hi], dx[lo:hi], x[lo:hi], b.vec(slot, 3), b.vec(slot, 0), b.vec(slot, 4), b.vec(slot, 5))
		if sums {
			s := b.vec(slot, 6+2*i)
			clear(s)
			b.im.ColumnSums(s, dx[lo:hi])
		}
	}}
}

// add sums dx over all positions.
func (b *backward) add(dadd []float32) phase {
	return phase{1, func(_, slot, n, _ int) {
		if dadd == nil {
			return
		}
		for c := range b.C {
			dadd[n*b.C+c] = float32(b.total(slot, 0, c))
		}
	}}
}
