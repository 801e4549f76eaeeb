package learn

import (
	"fmt"
	"math"
	"math/rand/v2"

	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/kernels/simd"
)

// network is a score network as a training program, in the form graph lowers to (package graph's tests check that).
func network(d, width, depth int, act simd.Act, residual bool, freqs []float32, seed uint64) *kernels.ChainTraining {
	p := &kernels.ChainTraining{}
	p.D, p.Time.Freqs = d, freqs
	p.Widths = []int{d + p.Time.Width()}
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range depth + 1 {
		in, out := p.Widths[i], width
		f := kernels.Instr{Dst: i + 1, Src: i, Add: -1, W: 2 * i, B: 2*i + 1, Act: act}
		if i == depth {
			out, f.Act = d, simd.Identity
		} else if residual && i > 0 {
			f.Add = i
		}
		w, b := make([]float32, in*out), make([]float32, out)
		for _, s := range [][]float32{w, b} {
			for j := range s {
				s[j] = float32((2*r.Float64() - 1) / math.Sqrt(float64(in)))
			}
		}
		p.Params = append(p.Params, kernels.Param{Name: fmt.Sprintf("dense%d.weight", i), Rows: out, Cols: in, Data: w},
			kernels.Param{Name: fmt.Sprintf("dense%d.bias", i), Rows: out, Cols: 1, Data: b})
		p.Widths = append(p.Widths, out)
		p.Forward = append(p.Forward, f)
	}
	p.Output = depth + 1
	grad := func(w int) int { p.GradWidths = append(p.GradWidths, w); return len(p.GradWidths) - 1 }
	p.LossGrad = grad(d)
	dz, g := p.LossGrad, -1
	for i := depth; i >= 0; i-- {
		p.Backward = append(p.Backward, kernels.BackInstr{Op: kernels.BackParams, Src: dz, X: i, W: 2 * i, B: 2*i + 1, Dst: -1, Add: -1, Act: -1})
		if i == 0 {
			break
		}
		in := kernels.BackInstr{Op: kernels.BackInput, Src: dz, W: 2 * i, B: -1, X: -1, Add: -1, Act: i}
		if residual && i < depth {
			in.Add = g
		}
		if residual && i > 1 {
			in.Act = -1
			g = grad(width)
			in.Dst = g
			dz = grad(width)
			p.Backward = append(p.Backward, in, kernels.BackInstr{Op: kernels.BackAct, Dst: dz, Src: g, Act: i, W: -1, B: -1, X: -1, Add: -1})
		} else {
			dz = grad(width)
			in.Dst = dz
			p.Backward = append(p.Backward, in)
		}
	}
	return p
}

// batch draws x, τ, target and weight of every row from counters.
type batch struct{ d int }

func (s batch) Fill(t *fit.Tile) {
	for i := range t.Hi - t.Lo {
		r := rand.New(kernels.NewSource(3, kernels.StreamBatch, uint64(t.Step)<<32|uint64(t.Lo+i)))
		for j := range s.d {
			t.X[i*s.d+j] = float32(r.NormFloat64())
			t.Target[i*s.d+j] = float32(r.NormFloat64())
		}
		t.Tau[i] = r.Float64()
		t.Weight[i] = float32(1 + r.Float64())
	}
}

// reference is the network, its gradient and Adam in float64, written from the formulas.
type reference struct {
	p          *kernels.ChainTraining
	w, m, v, e [][]float64
	step       int
}

func newReference(p *kernels.ChainTraining) *reference {
	r := &reference{p: p}
	for _, q := range p.Params {
		w := make([]float64, len(q.Data))
		for i, v := range q.Data {
			w[i] = float64(v)
		}
		r.w = append(r.w, w)
		r.e = append(r.e, append([]float64(nil), w...))
		r.m = append(r.m, make([]float64, len(w)))
		r.v = append(r.v, make([]float64, len(w)))
	}
	return r
}

func act64(f simd.Act, x float64) (y, d float64) {
	switch f {
	case simd.SiLU:
		s := 1 / (1 + math.Exp(-x))
		return x * s, s + x*s*(1-s)
	case simd.GELU:
		c := 0.5 * math.Erfc(-x/math.Sqrt2)
		return x * c, c + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
	case simd.Tanh:
		y = math.Tanh(x)
		return y, 1 - y*y
	}
	return x, 1
}

// grad is the loss and its gradient on n rows of the source's batch of a step.
func (r *reference) grad(src fit.Source, step int64, n int) (float64, [][]float64) {
	p := r.p
	d, f := p.D, p.Time.Width()
	t := &fit.Tile{Step: step, Hi: n, X: make([]float32, n*d), Tau: make([]float64, n), Target: make([]float32, n*d), Weight: make([]float32, n)}
	src.Fill(t)
	g := make([][]float64, len(r.w))
	for i := range g {
		g[i] = make([]float64, len(r.w[i]))
	}
	loss := 0.0
	feat := make([]float32, f)
	for row := range n {
		p.Time.Fill(feat, t.Tau[row])
		h := make([][]float64, len(p.Widths))
		slope := make([][]float64, len(p.Widths))
		for _, v := range append(append([]float32(nil), t.X[row*d:][:d]...), feat...) {
			h[0] = append(h[0], float64(v))
		}
		for _, in := range p.Forward {
			y, s := make([]float64, p.Widths[in.Dst]), make([]float64, p.Widths[in.Dst])
			for o := range y {
				a := r.w[in.B][o]
				for k, v := range h[in.Src] {
					a += r.w[in.W][o*len(h[in.Src])+k] * v
				}
				y[o], s[o] = act64(in.Act, a)
				if in.Add >= 0 {
					y[o] += h[in.Add][o]
				}
			}
			h[in.Dst], slope[in.Dst] = y, s
		}
		// ∂loss/∂h of every buffer, accumulated from the last instruction to the first
		dh := make([][]float64, len(p.Widths))
		for i, w := range p.Widths {
			dh[i] = make([]float64, w)
		}
		for j, y := range h[p.Output] {
			e := y - float64(t.Target[row*d+j])
			wt := float64(t.Weight[row]) / float64(n*d)
			loss += wt * e * e
			dh[p.Output][j] = 2 * wt * e
		}
		for i := len(p.Forward) - 1; i >= 0; i-- {
			in := p.Forward[i]
			for o, dy := range dh[in.Dst] {
				if in.Add >= 0 {
					dh[in.Add][o] += dy
				}
				dz := dy * slope[in.Dst][o]
				g[in.B][o] += dz
				for k, v := range h[in.Src] {
					g[in.W][o*len(h[in.Src])+k] += dz * v
					dh[in.Src][k] += dz * r.w[in.W][o*len(h[in.Src])+k]
				}
			}
		}
	}
	return loss, g
}

func norm(g [][]float64) float64 {
	s := 0.0
	for _, a := range g {
		for _, v := range a {
			s += v * v
		}
	}
	return math.Sqrt(s)
}

// adam is AdamW with clipping (Kingma 2015 algorithm 1, Loshchilov 2019 algorithm 2).
func (r *reference) adam(g [][]float64, lr float64, o fit.Options) {
	r.step++
	scale := 1.0
	if n := norm(g); o.Clip > 0 && n > o.Clip {
		scale = o.Clip / n
	}
	s := float64(r.step)
	for i := range g {
		for j, x := range g[i] {
			x *= scale
			r.m[i][j] = o.Beta1*r.m[i][j] + (1-o.Beta1)*x
			r.v[i][j] = o.Beta2*r.v[i][j] + (1-o.Beta2)*x*x
			m, v := r.m[i][j]/(1-math.Pow(o.Beta1, s)), r.v[i][j]/(1-math.Pow(o.Beta2, s))
			r.w[i][j] -= lr * (m/(math.Sqrt(v)+o.Eps) + o.Decay*r.w[i][j])
			ema := min(o.EMA, s/(9+s))
			r.e[i][j] = ema*r.e[i][j] + (1-ema)*r.w[i][j]
		}
	}
}

// relative is |a - b| / |b| over all parameters.
func relative(a [][]float32, b [][]float64) float64 {
	num, den := 0.0, 0.0
	for i := range b {
		for j, v := range b[i] {
			e := float64(a[i][j]) - v
			num += e * e
			den += v * v
		}
	}
	return math.Sqrt(num / den)
}
