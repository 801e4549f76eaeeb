package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func randoms(n int) []float32 {
	r := rand.New(rand.NewPCG(1, 2))
	s := aligned(n)
	for i := range s {
		s[i] = float32(r.NormFloat64())
	}
	return s
}

// BenchmarkConv: the convolutions of DDPM's U-Net for 32×32 and of one for 28×28.
func BenchmarkConv(b *testing.B) {
	type layer struct{ size, in, out, kernel, stride, n int }
	layers := []layer{
		{32, 128, 128, 3, 1, 2}, {32, 256, 128, 3, 1, 2}, {16, 256, 256, 3, 1, 4}, {16, 512, 256, 3, 1, 4}, {8, 256, 256, 3, 1, 8}, {8, 512, 256, 3, 1, 8},
		{4, 256, 256, 3, 1, 8}, {4, 512, 256, 3, 1, 8},
		{28, 64, 64, 3, 1, 16}, {14, 128, 128, 3, 1, 16}, {7, 128, 128, 3, 1, 64}, {7, 256, 128, 3, 1, 64},
		{16, 512, 256, 1, 1, 8}, {16, 256, 256, 1, 1, 8}, {28, 192, 64, 1, 1, 8},
		{32, 3, 128, 3, 1, 8}, {32, 128, 3, 3, 1, 8}, {32, 128, 128, 3, 2, 8}, {16, 256, 256, 3, 2, 8},
		{32, 128, 128, 3, 1, 1}, {16, 256, 256, 3, 1, 1}, {8, 256, 256, 3, 1, 1}, {4, 256, 256, 3, 1, 1},
	}
	for _, l := range layers {
		s := ConvShape{H: l.size, W: l.size, In: l.in, Out: l.out, KH: l.kernel, KW: l.kernel, Stride: l.stride}
		if l.kernel == 3 {
			s.Right, s.Bottom = 1, 1
			if l.stride == 1 {
				s.Left, s.Top = 1, 1
			}
		}
		b.Run(fmt.Sprintf("%dx%d/%d-%d/k=%d/s=%d/n=%d", l.size, l.size, l.in, l.out, l.kernel, l.stride, l.n), func(b *testing.B) {
			benchTeams(b, func(b *testing.B, t *Team) { benchConv(b, t, s, l.n) })
		})
	}
}

func benchConv(b *testing.B, t *Team, s ConvShape, n int) {
	c, err := NewConv(s)
	if err != nil {
		b.Fatal(err)
	}
	w, bias := randoms(s.Out*s.KH*s.KW*s.In), randoms(s.Out)
	x, y := randoms(n*s.H*s.W*s.In), randoms(n*s.OutH()*s.OutW()*s.Out)
	sums, dw := randoms(c.Sums()), randoms(len(w))
	c.SetForward(t, w)
	c.SetBackward(t, w)
	flops := 2 * float64(n) * float64(c.MultiplyAdds())
	dx := make([]float32, len(x))
	b.Run("forward", func(b *testing.B) {
		y := make([]float32, len(y))
		measureLayer(b, t, func() { c.Forward(t, y, s.Out, x, s.In, n, &Epilogue{Bias: bias}) }, flops, "GFLOP", flops)
	})
	b.Run("dx", func(b *testing.B) {
		measureLayer(b, t, func() { c.BackwardX(t, dx, s.In, y, s.Out, n, false) }, flops, "GFLOP", flops)
	})
	b.Run("dw", func(b *testing.B) {
		measureLayer(b, t, func() {
			c.BackwardW(t, sums, y, s.Out, x, s.In, n, false)
			c.FinishW(t, dw, sums, false)
		}, flops, "GFLOP", flops)
	})
	b.Run("weights", func(b *testing.B) {
		measureLayer(b, t, func() {
			c.SetForward(t, w)
			c.SetBackward(t, w)
		}, flops, "GFLOP", flops)
	})
}

// BenchmarkDense: the dense layers of DiT-S/2 and of a 192 wide one.
func BenchmarkDense(b *testing.B) {
	type layer struct{ rows, in, out int }
	var layers []layer
	for _, w := range []int{384, 192} {
		for _, rows := range []int{256, 8 * 256} {
			layers = append(layers, layer{rows, w, 3 * w}, layer{rows, w, w}, layer{rows, w, 4 * w}, layer{rows, 4 * w, w})
		}
	}
	layers = append(layers, layer{4096, 192, 576}, layer{4096, 768, 192}, layer{8, 512, 256}, layer{1, 384, 2304})
	for _, l := range layers {
		b.Run(fmt.Sprintf("%d-%d/rows=%d", l.in, l.out, l.rows), func(b *testing.B) {
			benchTeams(b, func(b *testing.B, t *Team) { benchDense(b, t, l.in, l.out, l.rows) })
		})
	}
}

func benchDense(b *testing.B, t *Team, in, out, rows int) {
	d := NewDense(in, out)
	w, bias, x, y := randoms(in*out), randoms(out), randoms(in*rows), randoms(out*rows)
	dw, dx := randoms(in*out), randoms(in*rows)
	d.SetForward(t, w)
	d.SetBackward(t, w)
	flops := 2 * float64(in) * float64(out) * float64(rows)
	b.Run("forward", func(b *testing.B) {
		y := make([]float32, len(y))
		measureLayer(b, t, func() { d.Forward(t, y, out, x, in, rows, &Epilogue{Bias: bias}) }, flops, "GFLOP", flops)
	})
	b.Run("dx", func(b *testing.B) {
		measureLayer(b, t, func() { d.BackwardX(t, dx, in, y, out, rows, false) }, flops, "GFLOP", flops)
	})
	b.Run("dw", func(b *testing.B) {
		measureLayer(b, t, func() { d.BackwardW(t, dw, y, out, x, in, rows, false) }, flops, "GFLOP", flops)
	})
	b.Run("weights", func(b *testing.B) {
		measureLayer(b, t, func() {
			d.SetForward(t, w)
			d.SetBackward(t, w)
		}, flops, "GFLOP", flops)
	})
}
