package diff

import (
	"errors"
	"slices"

	"hbar/program"
	"hbar/program/ops"
)

// VJP returns p with the cotangents of leaves (inputs and parameters) for cotangents of outputs.
//
// cotangents names the input that holds the cotangent of each output: an input that is there already, or a new one. leaves
// names the new output that is the cotangent of each leaf. The cotangent of a leaf that all samples share, a parameter above
// all, is summed over the batch.
func VJP(p *program.Program, cotangents, leaves map[string]string) (*program.Program, error) {
	return VJPs(p, []Pullback{{cotangents, leaves}})
}

// Pullback are the names of one set of cotangents: those of outputs, which are inputs, and those of leaves, as VJP has them.
type Pullback struct{ Cotangents, Leaves map[string]string }

// VJPs is VJP for several sets of cotangents, which share the values of p. All of them are of the same leaves.
func VJPs(p *program.Program, sets []Pullback) (*program.Program, error) {
	for _, s := range sets {
		if err := check(p, s.Leaves, s.Cotangents); err != nil {
			return nil, err
		}
	}
	return program.Build(func(b *program.Builder) {
		x, env := inline(b, p, sets[0].Leaves, func(op program.Op) bool {
			_, ok := op.(program.VJP)
			return ok
		})
		instrs, values := slices.Clone(b.Program().Instrs), slices.Clone(b.Program().Values)
		for _, s := range sets {
			r := &reverse{x, map[program.ID]*cotangent{}}
			for _, o := range p.Outputs {
				if name, ok := s.Cotangents[o.Name]; ok {
					r.accumulate(env[o.ID], leafNamed(b, name, env[o.ID]))
				}
			}
			for i := len(instrs) - 1; i >= 0; i-- {
				r.pull(instrs[i])
			}
			for id, v := range values {
				name, ok := s.Leaves[v.Name]
				if !ok || v.Role == program.Derived {
					continue
				}
				leaf := b.Value(program.ID(id))
				g := r.take(program.ID(id))
				if g == nil || g.Rate() < leaf.Rate() {
					g = add(b, zeros(b, leaf), g)
				}
				b.Output(name, g)
			}
		}
	})
}

// reverse is a reverse sweep.
type reverse struct {
	*expander
	ct map[program.ID]*cotangent
}

// cotangent is the sum of the terms of a value's cotangent so far: those of the value's own rate, and those of a higher rate, which must
// still be summed over the batch.
type cotangent struct{ own, higher program.Value }

func (r *reverse) accumulate(v, g program.Value) {
	id := r.b.ID(v)
	if !r.active[id] {
		return
	}
	c := r.ct[id]
	if c == nil {
		c = &cotangent{}
		r.ct[id] = c
	}
	if g.Rate() == program.Sample && v.Rate() < program.Sample {
		c.higher = add(r.b, c.higher, g)
	} else {
		c.own = add(r.b, c.own, g)
	}
}

// take returns the cotangent of a value, or nil.
func (r *reverse) take(id program.ID) program.Value {
	c := r.ct[id]
	if c == nil {
		return nil
	}
	if c.higher != nil {
		c.own = add(r.b, c.own, r.b.Apply(ops.SumBatch{}, c.higher)[0])
		c.higher = nil
	}
	return c.own
}

// sumsSince reports whether an instruction sums over the batch, among those from a number on.
func (r *reverse) sumsSince(first int) bool {
	return slices.ContainsFunc(r.b.Program().Instrs[first:], func(in program.Instr) bool {
		_, ok := in.Op.(program.BatchSum)
		return ok
	})
}

// pull emits the cotangents of an instruction's inputs.
func (r *reverse) pull(in program.Instr) {
	g := r.take(in.Out[0])
	if g == nil {
		return
	}
	vs := values(r.b, in.In)
	want := make([]bool, len(in.In))
	for i, id := range in.In {
		want[i] = r.active[id]
	}
	out, before := r.b.Value(in.Out[0]), len(r.b.Program().Instrs)
	for i, d := range in.Op.(program.VJP).VJP(r.b, vs, out, g, want) {
		if want[i] && d != nil {
			if out.Rate() == program.Sample && g.Rate() < program.Sample && vs[i].Rate() < program.Sample && d.Rate() < program.Sample && !r.sumsSince(before) {
				panic(&program.Error{Op: in.Op.Name(), Err: errors.New("a cotangent that all samples share is not summed for an input that they share too")})
			}
			r.accumulate(vs[i], d)
		}
	}
}
