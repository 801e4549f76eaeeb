package cpu

import (
	"hbar/program"
	"hbar/program/ops"
)

func bindUnary(x *Executor, in program.Instr) (bound, error) {
	op := in.Op.(ops.Unary)
	act, err := activation(op.Fn)
	if err != nil {
		return bindReference(x, in) // exp
	}
	return bound{run: func() { Derivative(x.team, act, op.Order, x.get(in.Out[0]), x.get(in.In[0])) }}, nil
}

func bindScale(x *Executor, in program.Instr) (bound, error) {
	op := in.Op.(ops.Scale)
	a, b := float32(op.A), float32(op.B)
	return bound{run: func() {
		y, s := x.get(in.Out[0]), x.get(in.In[0])
		if b == 0 {
			Scale(x.team, y, s, a)
			return
		}
		flat(x.team, len(s), func(lo, hi int) {
			for i, v := range s[lo:hi] {
				y[lo+i] = a*v + b
			}
		})
	}}, nil
}

// pairing is how the shapes of the two inputs of an elementwise op are related.
type pairing int

const (
	anyShapes pairing = iota
	equal             // of one shape
	channel           // the second has one number for each channel, or one row for all positions
	single            // the second is one number
)

// pair finds the pairing of a and b, and whether they must be swapped for it.
func pair(a, b []int) (pairing, bool) {
	switch {
	case program.SameShape(a, b):
		return equal, false
	case program.Size(b) == 1 && len(b) <= len(a):
		return single, false
	case program.Size(a) == 1 && len(a) <= len(b):
		return single, true
	case suffix(a, b):
		return channel, false
	case suffix(b, a):
		return channel, true
	}
	return anyShapes, false
}

// suffix reports whether b, without leading ones, is the end of a.
func suffix(a, b []int) bool {
	for len(b) > 0 && b[0] == 1 {
		b = b[1:]
	}
	return len(b) > 0 && len(b) <= len(a) && program.SameShape(a[len(a)-len(b):], b)
}

// elementwise binds a sum or product of two values.
func elementwise(x *Executor, in program.Instr, same func(t *Team, y, a, b []float32), channels func(t *Team, y, x, b []float32, n, p, c int), f func(a, b float32) float32) (bound, error) {
	a, b := in.In[0], in.In[1]
	how, swap := pair(x.shape(a), x.shape(b))
	if swap {
		a, b = b, a
	}
	size, bsize := x.values[a].size, x.values[b].size
	switch how {
	case equal:
		return bound{run: func() {
			y, u, v := x.get(in.Out[0]), x.get(a), x.get(b)
			if len(u) == len(v) {
				same(x.team, y, u, v)
				return
			}
			for i := range x.n { // one of them is the same for all samples
				same(x.team, y[i*size:(i+1)*size], u[i*size%len(u):][:size], v[i*size%len(v):][:size])
			}
		}}, nil
	case channel:
		return bound{run: func() {
			channels(x.team, x.get(in.Out[0]), x.each(a), x.each(b), x.n, size/bsize, bsize)
		}}, nil
	case single:
		return bound{run: func() {
			y, u, v := x.get(in.Out[0]), x.each(a), x.each(b)
			x.team.Run(x.n, func(_, i int) {
				s := v[i]
				for j, e := range u[i*size : (i+1)*size] {
					y[i*size+j] = f(e, s)
				}
			})
		}}, nil
	}
	it := newBroadcast(x.shape(in.Out[0]), x.shape(in.In[0]), x.shape(in.In[1]))
	sa, sb, so := x.values[in.In[0]].size, x.values[in.In[1]].size, x.values[in.Out[0]].size
	return bound{run: func() {
		y, u, v := x.get(in.Out[0]), x.each(in.In[0]), x.each(in.In[1])
		x.team.Run(x.n, func(_, i int) {
			ys, us, vs := y[i*so:(i+1)*so], u[i*sa:(i+1)*sa], v[i*sb:(i+1)*sb]
			it.rows(func(o, p, q, n, dp, dq int) {
				for range n {
					ys[o] = f(us[p], vs[q])
					o, p, q = o+1, p+dp, q+dq
				}
			})
		})
	}}, nil
}

func bindAdd(x *Executor, in program.Instr) (bound, error) {
	return elementwise(x, in, Add, AddChannels, func(a, b float32) float32 { return a + b })
}

func bindMul(x *Executor, in program.Instr) (bound, error) {
	return elementwise(x, in, Mul, ScaleChannels, func(a, b float32) float32 { return a * b })
}

// broadcasting walks over an array and two that broadcast to it.
type broadcasting struct{ shape, a, b []int }

func newBroadcast(out, a, b []int) *broadcasting {
	return &broadcasting{out, program.BroadcastStrides(a, out), program.BroadcastStrides(b, out)}
}

// rows calls f for each row of the last dimension: offsets in the three arrays, length, and steps in a and b.
func (w *broadcasting) rows(f func(o, p, q, n, dp, dq int)) {
	last := len(w.shape) - 1
	if last < 0 {
		f(0, 0, 0, 1, 0, 0)
		return
	}
	n := w.shape[last]
	i := make([]int, last)
	for o := 0; o < program.Size(w.shape); o += n {
		p, q := 0, 0
		for d, k := range i {
			p += k * w.a[d]
			q += k * w.b[d]
		}
		f(o, p, q, n, w.a[last], w.b[last])
		for d := last - 1; d >= 0; d-- {
			if i[d]++; i[d] < w.shape[d] {
				break
			}
			i[d] = 0
		}
	}
}

func bindSumTo(x *Executor, in program.Instr) (bound, error) {
	from, to := x.shape(in.In[0]), x.shape(in.Out[0])
	size, out := x.values[in.In[0]].size, x.values[in.Out[0]].size
	if out > 1 && suffix(from, to) {
		return bound{run: func() {
			ChannelSums(x.team, x.get(in.Out[0]), x.get(in.In[0]), x.n, size/out, out)
		}}, nil
	}
	it := newBroadcast(from, to, to)
	return bound{run: func() {
		y, u := x.get(in.Out[0]), x.get(in.In[0])
		x.team.Run(x.n, func(_, i int) {
			sum := make([]float64, out)
			s := u[i*size : (i+1)*size]
			it.rows(func(o, p, _, n, dp, _ int) {
				if dp == 0 {
					t := 0.0
					for _, v := range s[o : o+n] {
						t += float64(v)
					}
					sum[p] += t
					return
				}
				for j, v := range s[o : o+n] {
					sum[p+j*dp] += float64(v)
				}
			})
			for j, v := range sum {
				y[i*out+j] = float32(v)
			}
		})
	}}, nil
}

func bindExpandTo(x *Executor, in program.Instr) (bound, error) {
	from, to := x.shape(in.In[0]), x.shape(in.Out[0])
	size, out := x.values[in.In[0]].size, x.values[in.Out[0]].size
	if suffix(to, from) {
		return bound{run: func() { Broadcast(x.team, x.get(in.Out[0]), x.each(in.In[0]), x.n, out/size, size) }}, nil
	}
	it := newBroadcast(to, from, from)
	return bound{run: func() {
		y, u := x.get(in.Out[0]), x.each(in.In[0])
		x.team.Run(x.n, func(_, i int) {
			ys, us := y[i*out:(i+1)*out], u[i*size:(i+1)*size]
			it.rows(func(o, p, _, n, dp, _ int) {
				for range n {
					ys[o] = us[p]
					o, p = o+1, p+dp
				}
			})
		})
	}}, nil
}

func bindSumBatch(x *Executor, in program.Instr) (bound, error) {
	size := x.values[in.In[0]].size
	return bound{run: func() {
		SumSamples(x.team, x.get(in.Out[0]), x.get(in.In[0]), x.n, size, x.accumulate)
	}}, nil
}

func bindGatedAdd(x *Executor, in program.Instr) (bound, error) {
	rows, c := x.rows(in.In[0]), lastDim(x.shape(in.In[0]))
	return bound{run: func() {
		GatedAdd(x.team, x.get(in.Out[0]), x.each(in.In[0]), x.each(in.In[2]), x.each(in.In[1]), x.n, rows, c)
	}}, nil
}
