package program

import "fmt"

// ID names a value of a program: its index in Values.
type ID int

// None is no value.
const None ID = -1

// Info describes a value.
type Info struct {
	Name  string // of inputs and parameters; empty for the others
	Shape []int
	Rate  Rate
	Role  Role
}

// Instr applies an op. Each value that has role Derived is the output of just one instruction, before its first use.
type Instr struct {
	Op      Op
	In, Out []ID
}

// Output is a named result of a program.
type Output struct {
	Name string
	ID   ID
}

// Program is a straight-line program. It is not changed after it is built: transforms make new ones.
type Program struct {
	Values  []Info
	Instrs  []Instr
	Outputs []Output
}

// Lookup returns the input or parameter of that name, or None.
func (p *Program) Lookup(name string) ID {
	for i, v := range p.Values {
		if v.Role != Derived && v.Name == name {
			return ID(i)
		}
	}
	return None
}

// Output returns the value of an output, or None.
func (p *Program) Output(name string) ID {
	for _, o := range p.Outputs {
		if o.Name == name {
			return o.ID
		}
	}
	return None
}

// With lists the values of a role in their order.
func (p *Program) With(role Role) []ID {
	var ids []ID
	for i, v := range p.Values {
		if v.Role == role {
			ids = append(ids, ID(i))
		}
	}
	return ids
}

// Cost is the cost of a batch of n samples. Values that all samples share are computed once.
func (p *Program) Cost(n int) Cost {
	var sum Cost
	for _, in := range p.Instrs {
		c := p.InstrCost(in)
		times := 1.0
		if p.InstrRate(in) == Sample {
			times = float64(n)
		}
		sum.MulAdds += times * c.MulAdds
		sum.Elements += times * c.Elements
	}
	return sum
}

// InstrCost is the cost of one execution of an instruction.
func (p *Program) InstrCost(in Instr) Cost {
	return in.Op.Cost(p.Shapes(in.In), p.Shapes(in.Out))
}

// InstrRate is how often an instruction is executed: the highest rate of its inputs.
func (p *Program) InstrRate(in Instr) Rate {
	r := Constant
	for _, id := range in.In {
		r = max(r, p.Values[id].Rate)
	}
	return r
}

// Shapes are the shapes of values.
func (p *Program) Shapes(ids []ID) [][]int {
	s := make([][]int, len(ids))
	for i, id := range ids {
		s[i] = p.Values[id].Shape
	}
	return s
}

// Check reports the first fault of p: a value that is used before it is written or written twice, or a
// shape or rate that is not what the op's rules say.
func (p *Program) Check() error {
	written := make([]bool, len(p.Values))
	names := map[string]bool{}
	for i, v := range p.Values {
		if v.Role == Derived {
			continue
		}
		written[i] = true
		if v.Name == "" || names[v.Name] {
			return fmt.Errorf("program: value %d is an %s with the name %q; want a name of its own", i, v.Role, v.Name)
		}
		names[v.Name] = true
	}
	for i, in := range p.Instrs {
		if err := p.checkInstr(in, written); err != nil {
			return fmt.Errorf("program: instruction %d, %s: %w", i, in.Op.Name(), err)
		}
	}
	for i, w := range written {
		if !w {
			return fmt.Errorf("program: nothing writes value %d", i)
		}
	}
	outputs := map[string]bool{}
	for _, o := range p.Outputs {
		if o.ID < 0 || int(o.ID) >= len(p.Values) || o.Name == "" || outputs[o.Name] {
			return fmt.Errorf("program: output %q is value %d of %d; want a value and a name of its own", o.Name, o.ID, len(p.Values))
		}
		outputs[o.Name] = true
	}
	return nil
}

func (p *Program) checkInstr(in Instr, written []bool) error {
	var rates []Rate
	for _, id := range in.In {
		if id < 0 || int(id) >= len(p.Values) || !written[id] {
			return fmt.Errorf("it reads value %d, which is not written before", id)
		}
		rates = append(rates, p.Values[id].Rate)
	}
	want, err := in.Op.Shapes(p.Shapes(in.In))
	if err != nil {
		return err
	}
	if len(want) != len(in.Out) {
		return fmt.Errorf("it has %d outputs; want %d", len(in.Out), len(want))
	}
	for i, id := range in.Out {
		if id < 0 || int(id) >= len(p.Values) || written[id] {
			return fmt.Errorf("it writes value %d, which is not there or written already", id)
		}
		written[id] = true
		v := p.Values[id]
		if rate := OutputRate(in.Op, rates); !SameShape(v.Shape, want[i]) || v.Rate != rate {
			return fmt.Errorf("value %d is %v of rate %s; the rules say %v of rate %s", id, v.Shape, v.Rate, want[i], rate)
		}
	}
	return nil
}
