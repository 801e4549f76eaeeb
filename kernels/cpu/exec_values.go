package cpu

import (
	"slices"

	"hbar/program"
)

// array is a value of the block that runs, as rows of its last dimension.
type array struct {
	s    []float32
	cols int
	ld   int // from one row to the next
}

// array returns a value, which may be a view.
func (x *Executor) array(id program.ID) array {
	v := &x.values[id]
	cols := lastDim(v.Shape)
	if v.view == nil {
		return array{v.s, cols, cols}
	}
	of := x.array(v.view.Of)
	if v.view.Ld == 0 { // another shape
		return array{of.s, cols, cols}
	}
	return array{of.s[v.view.Lo:], cols, of.ld}
}

// get returns a value that is no view of columns, for n samples or one for all.
func (x *Executor) get(id program.ID) []float32 {
	a := x.array(id)
	if a.ld != a.cols {
		panic("cpu: a view is used as an array")
	}
	return a.s
}

// each returns a value with one array for each of the block's samples: that of all samples is copied.
func (x *Executor) each(id program.ID) []float32 {
	s := x.get(id)
	if v := &x.values[id]; v.Rate == program.Sample || x.n == 1 {
		return s
	}
	size := x.values[id].size
	c := make([]float32, 0, x.n*size)
	for range x.n {
		c = append(c, s[:size]...)
	}
	return c
}

// wide returns a scalar for each of the block's samples in float64.
func (x *Executor) wide(id program.ID) []float64 {
	v := &x.values[id]
	if v.Role == program.Input {
		if v.Rate == program.Sample || x.n == 1 {
			return v.wide[:x.n]
		}
		w := make([]float64, x.n)
		for i := range w {
			w[i] = v.wide[0]
		}
		return w
	}
	w := make([]float64, x.n)
	for i, f := range x.each(id)[:x.n] {
		w[i] = float64(f)
	}
	return w
}

func lastDim(shape []int) int {
	if len(shape) == 0 {
		return 1
	}
	return shape[len(shape)-1]
}

// rows of the last dimension in one sample of a value.
func (x *Executor) rows(id program.ID) int {
	v := &x.values[id]
	return v.size / max(1, lastDim(v.Shape))
}

func (x *Executor) shape(id program.ID) []int { return x.values[id].Shape }

// constant reports whether a value changes only when parameters do.
func (x *Executor) constant(id program.ID) bool { return x.values[id].Rate == program.Constant }

// read reports whether an instruction or the caller reads a value.
func (x *Executor) read(id program.ID) bool {
	return slices.ContainsFunc(x.prog.Instrs, func(in program.Instr) bool { return slices.Contains(in.In, id) }) ||
		slices.ContainsFunc(x.prog.Outputs, func(o program.Output) bool { return o.ID == id })
}
