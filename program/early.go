package program

// Early returns p with every instruction whose results are outputs, and the operand of no other instruction, moved to directly behind
// the last of its operands. All others keep their order. A training program, whose gradients of parameters come last as it is
// made, then has each as soon as it can be computed: the memory of its operands is free sooner, and what is done with a gradient
// can begin while the rest of the backward pass still runs.
func Early(p *Program) *Program {
	maker := make([]int, len(p.Values)) // the instruction that makes a value
	for i := range maker {
		maker[i] = -1
	}
	used := make([]bool, len(p.Values))
	for i, in := range p.Instrs {
		for _, id := range in.In {
			used[id] = true
		}
		for _, id := range in.Out {
			maker[id] = i
		}
	}
	begin := []int{}                       // last instructions without an operand that another makes
	behind := make([][]int, len(p.Instrs)) // the last instructions whose last operand this one makes
	last := make([]bool, len(p.Instrs))
	for i, in := range p.Instrs {
		last[i] = true
		for _, id := range in.Out {
			last[i] = last[i] && !used[id]
		}
		if !last[i] {
			continue
		}
		after := -1
		for _, id := range in.In {
			after = max(after, maker[id])
		}
		if after < 0 {
			begin = append(begin, i)
		} else {
			behind[after] = append(behind[after], i)
		}
	}
	q := *p
	q.Instrs = make([]Instr, 0, len(p.Instrs))
	for _, i := range begin {
		q.Instrs = append(q.Instrs, p.Instrs[i])
	}
	for i, in := range p.Instrs {
		if last[i] {
			continue
		}
		q.Instrs = append(q.Instrs, in)
		for _, k := range behind[i] {
			q.Instrs = append(q.Instrs, p.Instrs[k])
		}
	}
	return &q
}
