package ops

import (
	"fmt"
	"math"
)

// Sinusoid is the sinusoidal embedding of a time, or its derivative of the given order in the time: t [1], result [Dim],
//
//	[sin(f_i t), cos(f_i t)]      f_i = MaxPeriod^(−i/(Dim/2 − Shift)),  i = 0 … ⌊Dim/2⌋−1
//
// with the cosines first if CosFirst, and a zero at the end of an odd Dim. DDPM has the sines first and Shift 1, DiT the
// cosines first and Shift 0 (Vaswani 2017, arXiv:1706.03762, section 3.5; Ho 2020; Peebles and Xie 2023).
//
// Phases are computed in float64: times are of the order of 1000, where float32 phases are wrong in the fifth digit.
type Sinusoid struct {
	Dim       int
	MaxPeriod float64
	Shift     float64
	CosFirst  bool
	Order     int
}

func (o Sinusoid) Name() string { return "sinusoid" }

func (o Sinusoid) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	if o.Dim < 2 || float64(o.Dim/2) <= o.Shift || !(o.MaxPeriod > 1) || o.Order < 0 {
		return nil, fmt.Errorf("%d features with shift %g and period %g; want at least 2, more than twice the shift, and a period above 1", o.Dim, o.Shift, o.MaxPeriod)
	}
	return [][]int{{o.Dim}}, scalar(in, 0)
}

// Eval writes the features of time t to dst.
func (o Sinusoid) Eval(dst []float64, t float64) {
	half := o.Dim / 2
	sin, cos := dst[:half], dst[half:2*half]
	if o.CosFirst {
		sin, cos = cos, sin
	}
	for i := range half {
		f := math.Exp(-math.Log(o.MaxPeriod) * float64(i) / (float64(half) - o.Shift))
		s, c := sinusoids(f*t, o.Order)
		a := math.Pow(f, float64(o.Order))
		sin[i], cos[i] = a*s, a*c
	}
	if o.Dim%2 == 1 {
		dst[o.Dim-1] = 0
	}
}

// sinusoids are the derivatives of sin and cos of the given order at x.
func sinusoids(x float64, order int) (s, c float64) {
	s, c = math.Sincos(x)
	switch order % 4 {
	case 1:
		return c, -s
	case 2:
		return -s, -c
	case 3:
		return -c, s
	}
	return s, c
}

func (o Sinusoid) Reference(in, out []tensor) { o.Eval(out[0].Data, in[0].Data[0]) }
func (Sinusoid) Cost(in, out [][]int) cost    { return moved(in, out) }

func (o Sinusoid) JVP(e emitter, in []value, _ value, din []value) value {
	o.Order++
	return Product(e, one(e, o, in[0]), din[0])
}

func (o Sinusoid) VJP(e emitter, in []value, _, g value, _ []bool) []value {
	o.Order++
	return []value{Dot(e, one(e, o, in[0]), g)}
}

// Fourier is the Gaussian Fourier embedding of a time, or its derivative of the given order in the time: frequencies [F],
// t [1], result [2F] = [sin(2π f t), cos(2π f t)] (Tancik 2020, arXiv:2006.10739). Frequencies have no derivative: they
// are not trained.
type Fourier struct{ Order int }

func (Fourier) Name() string { return "fourier" }

func (Fourier) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 2); err != nil {
		return nil, err
	}
	if err := ranked(in, 0, 1, "[frequencies]"); err != nil {
		return nil, err
	}
	return [][]int{{2 * in[0][0]}}, scalar(in, 1)
}

func (o Fourier) Reference(in, out []tensor) {
	n := len(in[0].Data)
	for i, f := range in[0].Data {
		turns := math.Remainder(f*in[1].Data[0], 1)
		s, c := sinusoids(2*math.Pi*turns, o.Order)
		a := math.Pow(2*math.Pi*f, float64(o.Order))
		out[0].Data[i], out[0].Data[n+i] = a*s, a*c
	}
}

func (Fourier) Cost(in, out [][]int) cost { return moved(in, out) }

func (o Fourier) JVP(e emitter, in []value, _ value, din []value) value {
	if din[1] == nil {
		return nil
	}
	o.Order++
	return Product(e, one(e, o, in[0], in[1]), din[1])
}

func (o Fourier) VJP(e emitter, in []value, _, g value, want []bool) []value {
	if !want[1] {
		return make([]value, 2)
	}
	o.Order++
	return []value{nil, Dot(e, one(e, o, in[0], in[1]), g)}
}
