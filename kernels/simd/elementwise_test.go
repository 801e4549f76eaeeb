package simd

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestHead(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		r := rand.New(rand.NewPCG(7, 8))
		for _, w := range []int{0, 16, 48, 128, 208} {
			for _, outs := range []int{0, 1, 2, 3, 4, 5, 16, 33, 64} {
				for _, m := range []int{0, 1, 3, 4, 5, 8, 13} {
					ld := w + 16*r.IntN(2)
					h := newGuarded[float32](max(0, (m-1)*ld+w), r.IntN(16)).fill(r)
					wt := newGuarded[float32](outs*w, r.IntN(16)).fill(r)
					bias := newGuarded[float32](outs, r.IntN(16)).fill(r)
					out := newGuarded[float32](m*outs, r.IntN(16))
					im.Head32(out.s, h.s, ld, wt.s, bias.s, m, w, outs)
					h.intact(t, "h", true)
					wt.intact(t, "wt", true)
					bias.intact(t, "bias", true)
					out.intact(t, "out", false)
					for i := range m {
						for o := range outs {
							want, size := float64(bias.s[o]), math.Abs(float64(bias.s[o]))
							for k := range w {
								v := float64(h.s[i*ld+k]) * float64(wt.s[o*w+k])
								want += v
								size += math.Abs(v)
							}
							// w/8 roundings in a lane, three to add the lanes, one for the bias
							close64(t, float64(out.s[i*outs+o]), want, eps32*float64(w/8+5)*size, "w=%d outs=%d m=%d: out[%d,%d]", w, outs, m, i, o)
							var one [1]float32
							im.Head32(one[:], h.s[i*ld:], 0, wt.s[o*w:], bias.s[o:], 1, w, 1)
							if one[0] != out.s[i*outs+o] {
								t.Fatalf("w=%d outs=%d m=%d: out[%d,%d] = %v, alone %v", w, outs, m, i, o, out.s[i*outs+o], one[0])
							}
						}
					}
				}
			}
		}
	})
}

func TestUpdate(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		r := rand.New(rand.NewPCG(9, 10))
		for n := range 70 {
			for variant := range 4 {
				mk := func() *guarded[float32] { return newGuarded[float32](n, r.IntN(16)).fill(r) }
				x, s, m, z := mk(), mk(), mk(), mk()
				var c [8]float32
				for i := range c {
					c[i] = float32(r.NormFloat64())
				}
				ms, zs := m.s, z.s
				if variant&1 == 0 {
					ms = nil
				}
				if variant&2 == 0 {
					zs = nil
				}
				im.Update(x.s, s.s, ms, zs, &c)
				x.intact(t, "x", false)
				s.intact(t, "s", true)
				m.intact(t, "m", ms == nil)
				z.intact(t, "z", true)
				for i := range n {
					x0, m0, z0 := float64(x.want[i]), 0.0, 0.0
					if ms != nil {
						m0 = float64(m.want[i])
					}
					if zs != nil {
						z0 = float64(z.s[i])
					}
					sum := func(a, b, d, e int) (v, size float64) {
						for _, p := range [][2]float64{{float64(c[a]), x0}, {float64(c[b]), float64(s.s[i])}, {float64(c[d]), m0}, {float64(c[e]), z0}} {
							v += p[0] * p[1]
							size += math.Abs(p[0] * p[1])
						}
						return v, size
					}
					// four roundings
					want, size := sum(0, 1, 2, 3)
					close64(t, float64(x.s[i]), want, 4*eps32*size, "n=%d variant %d: x[%d]", n, variant, i)
					if ms != nil {
						want, size = sum(4, 5, 7, 6)
						close64(t, float64(m.s[i]), want, 4*eps32*size, "n=%d variant %d: m[%d]", n, variant, i)
					}
				}
			}
		}
	})
}

// TestUpdateNil: an absent memory or noise is not a zero one, which Inf would turn into NaN.
func TestUpdateNil(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		x, s := []float32{float32(math.Inf(1))}, []float32{1}
		im.Update(x, s, nil, nil, &[8]float32{1, 2, float32(math.Inf(1)), float32(math.Inf(1))})
		if !math.IsInf(float64(x[0]), 1) {
			t.Errorf("x = %v, want +Inf", x[0])
		}
	})
}

func TestAdam(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		r := rand.New(rand.NewPCG(11, 12))
		for n := range 70 {
			for _, withEMA := range []bool{false, true} {
				mk := func() *guarded[float32] { return newGuarded[float32](n, r.IntN(16)).fill(r) }
				p, m, v, g, e := mk(), mk(), mk(), mk(), mk()
				for i := range v.s {
					v.s[i] = float32(math.Abs(float64(v.s[i])))
				}
				v.freeze()
				s := &AdamStep{LR: 1e-3, Beta1: .9, Beta2: .999, Eps: 1e-8, Decay: .01, C1: 1.7, C2: 3.2, Scale: .7, EMA: .99}
				ema := e.s
				if !withEMA {
					ema = nil
				}
				im.Adam(p.s, m.s, v.s, g.s, ema, s)
				p.intact(t, "p", false)
				m.intact(t, "m", false)
				v.intact(t, "v", false)
				g.intact(t, "g", true)
				e.intact(t, "ema", !withEMA)
				for i := range n {
					g0 := float64(g.s[i]) * float64(s.Scale)
					m0 := float64(m.want[i])
					m0 += (1 - float64(s.Beta1)) * (g0 - m0)
					v0 := float64(s.Beta2)*float64(v.want[i]) + (1-float64(s.Beta2))*g0*g0
					step := m0*float64(s.C1)/(math.Sqrt(v0*float64(s.C2))+float64(s.Eps)) + float64(s.Decay)*float64(p.want[i])
					p0 := float64(p.want[i]) - float64(s.LR)*step
					// a handful of roundings of values up to 1; 1-β in float32 adds as much again. The step divides by
					// the root of v ≥ 1e-7 or so, but LR is 1e-3.
					close64(t, float64(m.s[i]), m0, 6*eps32, "m[%d]", i)
					close64(t, float64(v.s[i]), v0, 4*eps32, "v[%d]", i)
					close64(t, float64(p.s[i]), p0, 2*eps32+float64(s.LR)*12*eps32*(1+math.Abs(step)), "p[%d]", i)
					if withEMA {
						e0 := float64(e.want[i])
						close64(t, float64(e.s[i]), e0+(1-float64(s.EMA))*(p0-e0), 3*eps32, "ema[%d]", i)
					}
					one := [5][]float32{{p.want[i]}, {m.want[i]}, {v.want[i]}, {g.s[i]}, nil}
					if withEMA {
						one[4] = []float32{e.want[i]}
					}
					im.Adam(one[0], one[1], one[2], one[3], one[4], s)
					if one[0][0] != p.s[i] || one[1][0] != m.s[i] || one[2][0] != v.s[i] || withEMA && one[4][0] != e.s[i] {
						t.Fatalf("n=%d: element %d differs when updated alone", n, i)
					}
				}
			}
		}
	})
}
