package cpu

import (
	"math"
	"math/rand/v2"
	"testing"

	"hbar/kernels/simd"
)

func someWinograd(r *rand.Rand, panels int) ConvShape {
	for {
		s := ConvShape{H: 1 + r.IntN(9), W: 1 + r.IntN(9), In: lanes * (1 + r.IntN(panels)), Out: lanes * (1 + r.IntN(panels)), KH: 3, KW: 3, Stride: 1,
			Left: r.IntN(3), Right: r.IntN(3), Top: r.IntN(3), Bottom: r.IntN(3)}
		if s.check() == nil && winogradSuits(s) {
			return s
		}
	}
}

// TestWinograd: as TestConv. Transforms add and subtract up to 16 numbers, so that errors may be some times larger than
// those of direct sums.
func TestWinograd(t *testing.T) {
	eachTeam(t, func(t *testing.T, team *Team) {
		r := rand.New(rand.NewPCG(9, 10))
		trials, panels := 14, 6
		if team.Impl.Name == "generic" {
			trials, panels = 3, 2
		}
		for range trials {
			checkConv(t, team, r, someWinograd(r, panels), r.IntN(4), 8)
		}
	})
}

func TestWinogradParts(t *testing.T) {
	for _, im := range simd.All() {
		r := rand.New(rand.NewPCG(11, 12))
		trials, panels := 8, 6
		if im.Name == "generic" {
			trials, panels = 2, 2
		}
		for range trials {
			convParts(t, im, r, someWinograd(r, panels), 2+r.IntN(6))
		}
		convParts(t, im, r, ConvShape{H: 16, W: 14, In: 16, Out: 32, KH: 3, KW: 3, Stride: 1, Left: 1, Right: 1, Top: 1, Bottom: 1}, 7)
	}
}

// TestWinogradAccuracy: with normal inputs and as many channels as networks have, errors stay within 8·10⁻⁷ of the
// largest result, forward and in both gradients: as close as direct float32 sums are. Two or three times less is usual.
func TestWinogradAccuracy(t *testing.T) {
	if testing.Short() {
		t.Skip("a convolution in float64")
	}
	r := rand.New(rand.NewPCG(13, 14))
	s := ConvShape{H: 8, W: 8, In: 128, Out: 128, KH: 3, KW: 3, Stride: 1, Left: 1, Right: 1, Top: 1, Bottom: 1}
	const n = 2
	c, err := NewConv(s)
	if err != nil {
		t.Fatal(err)
	}
	if c.wino == nil {
		t.Fatalf("%v is not computed by Winograd's transforms", s)
	}
	team := NewTeam(0)
	defer team.Close()
	w, x, dy := matrix(r, s.Out, 9*s.In, 0), matrix(r, n*64, s.In, 0), matrix(r, n*64, s.Out, 0)
	y, dx, dw := matrix(r, n*64, s.Out, 0), matrix(r, n*64, s.In, 0), matrix(r, s.Out, 9*s.In, 0)
	sums := make([]float32, c.Sums())
	c.SetForward(team, w.s)
	c.SetBackward(team, w.s)
	c.Forward(team, y.s, y.ld, x.s, x.ld, n, nil)
	c.BackwardX(team, dx.s, dx.ld, dy.s, dy.ld, n, false)
	c.BackwardW(team, sums, dy.s, dy.ld, x.s, x.ld, n, false)
	c.FinishW(team, dw.s, sums, false)
	wantY, wantX, wantW := make([]float64, len(y.s)), make([]float64, len(dx.s)), make([]float64, len(dw.s))
	convTerms(s, n, func(out, o, tap, in, c int) {
		xv, wv, g := float64(x.s[in*s.In+c]), float64(w.s[(o*9+tap)*s.In+c]), float64(dy.s[out*s.Out+o])
		wantY[out*s.Out+o] += xv * wv
		wantX[in*s.In+c] += g * wv
		wantW[(o*9+tap)*s.In+c] += g * xv
	})
	for _, q := range []struct {
		name string
		got  []float32
		want []float64
	}{{"y", y.s, wantY}, {"dx", dx.s, wantX}, {"dw", dw.s, wantW}} {
		worst, most, sum, sum2 := 0.0, 0.0, 0.0, 0.0
		for i, v := range q.want {
			d := math.Abs(float64(q.got[i]) - v)
			worst, most = max(worst, d), max(most, math.Abs(v))
			sum, sum2 = sum+d*d, sum2+v*v
		}
		t.Logf("%s: largest error %.2g of the largest value, root mean square %.2g", q.name, worst/most, math.Sqrt(sum/sum2))
		// The transforms of Winograd's method add and scale: some ten roundings of float32 at the largest value.
		if !(worst <= 8e-7*most) {
			t.Errorf("%s: error %.3g of the largest value %.3g", q.name, worst, most)
		}
	}
}

// TestWinogradChoice: which shapes take this way.
func TestWinogradChoice(t *testing.T) {
	for _, q := range []struct {
		size, in, out, stride, pad int
		want                       bool
	}{{32, 128, 128, 1, 1, true}, {7, 128, 128, 1, 1, true}, {4, 512, 256, 1, 1, true}, {2, 16, 16, 1, 1, true}, {1, 16, 16, 1, 1, false},
		{32, 128, 128, 2, 1, false}, {32, 3, 128, 1, 1, false}, {32, 128, 3, 1, 1, false}, {32, 20, 32, 1, 1, false}, {8, 16, 16, 1, 3, false}} {
		c, err := NewConv(ConvShape{H: q.size, W: q.size, In: q.in, Out: q.out, KH: 3, KW: 3, Stride: q.stride, Left: q.pad, Right: q.pad, Top: q.pad, Bottom: q.pad})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.wino != nil; got != q.want {
			t.Errorf("%+v: by Winograd's transforms is %t, want %t", q, got, q.want)
		}
		f, b := c.Bytes()
		team := NewTeam(1)
		w := make([]float32, q.in*q.out*9)
		c.SetForward(team, w)
		c.SetBackward(team, w)
		if c.wino != nil && (f != 4*len(c.wino.fwd) || b != 4*len(c.wino.bwd.fwd)) {
			t.Errorf("%v: Bytes %d and %d, allocated %d and %d", c, f, b, 4*len(c.wino.fwd), 4*len(c.wino.bwd.fwd))
		}
	}
}
