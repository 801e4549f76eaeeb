package simd

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestTiling: a product cut into ranges of rows and panels has the same bits as the whole.
func TestTiling(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		r := rand.New(rand.NewPCG(15, 16))
		for range 60 {
			for ep := Plain; ep <= MulD; ep++ {
				s := shape{m: 1 + r.IntN(90), k: 1 + r.IntN(160), np: 1 + r.IntN(5), ep: ep, act: []Act{Identity, SiLU, SiLU, GELU, Tanh}[r.IntN(5)],
					bias: r.IntN(3) > 0, acc: r.IntN(4) == 0, transposed: r.IntN(2) == 0, pad: 5 * r.IntN(2), chunk: r.IntN(2) * 31}
				tiling(t, im.Product32, build[float32](s, r), s, r)
				tiling(t, im.Product64, build[float64](s, r), s, r)
			}
		}
	})
}

func tiling[F Float](t *testing.T, run func(*Product[F]), o operands[F], s shape, r *rand.Rand) {
	t.Helper()
	whole := o.q
	run(&whole)
	wantC, wantD := append([]F(nil), o.c.s...), append([]F(nil), o.d.s...)
	copy(o.c.s, o.c.want)
	copy(o.d.s, o.d.want)
	P := panel[F]()
	for p := 0; p < s.np; {
		np := 1 + r.IntN(s.np-p)
		for m := 0; m < s.m; {
			rows := 1 + r.IntN(s.m-m)
			q := o.q
			at := m*q.CM + p*q.CP
			q.M, q.NP = rows, np
			q.C, q.A, q.B = q.C[at:], q.A[m*q.AM:], q.B[p*q.BP:]
			if q.D != nil {
				q.D = q.D[at:]
			}
			if q.Bias != nil {
				q.Bias = q.Bias[p*P:]
			}
			run(&q)
			m += rows
		}
		p += np
	}
	for i := range wantC {
		if !sameBits(o.c.s[i], wantC[i]) || !sameBits(o.d.s[i], wantD[i]) {
			t.Fatalf("%s: element %d is %v, %v in parts and %v, %v as a whole", s, i, o.c.s[i], o.d.s[i], wantC[i], wantD[i])
		}
	}
}

// TestAllocations: nothing on the heap once the caller has its Product.
func TestAllocations(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		if im.Name == "generic" {
			t.Skip("generic jets and no others allocate")
		}
		q32, q64 := layer[float32](50, 128, 128, 0), layer[float64](50, 128, 128, 0)
		q32.Ep, q32.Act = Activate, SiLU
		x := make([]float32, 1003)
		j := make([]float64, 10*64)
		step := &AdamStep{}
		c := &[8]float32{}
		for name, f := range map[string]func(){
			"Product32": func() { im.Product32(q32) },
			"Product64": func() { im.Product64(q64) },
			"Head32":    func() { im.Head32(x[900:], x, 128, x, x, 5, 128, 3) },
			"Update":    func() { im.Update(x[:501], x[501:], nil, nil, c) },
			"Normals4":  func() { im.Normals4(x, 4, 1, 2, 3, 4, 101) },
			"Adam":      func() { im.Adam(x[:99], x[100:], x[200:], x[300:], x[400:], step) },
			"Jet64":     func() { im.Jet64(SiLU, j, 64, 64, 2, 3) },
		} {
			if n := testing.AllocsPerRun(20, f); n != 0 {
				t.Errorf("%s allocates %v times", name, n)
			}
		}
	})
}

// TestPanics: short slices and shapes that do not fit are the caller's slips.
func TestPanics(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		x := make([]float32, 64)
		for name, f := range map[string]func(){
			"C": func() { im.Product32(&Product[float32]{C: x[:15], CM: 16, A: x, B: x, M: 1, NP: 1}) },
			"A": func() { im.Product32(&Product[float32]{C: x, CM: 16, A: x[:3], AK: 1, B: x, M: 1, K: 4, NP: 1}) },
			"B": func() {
				im.Product32(&Product[float32]{C: x, CM: 16, A: x, AK: 1, B: x[:63], BK: 16, M: 1, K: 4, NP: 1})
			},
			"Bias":     func() { im.Product32(&Product[float32]{C: x, CM: 16, Bias: x[:15], M: 1, NP: 1}) },
			"D":        func() { im.Product32(&Product[float32]{C: x, CM: 16, D: x[:15], M: 1, NP: 1, Ep: MulD}) },
			"stride":   func() { im.Product32(&Product[float32]{C: x, CM: -16, M: 1, NP: 1}) },
			"size":     func() { im.Product32(&Product[float32]{C: x, CM: 16, M: -1, NP: 1}) },
			"epilogue": func() { im.Product32(&Product[float32]{Ep: MulD + 1}) },
			"act":      func() { im.Act32(GELUTanh+1, x, nil, x) },
			"y":        func() { im.Act32(SiLU, x[:3], nil, x) },
			"slope":    func() { im.Act32(SiLU, x, x[:3], x) },
			"width":    func() { im.Head32(x, x, 16, x, x, 1, 15, 1) },
			"out":      func() { im.Head32(x[:1], x, 16, x, x, 1, 16, 2) },
			"s":        func() { im.Update(x, x[:3], nil, nil, &[8]float32{}) },
			"m":        func() { im.Update(x, x, x[:3], nil, &[8]float32{}) },
			"z":        func() { im.Normals4(x[:7], 4, 0, 0, 0, 0, 2) },
			"n":        func() { im.Normals4(x, 4, 0, 0, 0, 0, -1) },
			"adam":     func() { im.Adam(x, x, x[:3], x, nil, &AdamStep{}) },
			"jet":      func() { im.Jet32(SiLU, x[:29], 10, 10, 2, 1) },
			"dim":      func() { im.Jet32(SiLU, x, 10, 10, 0, 1) },
		} {
			func() {
				defer func() {
					if e := recover(); e == nil {
						t.Errorf("%s: no panic", name)
					} else if msg := fmt.Sprint(e); len(msg) < 5 || msg[:5] != "simd:" {
						t.Errorf("%s: panic %q does not come from a check", name, msg)
					}
				}()
				f()
			}()
		}
	})
}
