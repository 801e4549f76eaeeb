package program

import (
	"fmt"
	"slices"
)

// Builder writes a program. It merges instructions that compute the same.
type Builder struct {
	p    Program
	seen map[string][]ID // outputs by op and inputs
}

// NewBuilder returns an empty builder.
func NewBuilder() *Builder { return &Builder{seen: map[string][]ID{}} }

// ref is a value of a builder.
type ref struct {
	b  *Builder
	id ID
}

func (r ref) Shape() []int { return r.b.p.Values[r.id].Shape }
func (r ref) Rate() Rate   { return r.b.p.Values[r.id].Rate }

// Build runs f on a new builder and returns the program. An op that refuses its inputs ends it with an error.
func Build(f func(b *Builder)) (p *Program, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			p, err = nil, e
		}
	}()
	b := NewBuilder()
	f(b)
	return b.Program(), nil
}

// Program returns what was built so far.
func (b *Builder) Program() *Program {
	p := b.p
	p.Values, p.Instrs, p.Outputs = slices.Clip(p.Values), slices.Clip(p.Instrs), slices.Clip(p.Outputs)
	return &p
}

func (b *Builder) add(v Info) ID {
	b.p.Values = append(b.p.Values, v)
	return ID(len(b.p.Values) - 1)
}

func (b *Builder) leaf(v Info) Value {
	if v.Name == "" || b.p.Lookup(v.Name) != None {
		panic(&Error{Op: v.Role.String(), Shapes: [][]int{v.Shape}, Err: fmt.Errorf("the name %q is empty or taken", v.Name)})
	}
	v.Shape = slices.Clone(v.Shape)
	return ref{b, b.add(v)}
}

// Input adds an input.
func (b *Builder) Input(name string, rate Rate, shape ...int) Value {
	return b.leaf(Info{Name: name, Shape: shape, Rate: rate, Role: Input})
}

// Param adds a parameter.
func (b *Builder) Param(name string, shape ...int) Value {
	return b.leaf(Info{Name: name, Shape: shape, Rate: Constant, Role: Param})
}

// Output names a result.
func (b *Builder) Output(name string, v Value) {
	b.p.Outputs = append(b.p.Outputs, Output{name, b.ID(v)})
}

// ID is the name of v in the program.
func (b *Builder) ID(v Value) ID {
	r, ok := v.(ref)
	if !ok || r.b != b {
		panic("program: a value of another builder")
	}
	return r.id
}

// Value is the value of that name.
func (b *Builder) Value(id ID) Value { return ref{b, id} }

// Apply implements Emitter.
func (b *Builder) Apply(op Op, in ...Value) []Value {
	ids := make([]ID, len(in))
	rates := make([]Rate, len(in))
	for i, v := range in {
		ids[i] = b.ID(v)
		rates[i] = v.Rate()
	}
	key := fmt.Sprint(Key(op), ids)
	out, ok := b.seen[key]
	if !ok {
		shapes, err := op.Shapes(b.p.Shapes(ids))
		if err != nil {
			panic(&Error{Op: op.Name(), Shapes: b.p.Shapes(ids), Err: err})
		}
		rate := OutputRate(op, rates)
		for _, s := range shapes {
			out = append(out, b.add(Info{Shape: s, Rate: rate}))
		}
		b.p.Instrs = append(b.p.Instrs, Instr{op, ids, out})
		b.seen[key] = out
	}
	values := make([]Value, len(out))
	for i, id := range out {
		values[i] = ref{b, id}
	}
	return values
}

// Inline emits the instructions of p with the given values for its inputs and parameters, and returns all values of p.
// leaf is called for each input and parameter.
func Inline(e Emitter, p *Program, leaf func(id ID, v Info) Value) []Value {
	env := make([]Value, len(p.Values))
	for i, v := range p.Values {
		if v.Role != Derived {
			env[i] = leaf(ID(i), v)
		}
	}
	for _, in := range p.Instrs {
		InlineInstr(e, in, env)
	}
	return env
}

// InlineInstr emits one instruction; env has the values by their IDs in the program it comes from.
func InlineInstr(e Emitter, in Instr, env []Value) {
	args := make([]Value, len(in.In))
	for i, id := range in.In {
		args[i] = env[id]
	}
	for i, v := range e.Apply(in.Op, args...) {
		env[in.Out[i]] = v
	}
}

// Leaves returns a leaf function for Inline that adds the inputs and parameters of another program to b under their names.
func (b *Builder) Leaves() func(ID, Info) Value {
	return func(_ ID, v Info) Value { return b.leaf(v) }
}
