package ops

import (
	"fmt"
	"hbar/program"
	"strings"
)

// Einsum is the product of two arrays summed over the indices that are missing in the output, in Einstein's notation: with
// A = "thd", B = "shd" and Out = "hts" it is the scores of attention. Each index stands at most once in each term.
type Einsum struct{ A, B, Out string }

func (Einsum) Name() string { return "einsum" }

func (o Einsum) sizes(in [][]int) (map[rune]int, error) {
	sizes := map[rune]int{}
	for i, term := range []string{o.A, o.B} {
		if len(term) != len(in[i]) {
			return nil, fmt.Errorf("input %d has the shape %v; want %d dimensions, %s", i, in[i], len(term), term)
		}
		for d, c := range term {
			if n, ok := sizes[c]; ok && n != in[i][d] {
				return nil, fmt.Errorf("index %c is %d and %d", c, n, in[i][d])
			}
			sizes[c] = in[i][d]
		}
	}
	for _, c := range o.Out {
		if _, ok := sizes[c]; !ok {
			return nil, fmt.Errorf("index %c of the output is in no input", c)
		}
	}
	return sizes, nil
}

func (o Einsum) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 2); err != nil {
		return nil, err
	}
	sizes, err := o.sizes(in)
	if err != nil {
		return nil, err
	}
	s := make([]int, 0, len(o.Out))
	for _, c := range o.Out {
		s = append(s, sizes[c])
	}
	return [][]int{s}, nil
}

// indices are the output's indices, then those that are summed.
func (o Einsum) indices() string {
	all := o.Out
	for _, c := range o.A + o.B {
		if !strings.ContainsRune(all, c) {
			all += string(c)
		}
	}
	return all
}

func (o Einsum) Reference(in, out []tensor) {
	sizes, _ := o.sizes([][]int{in[0].Shape, in[1].Shape})
	all := o.indices()
	shape := make([]int, len(all))
	st := [3][]int{make([]int, len(all)), make([]int, len(all)), make([]int, len(all))}
	arrays := [3]tensor{in[0], in[1], out[0]}
	for d, c := range all {
		shape[d] = sizes[c]
		for t, term := range []string{o.A, o.B, o.Out} {
			if k := strings.IndexRune(term, c); k >= 0 {
				st[t][d] = program.Strides(arrays[t].Shape)[k]
			}
		}
	}
	last := len(all) - 1
	each(shape[:last], func(i []int) {
		a, b, c := offset(i, st[0]), offset(i, st[1]), offset(i, st[2])
		for k := range shape[last] {
			out[0].Data[c+k*st[2][last]] += in[0].Data[a+k*st[0][last]] * in[1].Data[b+k*st[1][last]]
		}
	})
}

func (o Einsum) Cost(in, out [][]int) cost {
	c := moved(in, out)
	sizes, err := o.sizes(in)
	if err == nil {
		c.MulAdds = 1
		for _, n := range sizes {
			c.MulAdds *= float64(n)
		}
	}
	return c
}

func (o Einsum) JVP(e emitter, in []value, _ value, din []value) value {
	var a, b value
	if din[0] != nil {
		a = one(e, o, din[0], in[1])
	}
	if din[1] != nil {
		b = one(e, o, in[0], din[1])
	}
	return sum(e, a, b)
}

func (o Einsum) VJP(e emitter, in []value, _, g value, want []bool) []value {
	r := make([]value, 2)
	if want[0] {
		r[0] = one(e, Einsum{o.Out, o.B, o.A}, g, in[1])
	}
	if want[1] {
		r[1] = one(e, Einsum{o.A, o.Out, o.B}, in[0], g)
	}
	return r
}
