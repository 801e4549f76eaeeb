package infer

import "hbar/kernels/simd"

// times are the time features of a tile: either one time for all samples, with its row of the time table, or (bias nil) the features
// of each sample.
type times[F simd.Float] struct {
	bias []F // timeLD: b + W_τ φ(τ) of each layer on the input
	feat []F // tf, or m×tf
}

// of returns the features of sample i.
func (t times[F]) of(i, tf int) []F {
	if t.bias != nil {
		i = 0
	}
	return t.feat[i*tf : (i+1)*tf]
}

// shared returns the effective biases and features of one time, and nothing for times of each sample.
func (n *net[F]) shared(tau []float64) times[F] {
	if len(tau) != 1 {
		return times[F]{}
	}
	w := n.get(0)
	defer n.pool.Put(w)
	t := times[F]{bias: aligned[F](n.timeLD), feat: aligned[F](n.tf)}
	n.features(t.feat, tau[0])
	n.timeTable(w, t.bias, t.feat, 1)
	return t
}

// tileTimes returns the times of samples lo to hi: those shared, or made from tau in w.
func (n *net[F]) tileTimes(w *work[F], shared times[F], tau []float64, lo, hi int) times[F] {
	if shared.bias != nil {
		return shared
	}
	w.feat = grow(w.feat, (hi-lo)*n.tf)
	for i := range hi - lo {
		n.features(w.feat[i*n.tf:(i+1)*n.tf], tau[lo+i])
	}
	return times[F]{feat: w.feat}
}

// timeTable writes r rows of effective biases from r rows of features.
func (n *net[F]) timeTable(w *work[F], dst, feat []F, r int) {
	for i := range n.layers {
		if l := &n.layers[i]; l.src == 0 {
			n.timePart(w, l, dst[l.timeAt:], n.timeLD, feat, r)
		}
	}
}

// timePart writes b + W_τ φ of layer l for m rows of features φ to rows of c with stride cm.
func (n *net[F]) timePart(w *work[F], l *layer[F], c []F, cm int, feat []F, m int) {
	q := n.product(w, l)
	q.C, q.CM = c, cm
	q.A, q.AM = feat, n.tf
	q.B, q.BP, q.K = l.wt, n.tf*n.panel, n.tf
	q.Bias, q.M = l.bias, m
	n.prod(q)
}

// product returns w's Product with the strides of contiguous rows and the weights of l.
func (n *net[F]) product(w *work[F], l *layer[F]) *simd.Product[F] {
	w.p = simd.Product[F]{CP: n.panel, AK: 1, B: l.w, BP: l.in * n.panel, BK: n.panel, K: l.in, NP: l.np}
	return &w.p
}
