package ops

import "fmt"

// SumPool is the sum over blocks of 2×2 pixels: [H, W, C] → [⌊H/2⌋, ⌊W/2⌋, C]. An odd last row or column is dropped.
type SumPool struct{}

func (SumPool) Name() string { return "sum_pool" }

func (SumPool) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	if err := ranked(in, 0, 3, "[height, width, channels]"); err != nil {
		return nil, err
	}
	if in[0][0] < 2 || in[0][1] < 2 {
		return nil, fmt.Errorf("an image of %d×%d has no 2×2 pixels", in[0][0], in[0][1])
	}
	return [][]int{{in[0][0] / 2, in[0][1] / 2, in[0][2]}}, nil
}

func (SumPool) Reference(in, out []tensor) {
	W, C := in[0].Shape[1], in[0].Shape[2]
	n := 0
	each(out[0].Shape, func(i []int) {
		p := (2*i[0]*W+2*i[1])*C + i[2]
		x := in[0].Data
		out[0].Data[n] = x[p] + x[p+C] + x[p+W*C] + x[p+W*C+C]
		n++
	})
}

func (SumPool) Cost(in, out [][]int) cost { return moved(in, out) }

func (o SumPool) JVP(e emitter, _ []value, _ value, din []value) value { return one(e, o, din[0]) }

func (SumPool) VJP(e emitter, in []value, _, g value, _ []bool) []value {
	s := in[0].Shape()
	return []value{one(e, Upsample{s[0], s[1]}, g)}
}

// Upsample repeats each pixel twice in both directions: [h, w, C] → [H, W, C] with H = 2h or 2h + 1 and W likewise. An odd
// last row or column is zero, so that this is the transpose of SumPool.
type Upsample struct{ H, W int }

func (Upsample) Name() string { return "upsample" }

func (o Upsample) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	if err := ranked(in, 0, 3, "[height, width, channels]"); err != nil {
		return nil, err
	}
	if o.H/2 != in[0][0] || o.W/2 != in[0][1] {
		return nil, fmt.Errorf("%d×%d is not twice the size of %v", o.H, o.W, in[0])
	}
	return [][]int{{o.H, o.W, in[0][2]}}, nil
}

func (o Upsample) Reference(in, out []tensor) {
	h, w, C := in[0].Shape[0], in[0].Shape[1], in[0].Shape[2]
	for i := range 2 * h {
		for j := range 2 * w {
			copy(out[0].Data[(i*o.W+j)*C:][:C], in[0].Data[(i/2*w+j/2)*C:])
		}
	}
}

func (Upsample) Cost(in, out [][]int) cost { return moved(in, out) }

func (o Upsample) JVP(e emitter, _ []value, _ value, din []value) value { return one(e, o, din[0]) }

func (Upsample) VJP(e emitter, _ []value, _, g value, _ []bool) []value {
	return []value{one(e, SumPool{}, g)}
}

// Twice emits an image of twice the size.
func Twice(e emitter, x value) value {
	s := x.Shape()
	if len(s) != 3 {
		s = make([]int, 3)
	}
	return one(e, Upsample{2 * s[0], 2 * s[1]}, x)
}
