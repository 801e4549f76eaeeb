package ops

import (
	"fmt"

	"hbar/program"
)

// Patchify cuts an array into patches of Patch positions in each direction: [H, W, C] → [H/P · W/P, P·P·C] or [T, C] →
// [T/P, P·C]. Patches are in row-major order; within one the order is (row, column, channel).
type Patchify struct{ Patch int }

func (Patchify) Name() string { return "patchify" }

func (o Patchify) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	s := in[0]
	if o.Patch < 1 || len(s) != 2 && len(s) != 3 {
		return nil, fmt.Errorf("patches of %d of the shape %v; want [height, width, channels] or [positions, channels]", o.Patch, s)
	}
	tokens, width := 1, s[len(s)-1]
	for _, n := range s[:len(s)-1] {
		if n%o.Patch != 0 {
			return nil, fmt.Errorf("patches of %d do not divide %v", o.Patch, s)
		}
		tokens *= n / o.Patch
		width *= o.Patch
	}
	return [][]int{{tokens, width}}, nil
}

// Runs calls f for each run of consecutive elements that image and patches share: their offsets, and the length of all.
func (o Patchify) Runs(image []int, f func(image, patches, n int)) {
	p, c := o.Patch, image[len(image)-1]
	if len(image) == 2 {
		f(0, 0, image[0]*c)
		return
	}
	W := image[1]
	for i := range image[0] {
		for j := range W / p {
			f((i*W+j*p)*c, ((i/p*(W/p)+j)*p+i%p)*p*c, p*c)
		}
	}
}

func (o Patchify) Reference(in, out []tensor) {
	o.Runs(in[0].Shape, func(image, patches, n int) {
		copy(out[0].Data[patches:patches+n], in[0].Data[image:])
	})
}

func (Patchify) Cost(in, out [][]int) cost { return moved(in, out) }

func (o Patchify) JVP(e emitter, _ []value, _ value, din []value) value { return one(e, o, din[0]) }

func (o Patchify) VJP(e emitter, in []value, _, g value, _ []bool) []value {
	return []value{one(e, Unpatchify{o.Patch, in[0].Shape()}, g)}
}

// Unpatchify is the inverse of Patchify for arrays of Shape.
type Unpatchify struct {
	Patch int
	Shape []int
}

func (Unpatchify) Name() string { return "unpatchify" }

func (o Unpatchify) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	want, err := Patchify{o.Patch}.Shapes([][]int{o.Shape})
	if err == nil && !program.SameShape(want[0], in[0]) {
		err = fmt.Errorf("patches of %v; want %v to make %v", in[0], want[0], o.Shape)
	}
	return [][]int{o.Shape}, err
}

func (o Unpatchify) Reference(in, out []tensor) {
	Patchify{o.Patch}.Runs(o.Shape, func(image, patches, n int) {
		copy(out[0].Data[image:image+n], in[0].Data[patches:])
	})
}

func (Unpatchify) Cost(in, out [][]int) cost { return moved(in, out) }

func (o Unpatchify) JVP(e emitter, _ []value, _ value, din []value) value { return one(e, o, din[0]) }

func (o Unpatchify) VJP(e emitter, _ []value, _, g value, _ []bool) []value {
	return []value{one(e, Patchify{o.Patch}, g)}
}
