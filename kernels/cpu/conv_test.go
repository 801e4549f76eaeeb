package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"hbar/kernels/simd"
)

// convTerms calls f for every product of a convolution of n samples: output pixel and channel, weight, input pixel and
// channel.
func convTerms(s ConvShape, n int, f func(out, o, tap, in, c int)) {
	for i := range n {
		for oy := range s.OutH() {
			for ox := range s.OutW() {
				for ky := range s.KH {
					for kx := range s.KW {
						y, x := oy*s.Stride-s.Top+ky, ox*s.Stride-s.Left+kx
						if y < 0 || y >= s.H || x < 0 || x >= s.W {
							continue
						}
						for o := range s.Out {
							for c := range s.In {
								f((i*s.OutH()+oy)*s.OutW()+ox, o, ky*s.KW+kx, (i*s.H+y)*s.W+x, c)
							}
						}
					}
				}
			}
		}
	}
}

// checkConv compares everything with sums in float64. scale is how much larger the error may be than that of direct sums.
func checkConv(t *testing.T, team *Team, r *rand.Rand, s ConvShape, n int, scale float64) {
	t.Helper()
	c, err := NewConv(s)
	if err != nil {
		t.Fatal(err)
	}
	taps, pix, opix := s.KH*s.KW, s.H*s.W, s.OutH()*s.OutW()
	w, x, y := matrix(r, s.Out, taps*s.In, 0), matrix(r, n*pix, s.In, r.IntN(3)), matrix(r, n*opix, s.Out, r.IntN(3))
	dx, dy, dw := matrix(r, n*pix, s.In, r.IntN(3)), matrix(r, n*opix, s.Out, r.IntN(3)), matrix(r, s.Out, taps*s.In, 0)
	sums := matrix(r, 1, c.Sums(), 0)
	e, pre := someEpilogue(r, n*opix, s.Out, opix)
	acc := r.IntN(2) == 0
	name := fmt.Sprintf("%v, n=%d", s, n)

	c.SetForward(team, w.s)
	c.SetBackward(team, w.s)
	c.Forward(team, y.s, y.ld, x.s, x.ld, n, e)
	c.BackwardX(team, dx.s, dx.ld, dy.s, dy.ld, n, acc)
	c.BackwardW(team, sums.s, dy.s, dy.ld, x.s, x.ld, n, false)
	sums.intact(t, name+": sums", false)
	c.FinishW(team, dw.s, sums.s, acc)
	x.intact(t, name+": x", true)
	dy.intact(t, name+": dy", true)
	w.intact(t, name+": w", true)

	zeros := func(g *guarded, start bool) (s, size []float64) {
		for i := range g.rows {
			for j := range g.width {
				v := 0.0
				if start {
					v = g.before(i, j)
				}
				s, size = append(s, v), append(size, math.Abs(v))
			}
		}
		return s, size
	}
	wantY, sizeY := zeros(y, false)
	wantX, sizeX := zeros(dx, acc)
	wantW, sizeW := zeros(dw, acc)
	convTerms(s, n, func(out, o, tap, in, c int) {
		xv, wv, g := float64(x.row(in)[c]), float64(w.row(o)[tap*s.In+c]), float64(dy.row(out)[o])
		add := func(sum, size []float64, i int, v float64) { sum[i] += v; size[i] += math.Abs(v) }
		add(wantY, sizeY, out*s.Out+o, xv*wv)
		add(wantX, sizeX, in*s.In+c, g*wv)
		add(wantW, sizeW, (o*taps+tap)*s.In+c, g*xv)
	})
	wantPre := applyEpilogue(e, y, wantY, sizeY)
	if scale > 1 { // transforms mix neighbours, whose sums may be larger: the largest size is what errors go by
		for _, size := range [][]float64{sizeY, sizeX, sizeW} {
			most := 0.0
			for _, v := range size {
				most = max(most, v)
			}
			for i := range size {
				size[i] = most
			}
		}
	}
	y.near(t, name+": y", wantY, sizeY, 1.2*scale*sumTol(taps*s.In))
	if pre != nil {
		pre.near(t, name+": pre", wantPre, sizeY, scale*sumTol(taps*s.In))
	}
	dx.near(t, name+": dx", wantX, sizeX, scale*sumTol(taps*s.Out))
	dw.near(t, name+": dw", wantW, sizeW, scale*sumTol(n*opix))
}

func someConv(r *rand.Rand, most int) ConvShape {
	s := ConvShape{H: 1 + r.IntN(9), W: 1 + r.IntN(9), In: 1 + r.IntN(most), Out: 1 + r.IntN(most), KH: 3, KW: 3, Stride: 1 + r.IntN(2),
		Left: r.IntN(3), Right: r.IntN(3), Top: r.IntN(3), Bottom: r.IntN(3)}
	switch r.IntN(4) {
	case 0:
		s.KH, s.KW = 1, 1
		if r.IntN(2) == 0 {
			s.Left, s.Right, s.Top, s.Bottom, s.Stride = 0, 0, 0, 0, 1
		}
	case 1:
		s.KH, s.KW, s.Stride = 1+r.IntN(4), 1+r.IntN(4), 1+r.IntN(3)
	}
	s.H, s.W = max(s.H, s.KH-s.Top-s.Bottom), max(s.W, s.KW-s.Left-s.Right)
	return s
}

func TestConv(t *testing.T) {
	eachTeam(t, func(t *testing.T, team *Team) {
		r := rand.New(rand.NewPCG(5, 6))
		trials, most := 80, 20
		if team.Impl.Name == "generic" {
			trials, most = 30, 10
		}
		for range trials {
			checkConv(t, team, r, someConv(r, most), r.IntN(4), 1)
		}
	})
}

// TestConvParts: samples in parts, and teams of any size, give the same bits.
func TestConvParts(t *testing.T) {
	for _, im := range simd.All() {
		r := rand.New(rand.NewPCG(7, 8))
		trials, most := 40, 40
		if im.Name == "generic" {
			trials, most = 12, 20
		}
		for range trials {
			convParts(t, im, r, someConv(r, most), 2+r.IntN(6))
		}
	}
}

func convParts(t *testing.T, im *simd.Impl, r *rand.Rand, s ConvShape, n int) {
	t.Helper()
	taps, pix, opix := s.KH*s.KW, s.H*s.W, s.OutH()*s.OutW()
	w, x, dy := matrix(r, s.Out, taps*s.In, 0), matrix(r, n*pix, s.In, 1), matrix(r, n*opix, s.Out, 2)
	e, pre := someEpilogue(r, n*opix, s.Out, opix)
	e.Accumulate = false
	type result struct{ y, pre, dx, dw *guarded }
	run := func(workers int, cuts []int) (q result) {
		team := NewTeam(workers)
		defer team.Close()
		team.Impl = im
		c, err := NewConv(s)
		if err != nil {
			t.Fatal(err)
		}
		c.SetForward(team, w.s)
		c.SetBackward(team, w.s)
		q = result{matrix(r, n*opix, s.Out, 0), matrix(r, n*opix, s.Out, 0), matrix(r, n*pix, s.In, 0), matrix(r, s.Out, taps*s.In, 0)}
		sums := make([]float32, c.Sums())
		lo := 0
		for i, hi := range cuts {
			f := *e
			if pre != nil {
				f.Pre, f.PreLd = q.pre.s[lo*opix*s.Out:], s.Out
			}
			if f.Residual != nil {
				f.Residual = f.Residual[lo*opix*f.ResidualLd:]
			}
			if f.SampleBias != nil {
				f.SampleBias = f.SampleBias[lo*f.SampleLd:]
			}
			c.Forward(team, q.y.s[lo*opix*s.Out:], s.Out, x.s[lo*pix*x.ld:], x.ld, hi-lo, &f)
			c.BackwardX(team, q.dx.s[lo*pix*s.In:], s.In, dy.s[lo*opix*dy.ld:], dy.ld, hi-lo, false)
			c.BackwardW(team, sums, dy.s[lo*opix*dy.ld:], dy.ld, x.s[lo*pix*x.ld:], x.ld, hi-lo, i > 0)
			lo = hi
		}
		c.FinishW(team, q.dw.s, sums, false)
		return q
	}
	whole := run(1, []int{n})
	cut := 1 + r.IntN(n-1)
	for _, q := range []result{run(1, []int{cut, n}), run(2, []int{n}), run(5, []int{cut, n})} {
		name := fmt.Sprintf("%s: %v, n=%d cut at %d", im.Name, s, n, cut)
		q.y.same(t, name+": y", whole.y)
		if pre != nil {
			q.pre.same(t, name+": pre", whole.pre)
		}
		q.dx.same(t, name+": dx", whole.dx)
		q.dw.same(t, name+": dw", whole.dw)
	}
}

// TestConvErrors: shapes that cannot be are refused with the shape in the message.
func TestConvErrors(t *testing.T) {
	for _, s := range []ConvShape{
		{H: 0, W: 3, In: 1, Out: 1, KH: 1, KW: 1},
		{H: 3, W: 3, In: 1, Out: 0, KH: 1, KW: 1},
		{H: 3, W: 3, In: 1, Out: 1, KH: 0, KW: 1},
		{H: 3, W: 3, In: 1, Out: 1, KH: 3, KW: 3, Stride: -1},
		{H: 3, W: 3, In: 1, Out: 1, KH: 3, KW: 3, Left: -1, Right: 1},
		{H: 3, W: 2, In: 1, Out: 1, KH: 3, KW: 3},
	} {
		if c, err := NewConv(s); err == nil {
			t.Errorf("%v was accepted: %v", s, c)
		}
	}
}
