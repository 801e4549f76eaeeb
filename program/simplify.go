package program

// Prune returns p without the instructions that no output needs, with the given outputs (all those of p if none is named).
// Inputs and parameters stay, whether they are used or not.
func Prune(p *Program, outputs ...string) *Program {
	keep := p.Outputs
	if len(outputs) > 0 {
		keep = nil
		for _, name := range outputs {
			keep = append(keep, Output{name, p.Output(name)})
		}
	}
	needed := make([]bool, len(p.Values))
	for _, o := range keep {
		needed[o.ID] = true
	}
	used := make([]bool, len(p.Instrs))
	for i := len(p.Instrs) - 1; i >= 0; i-- {
		for _, id := range p.Instrs[i].Out {
			used[i] = used[i] || needed[id]
		}
		if used[i] {
			for _, id := range p.Instrs[i].In {
				needed[id] = true
			}
		}
	}
	b := NewBuilder()
	env := make([]Value, len(p.Values))
	leaf := b.Leaves()
	for i, v := range p.Values {
		if v.Role != Derived {
			env[i] = leaf(ID(i), v)
		}
	}
	for i, in := range p.Instrs {
		if used[i] {
			InlineInstr(b, in, env)
		}
	}
	for _, o := range keep {
		b.Output(o.Name, env[o.ID])
	}
	return b.Program()
}

// WithRate returns p with another rate of the named inputs, and of what depends on them.
func WithRate(p *Program, rate Rate, inputs ...string) *Program {
	b := NewBuilder()
	env := Inline(b, p, func(_ ID, v Info) Value {
		for _, name := range inputs {
			if v.Role == Input && v.Name == name {
				v.Rate = rate
			}
		}
		return b.leaf(v)
	})
	for _, o := range p.Outputs {
		b.Output(o.Name, env[o.ID])
	}
	return b.Program()
}
