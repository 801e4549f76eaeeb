package fuse

import (
	"fmt"

	"hbar/program"
)

// Fallbacks returns p with the operations that a back end has no kernel for replaced by their fallbacks. One without either is an
// error that names it.
func Fallbacks(p *program.Program, backEnd string, has func(op program.Op, in [][]int) bool) (*program.Program, error) {
	all := true
	for _, in := range p.Instrs {
		all = all && has(in.Op, p.Shapes(in.In))
	}
	if all {
		return p, nil
	}
	return program.Build(func(b *program.Builder) {
		env := program.Inline(replacer{b, backEnd, has}, p, b.Leaves())
		for _, o := range p.Outputs {
			b.Output(o.Name, env[o.ID])
		}
	})
}

// replacer emits fallbacks in place of ops without a kernel.
type replacer struct {
	*program.Builder
	backEnd string
	has     func(op program.Op, in [][]int) bool
}

func (r replacer) Apply(op program.Op, in ...program.Value) []program.Value {
	shapes := make([][]int, len(in))
	for i, v := range in {
		shapes[i] = v.Shape()
	}
	if r.has(op, shapes) {
		return r.Builder.Apply(op, in...)
	}
	f, ok := op.(program.Fused)
	if !ok {
		panic(&program.Error{Op: op.Name(), Shapes: shapes, Err: fmt.Errorf("the %s has no kernel for it", r.backEnd)})
	}
	return f.Fallback(r, in)
}
