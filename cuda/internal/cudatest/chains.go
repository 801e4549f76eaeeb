//go:build gpu && cgo

package cudatest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// Chain is a random network of outputs of order one: unit variance through plain layers, and residual ones that add a
// part as small as there are many of them.
func Chain(d, width, hidden int, act simd.Act, residual bool, freqs int) *kernels.Chain {
	r := rand.New(rand.NewPCG(1, uint64(d*width)))
	p := &kernels.Chain{D: d}
	for range freqs {
		p.Time.Freqs = append(p.Time.Freqs, float32(r.NormFloat64()))
	}
	p.Widths = []int{d + p.Time.Width()}
	for i := range hidden + 1 {
		in, out := p.Widths[i], width
		ins := kernels.Instr{Op: kernels.OpDense, Dst: i + 1, Src: i, Add: -1, W: 2 * i, B: 2*i + 1, Act: act}
		if i == hidden {
			out, ins.Act = d, simd.Identity
		} else if residual && i > 0 {
			ins.Add = i
		}
		w, b := make([]float32, in*out), make([]float32, out)
		gain := 1.0
		if ins.Add >= 0 {
			gain /= math.Sqrt(float64(hidden))
		}
		for j := range w {
			w[j] = float32((2*r.Float64() - 1) * gain * math.Sqrt(3/float64(in)))
		}
		for j := range b {
			b[j] = float32((2*r.Float64() - 1) * gain / 2)
		}
		p.Params = append(p.Params, kernels.Param{Rows: out, Cols: in, Data: w}, kernels.Param{Rows: out, Cols: 1, Data: b})
		p.Widths = append(p.Widths, out)
		p.Forward = append(p.Forward, ins)
	}
	p.Output = hidden + 1
	return p
}

// LayerSpec is one instruction: buffer i+1 = act(W buffer i) + buffer add, of the given width.
type LayerSpec struct {
	Width int
	Act   simd.Act
	Add   int
}

// Dense is a LayerSpec.
func Dense(width int, act simd.Act, add int) LayerSpec { return LayerSpec{width, act, add} }

// Layered is a random network of such layers.
func Layered(d, freqs int, layers ...LayerSpec) *kernels.Chain {
	p := Chain(d, layers[0].Width, 0, simd.Identity, false, freqs)
	r := rand.New(rand.NewPCG(2, uint64(len(layers))))
	p.Params, p.Forward, p.Widths = nil, nil, p.Widths[:1]
	for i, l := range layers {
		in := p.Widths[i]
		w, b := make([]float32, in*l.Width), make([]float32, l.Width)
		for j := range w {
			w[j] = float32((2*r.Float64() - 1) * math.Sqrt(3/float64(in)))
		}
		for j := range b {
			b[j] = float32(2*r.Float64()-1) / 2
		}
		p.Params = append(p.Params, kernels.Param{Name: fmt.Sprint("w", i), Rows: l.Width, Cols: in, Data: w}, kernels.Param{Name: fmt.Sprint("b", i), Rows: l.Width, Cols: 1, Data: b})
		p.Widths = append(p.Widths, l.Width)
		p.Forward = append(p.Forward, kernels.Instr{Op: kernels.OpDense, Dst: i + 1, Src: i, Add: l.Add, W: 2 * i, B: 2*i + 1, Act: l.Act})
	}
	p.Output = len(layers)
	return p
}

// Rows are 20 rows of a contracting recursion that uses every coefficient.
func Rows() []kernels.Row {
	rows := make([]kernels.Row, 20)
	for k := range rows {
		s := float64(k) / 20
		rows[k] = kernels.Row{Tau: 1 - s, Cin: 1 - 0.2*s, State: 0.9, Net: 0.08 + 0.02*s, Memory: 0.03, Noise: 0.1, KeepState: 0.4, KeepNet: -0.05, KeepNoise: 0.02, KeepMemory: 0.3, Step: uint32(k + 3)}
	}
	return rows
}
