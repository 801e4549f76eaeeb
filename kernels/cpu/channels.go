package cpu

import "hbar/kernels/simd"

// Layers with a vector of channels for each sample: arrays are [N, P, C], vectors [N, C]. P is the number of positions.

// perSample calls f for the blocks of positions of all samples; lo and hi are elements of the whole array.
func perSample(t *Team, n, p, c int, f func(worker, sample, lo, hi int)) {
	b := blocks(p, c)
	t.Run(n*b, func(worker, task int) {
		s := task / b
		lo, hi := block(p, c, task%b)
		f(worker, s, s*p*c+lo, s*p*c+hi)
	})
}

// vector is sample n's part of an array of vectors.
func vector(v []float32, n, c int) []float32 { return v[n*c : (n+1)*c] }

// plusOne writes 1 + scale to worker's scratch.
func plusOne(t *Team, worker int, scale []float32) []float32 {
	s := t.Scratch(worker, len(scale))
	for i, v := range scale {
		s[i] = 1 + v
	}
	return s
}

// GatedAdd writes y = x + gate·z. The gradient in x is dy, that in z ScaleChannels of dy by gate, and that in gate
// ChannelSums of dy·z.
func GatedAdd(t *Team, y, x, z, gate []float32, n, p, c int) {
	checkChannels("GatedAdd", n, p, c, y, x, z)
	want("GatedAdd", "gate", len(gate), n*c)
	im := t.Impl
	perSample(t, n, p, c, func(_, s, lo, hi int) { im.Gate(y[lo:hi], x[lo:hi], z[lo:hi], vector(gate, s, c)) })
}

// ScaleChannels writes y = x·a.
func ScaleChannels(t *Team, y, x, a []float32, n, p, c int) {
	checkChannels("ScaleChannels", n, p, c, y, x)
	want("ScaleChannels", "a", len(a), n*c)
	im := t.Impl
	perSample(t, n, p, c, func(_, s, lo, hi int) {
		im.Affine(simd.Identity, y[lo:hi], x[lo:hi], nil, vector(a, s, c), nil)
	})
}

// AddChannels writes y = x + b. The gradient in b is ChannelSums of dy.
func AddChannels(t *Team, y, x, b []float32, n, p, c int) {
	checkChannels("AddChannels", n, p, c, y, x)
	want("AddChannels", "b", len(b), n*c)
	im := t.Impl
	perSample(t, n, p, c, func(worker, s, lo, hi int) {
		one := t.Scratch(worker, c)
		for i := range one {
			one[i] = 1
		}
		im.Affine(simd.Identity, y[lo:hi], x[lo:hi], nil, one, vector(b, s, c))
	})
}

// Broadcast writes b to every position of y.
func Broadcast(t *Team, y, b []float32, n, p, c int) {
	checkChannels("Broadcast", n, p, c, y)
	want("Broadcast", "b", len(b), n*c)
	perSample(t, n, p, c, func(_, s, lo, hi int) {
		for i := lo; i < hi; i += c {
			copy(y[i:i+c], b[s*c:])
		}
	})
}

// ChannelSums writes to s [N, C] the sums over positions of x. Mean over positions is its product with 1/P.
func ChannelSums(t *Team, s, x []float32, n, p, c int) {
	checkChannels("ChannelSums", n, p, c, x)
	channelTotals(t, s, n, p, c, func(sum []float32, lo, hi int) { t.Impl.ColumnSums(sum, x[lo:hi]) })
}

// channelTotals adds up, in float64, what f sums over each block of positions.
func channelTotals(t *Team, s []float32, n, p, c int, f func(sum []float32, lo, hi int)) {
	want("ChannelSums", "s", len(s), n*c)
	b := blocks(p, c)
	q := newPhased(t, n)
	parts, back := borrow[float32](&pool32, q.slots*b*c)
	defer pool32.Put(back)
	q.run(phase{b, func(_, slot, n, i int) {
		lo, hi := block(p, c, i)
		sum := parts[(slot*b+i)*c:][:c]
		clear(sum)
		f(sum, n*p*c+lo, n*p*c+hi)
	}}, phase{1, func(_, slot, n, _ int) { addParts(vector(s, n, c), parts[slot*b*c:(slot+1)*b*c]) }})
}

// addParts adds up rows of len(s) in float64.
func addParts(s, parts []float32) {
	c := len(s)
	for j := range s {
		sum := 0.0
		for i := j; i < len(parts); i += c {
			sum += float64(parts[i])
		}
		s[j] = float32(sum)
	}
}

// SumSamples writes to g [W] the sum over samples of x [N, W], or with accumulate adds it: a gradient of a parameter
// that all samples share. Samples are added in their order, in float32, so that a batch in parts gives the same bits.
func SumSamples(t *Team, g, x []float32, n, w int, accumulate bool) {
	want("SumSamples", "x", len(x), n*w)
	want("SumSamples", "g", len(g), w)
	sumSamples(t, g, x, n, w, w, accumulate)
}

// sumSamples is SumSamples with rows of x ld elements apart.
func sumSamples(t *Team, g, x []float32, n, w, ld int, accumulate bool) {
	im := t.Impl
	flat(t, w, func(lo, hi int) {
		if !accumulate {
			clear(g[lo:hi])
		}
		for s := range n {
			im.Add(g[lo:hi], g[lo:hi], x[s*ld+lo:s*ld+hi])
		}
	})
}

func checkChannels(op string, n, p, c int, xs ...[]float32) {
	for _, x := range xs {
		want(op, "an array", len(x), n*p*c)
	}
}
