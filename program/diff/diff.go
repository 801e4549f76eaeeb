// Package diff transforms programs into their derivatives: JVP adds tangents, VJP cotangents. Both are programs of the same
// ops again, so they compose: the gradient of εᵀ(∂f/∂x)ε is VJP after JVP, its Hessian times a vector VJP after JVP after JVP.
//
// An op that lacks the rule is replaced by its fallback.
package diff

import (
	"errors"
	"fmt"

	"hbar/program"
	"hbar/program/ops"
)

// expander emits to a builder and keeps track of the values that depend on what is differentiated. It replaces ops on them
// that lack the rule.
type expander struct {
	b       *program.Builder
	active  map[program.ID]bool
	hasRule func(program.Op) bool
}

func (x *expander) Apply(op program.Op, in ...program.Value) []program.Value {
	active := false
	for _, v := range in {
		active = active || x.active[x.b.ID(v)]
	}
	if active && !x.hasRule(op) {
		f, ok := op.(program.Fused)
		if !ok {
			panic(&program.Error{Op: op.Name(), Err: errors.New("it has no rule for this derivative, and no fallback")})
		}
		return f.Fallback(x, in)
	}
	out := x.b.Apply(op, in...)
	for _, v := range out {
		if active {
			x.active[x.b.ID(v)] = true
		}
	}
	return out
}

// inline emits p to a new builder with ops replaced as expander does, and marks what depends on the named leaves.
func inline(b *program.Builder, p *program.Program, wrt map[string]string, hasRule func(program.Op) bool) (*expander, []program.Value) {
	x := &expander{b, map[program.ID]bool{}, hasRule}
	leaf := b.Leaves()
	env := program.Inline(x, p, func(id program.ID, v program.Info) program.Value {
		l := leaf(id, v)
		if _, ok := wrt[v.Name]; ok {
			x.active[b.ID(l)] = true
		}
		return l
	})
	for _, o := range p.Outputs {
		b.Output(o.Name, env[o.ID])
	}
	return x, env
}

// leafNamed returns the leaf of that name, which must be like v, or adds an input of the shape and rate of v; inputs change with each batch.
func leafNamed(b *program.Builder, name string, v program.Value) program.Value {
	if id := b.Program().Lookup(name); id != program.None {
		old := b.Value(id)
		if !program.SameShape(old.Shape(), v.Shape()) {
			panic(&program.Error{Op: "input " + name, Shapes: [][]int{old.Shape()}, Err: fmt.Errorf("want the shape %v", v.Shape())})
		}
		return old
	}
	return b.Input(name, max(v.Rate(), program.Step), v.Shape()...)
}

func check(p *program.Program, leaves, outputs map[string]string) error {
	for name := range leaves {
		if p.Lookup(name) == program.None {
			return fmt.Errorf("diff: no input or parameter is named %q", name)
		}
	}
	for name := range outputs {
		if p.Output(name) == program.None {
			return fmt.Errorf("diff: no output is named %q", name)
		}
	}
	return nil
}

// zeros emits zeros of the shape and rate of v.
func zeros(e program.Emitter, v program.Value) program.Value {
	return ops.Affine(e, 0, 0, v)
}

// add is a + b, where nil is zero.
func add(e program.Emitter, a, b program.Value) program.Value {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return ops.Sum(e, a, b)
}
