package simd

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestAct sweeps the whole range of float32: every exponent and sign with a few thousand mantissas in all, and the
// special values. Errors are relative to max(1, |y|).
func TestActRange(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		r := rand.New(rand.NewPCG(3, 4))
		var x []float32
		for e := range 255 {
			for range 12 {
				b := uint32(e)<<23 | r.Uint32()&(1<<23-1)
				x = append(x, math.Float32frombits(b), math.Float32frombits(b|1<<31))
			}
		}
		for i := range 40000 {
			x = append(x, float32(-100+200*float64(i)/39999), float32(-6+12*float64(i)/39999))
		}
		for f := Identity; f <= GELUTanh; f++ {
			y, d := make([]float32, len(x)), make([]float32, len(x))
			im.Act32(f, y, d, x)
			worst := [2]float64{}
			for i, v := range x {
				wy, wd := f.Eval(float64(v))
				for j, g := range [2][2]float64{{float64(y[i]), wy}, {float64(d[i]), wd}} {
					tol := actTol[float32](f, g[1])
					close64(t, g[0], g[1], tol, "%s order %d at %g", f, j, v)
					worst[j] = math.Max(worst[j], math.Abs(g[0]-g[1])/math.Max(1, math.Abs(g[1])))
				}
			}
			t.Logf("%s: largest error %.2g, of the derivative %.2g", f, worst[0], worst[1])
			if f == Identity {
				continue
			}
			inf := float32(math.Inf(1))
			sp := []float32{inf, -inf, float32(math.NaN()), -float32(math.NaN()), 0, float32(math.Copysign(0, -1)),
				math.Float32frombits(0x7fc00001), math.Float32frombits(0xffd12345), math.Float32frombits(0x7f800001), // NaNs with a payload
				math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32, math.MaxFloat32, -math.MaxFloat32}
			sy, sd := make([]float32, len(sp)), make([]float32, len(sp))
			im.Act32(f, sy, sd, sp)
			for i, v := range sp {
				wy, wd := f.Eval(float64(v))
				switch {
				case math.IsNaN(float64(v)):
					if sy[i] == sy[i] || sd[i] == sd[i] {
						t.Errorf("%s(NaN) = %v, slope %v: NaN is lost", f, sy[i], sd[i])
					}
				case math.IsInf(wy, 0):
					if float64(sy[i]) != wy || float64(sd[i]) != wd {
						t.Errorf("%s(%v) = %v, slope %v, want %v, %v", f, v, sy[i], sd[i], wy, wd)
					}
				default:
					// limits of 0 may be as large as 1e-30
					close64(t, float64(sy[i]), wy, 1e-30+actTol[float32](f, wy)*min(1, math.Abs(wy)), "%s(%v)", f, v)
					close64(t, float64(sd[i]), wd, 1e-30+actTol[float32](f, wd)*min(1, math.Abs(wd)), "%s'(%v)", f, v)
				}
			}
		}
	})
}

// TestActShapes: every length, with and without the derivative, in place, unaligned, between guard bands; and the same
// bits wherever an element stands.
func TestActShapes(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		r := rand.New(rand.NewPCG(5, 6))
		for f := Identity; f <= GELUTanh; f++ {
			for n := range 70 {
				x := newGuarded[float32](n, n%16).fill(r)
				for i := range x.s {
					x.s[i] *= 8
				}
				x.freeze()
				y, d := newGuarded[float32](n, (n+3)%16), newGuarded[float32](n, (n+5)%16)
				im.Act32(f, y.s, d.s, x.s)
				x.intact(t, "x", true)
				y.intact(t, "y", false)
				d.intact(t, "d", false)
				only := make([]float32, n)
				im.Act32(f, only, nil, x.s)
				for i := range n {
					var one, slope [1]float32
					im.Act32(f, one[:], slope[:], x.s[i:i+1])
					if one[0] != y.s[i] || slope[0] != d.s[i] {
						t.Fatalf("%s n=%d: element %d is %v, %v; alone %v, %v", f, n, i, y.s[i], d.s[i], one[0], slope[0])
					}
					tol := actTol[float32](f, float64(only[i]))
					close64(t, float64(only[i]), float64(y.s[i]), tol, "%s n=%d without and with derivative", f, n)
				}
				im.Act32(f, x.s, nil, x.s)
				x.intact(t, "x in place", false)
				for i := range n {
					if x.s[i] != only[i] {
						t.Fatalf("%s n=%d: in place %v, apart %v", f, n, x.s[i], only[i])
					}
				}
			}
		}
	})
}

// TestEpilogueRange: the epilogues over all arguments, by products without steps whose bias is the argument: in float32
// the same bits as Act32, in float64 the definition.
func TestEpilogueRange(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		inf := math.Inf(1)
		special := []float64{inf, -inf, math.NaN(), math.Float64frombits(0xfff8000000012345), 0, math.Copysign(0, -1), 1e-310, -1e-310, 1e300, -1e300}
		const n = 1 << 13
		x := append([]float64(nil), special...)
		for i := len(x); i < n; i++ {
			v := 800 * (2*float64(i)/(n-1) - 1)
			if i%2 == 0 {
				v /= 20
			}
			x = append(x, v)
		}
		x32 := make([]float32, n)
		for i, v := range x {
			x32[i] = float32(v)
		}
		for f := Identity; f <= GELUTanh; f++ {
			c, d := make([]float64, n), make([]float64, n)
			im.Product64(&Product[float64]{C: c, CP: Panel64, D: d, Bias: x, M: 1, NP: n / Panel64, Ep: ActivateGrad, Act: f})
			only := make([]float64, n)
			im.Product64(&Product[float64]{C: only, CP: Panel64, Bias: x, M: 1, NP: n / Panel64, Ep: Activate, Act: f})
			for i, v := range x {
				y, s := f.Eval(v)
				for _, p := range [][2]float64{{c[i], y}, {only[i], y}, {d[i], s}} {
					switch {
					case math.IsNaN(p[1]):
						if p[0] == p[0] {
							t.Fatalf("%s(%v): NaN became %v", f, v, p[0])
						}
					case math.IsInf(p[1], 0):
						if p[0] != p[1] {
							t.Fatalf("%s(%v) = %v, want %v", f, v, p[0], p[1])
						}
					default:
						close64(t, p[0], p[1], actTol[float64](f, p[1]), "%s about %v", f, v)
					}
				}
			}
			y32, d32 := make([]float32, n), make([]float32, n)
			im.Act32(f, y32, d32, x32)
			c32, s32 := make([]float32, n), make([]float32, n)
			im.Product32(&Product[float32]{C: c32, CP: Panel32, D: s32, Bias: x32, M: 1, NP: n / Panel32, Ep: ActivateGrad, Act: f})
			for i := range x32 {
				if !sameBits(c32[i], y32[i]) || !sameBits(s32[i], d32[i]) {
					t.Fatalf("%s(%v): epilogue %v, %v, Act32 %v, %v", f, x32[i], c32[i], s32[i], y32[i], d32[i])
				}
			}
		}
	})
}
