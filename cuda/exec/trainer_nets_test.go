//go:build gpu && cgo

package exec_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/kernels/simd"
)

// net of a test: widths of its hidden layers.
type trainNet struct {
	d        int
	widths   []int
	act      simd.Act
	residual bool
	freqs    int
}

func (c trainNet) String() string {
	s := fmt.Sprintf("%d-%v-%s", c.d, c.widths, c.act)
	if c.residual {
		s += "-residual"
	}
	if c.freqs > 0 {
		s += fmt.Sprintf("-fourier%d", c.freqs)
	}
	return s
}

// training is a random network with its backward pass, in the form that package graph lowers to.
func (c trainNet) training() *kernels.ChainTraining {
	p := &kernels.ChainTraining{}
	p.D = c.d
	for i := range c.freqs {
		p.Time.Freqs = append(p.Time.Freqs, float32(i)-0.7*float32(c.freqs))
	}
	p.Widths = []int{c.d + p.Time.Width()}
	r := rand.New(rand.NewPCG(7, 1))
	depth := len(c.widths)
	for i := range depth + 1 {
		f := kernels.Instr{Dst: i + 1, Src: i, Add: -1, W: 2 * i, B: 2*i + 1, Act: c.act}
		in, out := p.Widths[i], c.d
		if i == depth {
			f.Act = simd.Identity
		} else {
			out = c.widths[i]
			if c.residual && i > 0 {
				f.Add = i
			}
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
	p.LossGrad = grad(c.d)
	dz, g := p.LossGrad, -1
	for i := depth; i >= 0; i-- {
		p.Backward = append(p.Backward, kernels.BackInstr{Op: kernels.BackParams, Src: dz, X: i, W: 2 * i, B: 2*i + 1, Dst: -1, Add: -1, Act: -1})
		if i == 0 {
			break
		}
		in := kernels.BackInstr{Op: kernels.BackInput, Src: dz, W: 2 * i, B: -1, X: -1, Add: -1, Act: i}
		if c.residual && i < depth {
			in.Add = g
		}
		dz = grad(c.widths[i-1])
		in.Dst = dz
		if c.residual && i > 1 {
			in.Act, g = -1, dz
			dz = grad(c.widths[i-1])
			p.Backward = append(p.Backward, in, kernels.BackInstr{Op: kernels.BackAct, Dst: dz, Src: g, Act: i, W: -1, B: -1, X: -1, Add: -1})
			continue
		}
		p.Backward = append(p.Backward, in)
	}
	return p
}

// Networks for the fused pass and for the one by layers: at and around whole vectors of 4, tiles of 16 and chunks of 128.
var trainNets = []trainNet{
	{2, []int{32, 32, 32}, simd.SiLU, false, 0},
	{3, []int{17, 17, 17}, simd.GELU, true, 5},
	{1, []int{130, 130, 130}, simd.Tanh, true, 0},
	{9, []int{20, 33, 7}, simd.SiLU, false, 3},
	{2, []int{516, 130}, simd.Tanh, false, 0},   // by layers
	{33, []int{19, 19, 19}, simd.SiLU, true, 2}, // by layers
	{5, nil, simd.SiLU, false, 0},               // linear, by layers
}

// testBatches are data and times that can be drawn on the device.
func testBatches(d int) *kernels.Batches {
	r := rand.New(rand.NewPCG(3, 4))
	b := &kernels.Batches{Seed: 1<<40 + 5, X: make([]float32, 37*d)}
	for i := range b.X {
		b.X[i] = float32(r.NormFloat64())
	}
	b.Times = kernels.TimeTable{Cells: 50, Curves: kernels.NewCurves(func(f float64) [kernels.Coefs]float64 {
		t := 0.01 + 0.99*f
		return [kernels.Coefs]float64{math.Exp(-t), math.Sqrt(t), -t, 1 / math.Sqrt(t), 0.3 + t*t, t}
	})}
	sum := 0.0
	for k := range b.Times.Cells {
		p := (1 + float64(k)) / 1275
		sum += p
		b.Times.Cumulative = append(b.Times.Cumulative, sum)
		b.Times.Ratios = append(b.Times.Ratios, 1/(50*p))
	}
	return b
}

// hostSource draws kernels.Batches on the host, as its documentation says.
type hostSource struct {
	b     *kernels.Batches
	d     int
	batch int
}

func (s hostSource) Fill(t *fit.Tile) {
	n := t.Hi - t.Lo
	first := uint64(t.Step)*uint64(s.batch) + uint64(t.Lo)
	z := make([]float32, n*s.d)
	kernels.Normals(z, kernels.Noise{Seed: s.b.Seed, Stream: kernels.StreamBatch, Sample0: first}, 0, n, s.d)
	for i := range n {
		row, u := kernels.Choose(s.b.Seed, first+uint64(i), uint64(len(s.b.X)/s.d))
		c := s.b.Times.At(u)
		for j := range s.d {
			v, z := s.b.X[row*uint64(s.d)+uint64(j)], z[i*s.d+j]
			t.X[i*s.d+j] = float32(c[kernels.CoefX0])*v + float32(c[kernels.CoefZ])*z
			t.Target[i*s.d+j] = float32(c[kernels.CoefTargetX0])*v + float32(c[kernels.CoefTargetZ])*z
		}
		t.Tau[i], t.Weight[i] = c[kernels.CoefTau], float32(c[kernels.CoefWeight])
	}
}

// gradient64 is loss and gradient of a batch in float64, by the chain rule on the forward instructions.
func gradient64(p *kernels.ChainTraining, src fit.Source, step int64, n int) (float64, [][]float64) {
	d := p.D
	t := &fit.Tile{Step: step, Hi: n, X: make([]float32, n*d), Tau: make([]float64, n), Target: make([]float32, n*d), Weight: make([]float32, n)}
	src.Fill(t)
	g := make([][]float64, len(p.Params))
	for i, q := range p.Params {
		g[i] = make([]float64, len(q.Data))
	}
	loss := 0.0
	features := make([]float32, p.Time.Width())
	for row := range n {
		p.Time.Fill(features, t.Tau[row])
		h, slope, dh := make([][]float64, len(p.Widths)), make([][]float64, len(p.Widths)), make([][]float64, len(p.Widths))
		for i, w := range p.Widths {
			h[i], slope[i], dh[i] = make([]float64, w), make([]float64, w), make([]float64, w)
		}
		for j, v := range append(slices.Clone(t.X[row*d:][:d]), features...) {
			h[0][j] = float64(v)
		}
		for _, in := range p.Forward {
			for o := range h[in.Dst] {
				a := float64(p.Params[in.B].Data[o])
				for k, v := range h[in.Src] {
					a += float64(p.Params[in.W].Data[o*len(h[in.Src])+k]) * v
				}
				h[in.Dst][o], slope[in.Dst][o] = in.Act.Eval(a)
				if in.Add >= 0 {
					h[in.Dst][o] += h[in.Add][o]
				}
			}
		}
		for j, y := range h[p.Output] {
			e, w := y-float64(t.Target[row*d+j]), float64(t.Weight[row])/float64(n*d)
			loss += w * e * e
			dh[p.Output][j] = 2 * w * e
		}
		for _, in := range slices.Backward(p.Forward) {
			for o, dy := range dh[in.Dst] {
				if in.Add >= 0 {
					dh[in.Add][o] += dy
				}
				dz := dy * slope[in.Dst][o]
				g[in.B][o] += dz
				for k, v := range h[in.Src] {
					g[in.W][o*len(h[in.Src])+k] += dz * v
					dh[in.Src][k] += dz * float64(p.Params[in.W].Data[o*len(h[in.Src])+k])
				}
			}
		}
	}
	return loss, g
}
