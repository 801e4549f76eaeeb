package infer

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// shape describes a random test network.
type shape struct {
	name     string
	d        int
	hidden   []int
	act      simd.Act
	freqs    int  // Fourier features; 0 for the time itself
	residual bool // every hidden layer after the first adds its source
	again    bool // the input enters every hidden layer's sum: a second dense layer on buffer 0 is added
	addInput bool // the last hidden layer adds the input (its width is D + time features)
	outAct   bool // the output is activated
}

var shapes = []shape{
	{name: "paper", d: 2, hidden: []int{128, 128, 128}, act: simd.SiLU},
	{name: "odd", d: 1, hidden: []int{7, 19, 33}, act: simd.Tanh},
	{name: "wide", d: 3, hidden: []int{200, 96}, act: simd.GELU},
	{name: "residual", d: 2, hidden: []int{40, 40, 40}, act: simd.SiLU, freqs: 5, residual: true},
	{name: "again", d: 3, hidden: []int{24, 24, 24}, act: simd.GELU, again: true},
	{name: "input", d: 2, hidden: []int{16, 0}, act: simd.Tanh, freqs: 3, addInput: true},
	{name: "large", d: 17, hidden: []int{48, 48}, act: simd.SiLU},
	{name: "larger", d: 64, hidden: []int{32}, act: simd.SiLU, freqs: 2},
	{name: "activated", d: 2, hidden: []int{20}, act: simd.Tanh, outAct: true},
	{name: "linear", d: 3},
}

// program builds the network with uniform random weights of variance 1/in.
func (s shape) program() *kernels.Chain {
	r := rand.New(rand.NewPCG(1, uint64(len(s.name))))
	p := &kernels.Chain{D: s.d}
	if s.freqs > 0 {
		for range s.freqs {
			p.Time.Freqs = append(p.Time.Freqs, float32(2*r.NormFloat64()))
		}
	}
	in := s.d + p.Time.Width()
	p.Widths = []int{in}
	param := func(name string, rows, cols int, scale float64) int {
		q := kernels.Param{Name: name, Rows: rows, Cols: cols}
		for range rows * cols {
			q.Data = append(q.Data, float32((2*r.Float64()-1)*scale))
		}
		p.Params = append(p.Params, q)
		return len(p.Params) - 1
	}
	dense := func(src, width, add int, act simd.Act) int {
		i := len(p.Forward)
		c := math.Sqrt(3 / float64(p.Widths[src]))
		p.Widths = append(p.Widths, width)
		p.Forward = append(p.Forward, kernels.Instr{
			Op: kernels.OpDense, Dst: len(p.Widths) - 1, Src: src, Add: add, Act: act,
			W: param(fmt.Sprintf("dense%d.weight", i), width, p.Widths[src], c), B: param(fmt.Sprintf("dense%d.bias", i), width, 1, 0.5),
		})
		return len(p.Widths) - 1
	}
	at := 0
	for i, w := range s.hidden {
		add := -1
		switch {
		case s.residual && i > 0:
			add = at
		case s.again && i > 0:
			add = dense(0, w, -1, simd.Identity)
		case s.addInput && i == len(s.hidden)-1:
			w, add = in, 0
		}
		at = dense(at, w, add, s.act)
	}
	act := simd.Identity
	if s.outAct {
		act = simd.Tanh
	}
	p.Output = dense(at, s.d, -1, act)
	return p
}

// reference evaluates a program in float64 by loops, with its own activations.
func reference(p *kernels.Chain, x []float64, tau float64) []float64 {
	bufs := make([][]float64, len(p.Widths))
	bufs[0] = slices.Clone(x)
	if p.Time.Freqs == nil {
		bufs[0] = append(bufs[0], tau)
	}
	for _, f := range p.Time.Freqs {
		bufs[0] = append(bufs[0], math.Sin(2*math.Pi*float64(f)*tau))
	}
	for _, f := range p.Time.Freqs {
		bufs[0] = append(bufs[0], math.Cos(2*math.Pi*float64(f)*tau))
	}
	for _, ins := range p.Forward {
		w, b := p.Params[ins.W], p.Params[ins.B]
		y := make([]float64, w.Rows)
		for o := range y {
			s := float64(b.Data[o])
			for k, v := range bufs[ins.Src] {
				s += float64(w.Data[o*w.Cols+k]) * v
			}
			switch ins.Act {
			case simd.SiLU:
				s /= 1 + math.Exp(-s)
			case simd.GELU:
				s *= math.Erfc(-s/math.Sqrt2) / 2
			case simd.Tanh:
				s = math.Tanh(s)
			}
			if ins.Add >= 0 {
				s += bufs[ins.Add][o]
			}
			y[o] = s
		}
		bufs[ins.Dst] = y
	}
	return bufs[p.Output]
}

// derivative is (d/dh) n(x + h v) at h = 0 by a central difference of sixth order: error about 10⁻¹¹ here.
func derivative(p *kernels.Chain, x, v []float64, tau float64) []float64 {
	const h = 4e-3
	out := make([]float64, p.D)
	y := make([]float64, len(x))
	for i, c := range []float64{45, -9, 1} {
		for _, sign := range []float64{1, -1} {
			for j := range y {
				y[j] = x[j] + sign*float64(i+1)*h*v[j]
			}
			for j, n := range reference(p, y, tau) {
				out[j] += sign * c * n / (60 * h)
			}
		}
	}
	return out
}

func newEngine(t testing.TB, p *kernels.Chain, o Options) *Engine {
	t.Helper()
	e, err := New(p, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// each runs f for every implementation of the kernels.
func each(t *testing.T, f func(t *testing.T, im *simd.Impl)) {
	for _, im := range simd.All() {
		t.Run(im.Name, func(t *testing.T) { f(t, im) })
	}
}

// points returns n standard normal samples, and their times in [0, 1].
func points(n, d int) (x, tau []float64) {
	r := rand.New(rand.NewPCG(3, 4))
	for range n {
		for range d {
			x = append(x, float64(float32(r.NormFloat64())))
		}
		tau = append(tau, float64(r.Float32()))
	}
	return x, tau
}

func narrow(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// worst returns the largest |got-want|/(1+|want|); NaN counts as infinite.
func worst[F simd.Float](t *testing.T, got []F, want []float64) float64 {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d values, want %d", len(got), len(want))
	}
	w := 0.0
	for i, v := range got {
		e := math.Abs(float64(v)-want[i]) / (1 + math.Abs(want[i]))
		if !(e <= w) {
			w = e
		}
		if math.IsNaN(e) {
			return math.Inf(1)
		}
	}
	return w
}

// tol32 allows for the rounding of float32 sums of a few hundred terms through a few layers; tol64 the same in float64.
const (
	tol32 = 3e-6
	tol64 = 1e-13
)

func atMost(t *testing.T, what string, got, limit float64) {
	t.Helper()
	if !(got <= limit) {
		t.Errorf("%s: error %.2g, want at most %.2g", what, got, limit)
	}
}
