package cpu

// LayerNorm is a layer norm over the channels of each position of x [N, P, C], with x̂ = (x - μ)/√(σ² + ε) and the
// biased variance σ². It is followed either by a modulation of each sample, y = x̂(1 + scale) + shift, or by weights
// and biases, y = x̂·weight + bias, or by nothing.
type LayerNorm struct {
	N, P, C      int
	Eps          float64
	Scale, Shift []float32 // [N, C], both or neither
	Weight, Bias []float32 // [C], both or neither
}

func (l *LayerNorm) check(op string, xs ...[]float32) {
	checkChannels(op, l.N, l.P, l.C, xs...)
	switch {
	case l.Scale != nil && l.Weight != nil:
		panic("cpu: " + op + ": a modulation and weights at once")
	case l.Scale != nil:
		want(op, "scale", len(l.Scale), l.N*l.C)
		want(op, "shift", len(l.Shift), l.N*l.C)
	case l.Weight != nil:
		want(op, "weight", len(l.Weight), l.C)
		want(op, "bias", len(l.Bias), l.C)
	}
}

// factors are the vectors a and b of y = x̂·a + b; scratch of the worker where they are not the layer's own.
func (l *LayerNorm) factors(t *Team, worker, n int) (a, b []float32) {
	switch {
	case l.Scale != nil:
		return plusOne(t, worker, vector(l.Scale, n, l.C)), vector(l.Shift, n, l.C)
	case l.Weight != nil:
		return l.Weight[:l.C], l.Bias
	}
	s := t.Scratch(worker, 2*l.C)
	for i := range l.C {
		s[i], s[l.C+i] = 1, 0
	}
	return s[:l.C], s[l.C:]
}

// Forward writes y [N, P, C], which may be x.
func (l *LayerNorm) Forward(t *Team, y, x []float32) {
	l.check("LayerNorm", y, x)
	im := t.Impl
	perSample(t, l.N, l.P, l.C, func(worker, n, lo, hi int) {
		a, b := l.factors(t, worker, n)
		im.LayerNorm(y[lo:hi], x[lo:hi], a, b, float32(l.Eps))
	})
}

// LayerNormGrad says where Backward puts its results. Nil fields are not computed, except that DX is needed.
type LayerNormGrad struct {
	DX             []float32 // [N, P, C]; may be dy or x
	DScale, DShift []float32 // [N, C]: written
	DWeight, DBias []float32 // [C]: written, or with Accumulate added to
	Accumulate     bool
}

// Backward computes the gradients of ⟨dy, y⟩. A parameter's gradient is the sum of the samples' in their order, each
// rounded to float32, so micro-batches give the same bits.
func (l *LayerNorm) Backward(t *Team, o LayerNormGrad, dy, x []float32) {
	l.check("LayerNorm.Backward", o.DX, dy, x)
	scale, shift := o.DScale, o.DShift
	var both []float32
	if l.Weight != nil && (o.DWeight != nil || o.DBias != nil) {
		s, back := borrow[float32](&pool32, 2*l.N*l.C)
		defer pool32.Put(back)
		both = s
		scale, shift = both[:l.N*l.C], both[l.N*l.C:]
	}
	l.backward(t, o.DX, dy, x, scale, shift)
	if both != nil && o.DWeight != nil {
		SumSamples(t, o.DWeight, scale, l.N, l.C, o.Accumulate)
	}
	if both != nil && o.DBias != nil {
		SumSamples(t, o.DBias, shift, l.N, l.C, o.Accumulate)
	}
}

// backward writes dx, and to scale and shift [N, C], unless they are nil, the sums over positions of dy·x̂ and dy.
func (l *LayerNorm) backward(t *Team, dx, dy, x, scale, shift []float32) {
	im := t.Impl
	c, b := l.C, blocks(l.P, l.C)
	q := newPhased(t, l.N)
	parts, back := borrow[float32](&pool32, 2*q.slots*b*c)
	defer pool32.Put(back)
	at := func(slot, which, i int) []float32 { return parts[((2*slot+which)*b+i)*c:][:c] }
	q.run(phase{b, func(worker, slot, n, i int) {
		lo, hi := block(l.P, c, i)
		lo, hi = lo+n*l.P*c, hi+n*l.P*c
		a, _ := l.factors(t, worker, n)
		if scale == nil && shift == nil {
			im.LayerNormGrad(dx[lo:hi], dy[lo:hi], x[lo:hi], a, nil, nil, float32(l.Eps))
			return
		}
		s0, s1 := at(slot, 0, i), at(slot, 1, i)
		clear(s0)
		clear(s1)
		im.LayerNormGrad(dx[lo:hi], dy[lo:hi], x[lo:hi], a, s0, s1, float32(l.Eps))
	}}, phase{1, func(_, slot, n, _ int) {
		if scale != nil {
			addParts(vector(scale, n, c), parts[2*slot*b*c:(2*slot+1)*b*c])
		}
		if shift != nil {
			addParts(vector(shift, n, c), parts[(2*slot+1)*b*c:(2*slot+2)*b*c])
		}
	}})
}
