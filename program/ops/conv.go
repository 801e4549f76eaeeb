package ops

import (
	"fmt"

	"hbar/program"
)

// Conv is a cross-correlation in two dimensions: x [H, W, I], weights [O, kh, kw, I], bias [O] or absent, result [H′, W′, O]
// with
//
//	y[i, j, o] = b[o] + Σ w[o, p, q, c] x[i·Stride + p − Top, j·Stride + q − Left, c]
//
// and zeros outside the image. H′ = ⌊(H + Top + Bottom − kh)/Stride⌋ + 1.
type Conv struct {
	Stride                   int
	Left, Right, Top, Bottom int // padding
}

// Same is the padding of one on each side, with which a 3×3 convolution of stride 1 keeps the size.
var Same = Conv{Stride: 1, Left: 1, Right: 1, Top: 1, Bottom: 1}

func (Conv) Name() string { return "conv2d" }

// size is the output's height and width for an image h×w and a kernel kh×kw.
func (o Conv) size(h, w, kh, kw int) (int, int, error) {
	if o.Stride < 1 || min(o.Left, o.Right, o.Top, o.Bottom) < 0 {
		return 0, 0, fmt.Errorf("stride %d, padding %d, %d, %d, %d; want a positive stride and no negative padding", o.Stride, o.Left, o.Right, o.Top, o.Bottom)
	}
	a, b := h+o.Top+o.Bottom-kh, w+o.Left+o.Right-kw
	if a < 0 || b < 0 {
		return 0, 0, fmt.Errorf("an image of %d×%d with its padding is smaller than the kernel of %d×%d", h, w, kh, kw)
	}
	return a/o.Stride + 1, b/o.Stride + 1, nil
}

func (o Conv) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 2, 3); err != nil {
		return nil, err
	}
	if err := ranked(in, 0, 3, "[height, width, channels]"); err != nil {
		return nil, err
	}
	if err := ranked(in, 1, 4, "[out, kernel height, kernel width, in]"); err != nil {
		return nil, err
	}
	if in[0][2] != in[1][3] {
		return nil, fmt.Errorf("an image of %d channels meets weights for %d", in[0][2], in[1][3])
	}
	if len(in) == 3 && (len(in[2]) != 1 || in[2][0] != in[1][0]) {
		return nil, fmt.Errorf("a bias of %v meets weights for %d outputs", in[2], in[1][0])
	}
	h, w, err := o.size(in[0][0], in[0][1], in[1][1], in[1][2])
	return [][]int{{h, w, in[1][0]}}, err
}

// taps calls f for each output pixel and tap of the kernel that lies within the image: offsets of the pixel's channels in
// output and image, and the tap's in a kernel of one output.
func (o Conv) taps(image, kernel, result []int, f func(y, x, w int)) {
	H, W, I := image[0], image[1], image[2]
	kh, kw := kernel[1], kernel[2]
	for i := range result[0] {
		for j := range result[1] {
			for p := range kh {
				for q := range kw {
					r, c := i*o.Stride+p-o.Top, j*o.Stride+q-o.Left
					if r >= 0 && r < H && c >= 0 && c < W {
						f((i*result[1]+j)*result[2], (r*W+c)*I, (p*kw+q)*I)
					}
				}
			}
		}
	}
}

func (o Conv) Reference(in, out []tensor) {
	y, x, w := out[0], in[0], in[1]
	O, I, k := w.Shape[0], w.Shape[3], program.Size(w.Shape[1:])
	if len(in) == 3 {
		for i := range y.Data {
			y.Data[i] = in[2].Data[i%O]
		}
	}
	o.taps(x.Shape, w.Shape, y.Shape, func(yo, xo, wo int) {
		px := x.Data[xo : xo+I]
		for oc := range O {
			s := 0.0
			for c, v := range w.Data[oc*k+wo : oc*k+wo+I] {
				s += v * px[c]
			}
			y.Data[yo+oc] += s
		}
	})
}

func (o Conv) Cost(in, out [][]int) cost { return convCost(in[1], out[0], in, out) }

// convCost counts all taps, also those that fall on padding.
func convCost(kernel, result []int, in, out [][]int) cost {
	c := moved(in, out)
	c.MulAdds = float64(result[0]) * float64(result[1]) * float64(program.Size(kernel))
	return c
}

func (o Conv) JVP(e emitter, in []value, out value, din []value) value {
	var terms [3]value
	if din[0] != nil {
		terms[0] = one(e, o, din[0], in[1])
	}
	if din[1] != nil {
		terms[1] = one(e, o, in[0], din[1])
	}
	if len(in) == 3 {
		terms[2] = din[2]
	}
	return Expand(e, sum(e, terms[:]...), out.Shape())
}

func (o Conv) VJP(e emitter, in []value, _, g value, want []bool) []value {
	r := make([]value, len(in))
	s, k := in[0].Shape(), in[1].Shape()
	if want[0] {
		r[0] = one(e, ConvInput{o, s[0], s[1]}, g, in[1])
	}
	if want[1] {
		r[1] = one(e, ConvWeight{o, k[1], k[2]}, g, in[0])
	}
	if len(in) == 3 && want[2] {
		r[2] = one(e, BiasSum{}, g)
	}
	return r
}

// Convolve emits a convolution; b may be nil.
func Convolve(e emitter, c Conv, x, w, b value) value {
	if b == nil {
		return one(e, c, x, w)
	}
	return one(e, c, x, w, b)
}

// ConvInput is the cotangent of the image of a convolution, H×W: g [H′, W′, O], weights [O, kh, kw, I], result [H, W, I].
type ConvInput struct {
	Conv
	H, W int
}

func (ConvInput) Name() string { return "conv2d_input" }

func (o ConvInput) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 2); err != nil {
		return nil, err
	}
	if err := ranked(in, 0, 3, "[height, width, channels]"); err != nil {
		return nil, err
	}
	if err := ranked(in, 1, 4, "[out, kernel height, kernel width, in]"); err != nil {
		return nil, err
	}
	h, w, err := o.size(o.H, o.W, in[1][1], in[1][2])
	if err == nil && (in[0][0] != h || in[0][1] != w || in[0][2] != in[1][0]) {
		err = fmt.Errorf("the cotangent has the shape %v; want [%d %d %d]", in[0], h, w, in[1][0])
	}
	return [][]int{{o.H, o.W, in[1][3]}}, err
}

func (o ConvInput) Reference(in, out []tensor) {
	g, w, dx := in[0], in[1], out[0]
	O, I, k := w.Shape[0], w.Shape[3], program.Size(w.Shape[1:])
	o.taps(dx.Shape, w.Shape, g.Shape, func(yo, xo, wo int) {
		px := dx.Data[xo : xo+I]
		for oc := range O {
			y := g.Data[yo+oc]
			for c, v := range w.Data[oc*k+wo : oc*k+wo+I] {
				px[c] += v * y
			}
		}
	})
}

func (o ConvInput) Cost(in, out [][]int) cost { return convCost(in[1], in[0], in, out) }

func (o ConvInput) JVP(e emitter, in []value, _ value, din []value) value {
	var a, b value
	if din[0] != nil {
		a = one(e, o, din[0], in[1])
	}
	if din[1] != nil {
		b = one(e, o, in[0], din[1])
	}
	return sum(e, a, b)
}

func (o ConvInput) VJP(e emitter, in []value, _, g value, want []bool) []value {
	r := make([]value, 2)
	k := in[1].Shape()
	if want[0] {
		r[0] = one(e, o.Conv, g, in[1])
	}
	if want[1] {
		r[1] = one(e, ConvWeight{o.Conv, k[1], k[2]}, in[0], g)
	}
	return r
}

// ConvWeight is the cotangent of the weights of a convolution, summed over samples: g [H′, W′, O], x [H, W, I], result
// [O, KH, KW, I].
type ConvWeight struct {
	Conv
	KH, KW int
}

func (ConvWeight) Name() string { return "conv2d_weight" }
func (ConvWeight) SumsBatch()   {}

func (o ConvWeight) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 2); err != nil {
		return nil, err
	}
	for i := range in {
		if err := ranked(in, i, 3, "[height, width, channels]"); err != nil {
			return nil, err
		}
	}
	h, w, err := o.size(in[1][0], in[1][1], o.KH, o.KW)
	if err == nil && (in[0][0] != h || in[0][1] != w) {
		err = fmt.Errorf("the cotangent is %d×%d; want %d×%d", in[0][0], in[0][1], h, w)
	}
	return [][]int{{in[0][2], o.KH, o.KW, in[1][2]}}, err
}

func (o ConvWeight) Reference(in, out []tensor) {
	g, x, dw := in[0], in[1], out[0]
	O, I, k := dw.Shape[0], dw.Shape[3], program.Size(dw.Shape[1:])
	o.taps(x.Shape, dw.Shape, g.Shape, func(yo, xo, wo int) {
		px := x.Data[xo : xo+I]
		for oc := range O {
			y := g.Data[yo+oc]
			d := dw.Data[oc*k+wo : oc*k+wo+I]
			for c := range d {
				d[c] += px[c] * y
			}
		}
	})
}

func (o ConvWeight) Cost(in, out [][]int) cost { return convCost(out[0], in[0], in, out) }

func (o ConvWeight) JVP(e emitter, in []value, _ value, din []value) value {
	var a, b value
	if din[0] != nil {
		a = one(e, o, din[0], in[1])
	}
	if din[1] != nil {
		b = one(e, o, in[0], din[1])
	}
	return sum(e, a, b)
}

func (o ConvWeight) VJP(e emitter, in []value, _, g value, want []bool) []value {
	r := make([]value, 2)
	if want[0] {
		r[0] = one(e, o.Conv, in[1], g)
	}
	if want[1] {
		s := in[1].Shape()
		r[1] = one(e, ConvInput{o.Conv, s[0], s[1]}, in[0], g)
	}
	return r
}
