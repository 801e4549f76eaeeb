package cpu

import "math"

// RMSNorm is y = weight·x̂ with x̂ = x/√(mean(x²) + ε) over the channels of each position of x [N, P, C].
type RMSNorm struct {
	N, P, C int
	Eps     float64
	Weight  []float32 // [N, C]
}

func (l *RMSNorm) check(op string, xs ...[]float32) {
	checkChannels(op, l.N, l.P, l.C, xs...)
	want(op, "weight", len(l.Weight), l.N*l.C)
}

// inverse is 1/√(mean(x²) + ε) of one position.
func (l *RMSNorm) inverse(x []float32) float32 {
	s := 0.0
	for _, v := range x {
		s += float64(v) * float64(v)
	}
	return float32(1 / math.Sqrt(s/float64(len(x))+l.Eps))
}

// Forward writes y [N, P, C], which may be x.
func (l *RMSNorm) Forward(t *Team, y, x []float32) {
	l.check("RMSNorm", y, x)
	perSample(t, l.N, l.P, l.C, func(_, n, lo, hi int) {
		w := vector(l.Weight, n, l.C)
		for ; lo < hi; lo += l.C {
			row, out := x[lo:lo+l.C], y[lo:lo+l.C]
			r := l.inverse(row)
			for j, v := range row {
				out[j] = w[j] * (v * r)
			}
		}
	})
}

// Backward computes the gradients of ⟨dy, y⟩: dx [N, P, C], which may be dy or x, and dweight [N, C].
func (l *RMSNorm) Backward(t *Team, dx, dweight, dy, x []float32) {
	l.check("RMSNorm.Backward", dx, dy, x)
	want("RMSNorm.Backward", "dweight", len(dweight), l.N*l.C)
	b := blocks(l.P, l.C)
	q := newPhased(t, l.N)
	parts, back := borrow[float32](&pool32, q.slots*b*l.C)
	defer pool32.Put(back)
	at := func(slot, i int) []float32 { return parts[(slot*b+i)*l.C:][:l.C] }
	q.run(phase{b, func(_, slot, n, i int) {
		lo, hi := block(l.P, l.C, i)
		clear(at(slot, i))
		l.backward(dx, dy, x, vector(l.Weight, n, l.C), at(slot, i), n*l.P*l.C+lo, n*l.P*l.C+hi)
	}}, phase{1, func(_, slot, n, _ int) {
		addParts(vector(dweight, n, l.C), parts[slot*b*l.C:(slot+1)*b*l.C])
	}})
}

// backward does so for the positions lo … hi of one sample, and adds to sum.
func (l *RMSNorm) backward(dx, dy, x, w, sum []float32, lo, hi int) {
	for ; lo < hi; lo += l.C {
		row, g, out := x[lo:lo+l.C], dy[lo:lo+l.C], dx[lo:lo+l.C]
		r := l.inverse(row)
		slope := 0.0
		for j, v := range row {
			slope += float64(v*r) * float64(g[j]*w[j])
		}
		mean := float32(slope / float64(l.C))
		for j, v := range row {
			xhat, d := v*r, g[j]
			out[j] = r * (d*w[j] - xhat*mean)
			sum[j] += d * xhat
		}
	}
}
