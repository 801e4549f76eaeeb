package fuse

import (
	"hbar/program"
	"hbar/program/ops"
)

// View says where a value that needs no memory of its own lies: in value Of, in rows of Ld columns, from column Lo on. It has
// another shape of all of Of where Ld is 0.
type View struct {
	Of     program.ID
	Lo, Ld int
}

// Views returns the views among the values of a program, by value, and nil for the others: other shapes of a value, and
// channels that only attention reads, which takes rows with a stride. Values with memory of their own are no views.
func Views(p *program.Program, own func(program.ID) bool) []*View {
	views := make([]*View, len(p.Values))
	readers := make([][]program.Instr, len(p.Values))
	for _, in := range p.Instrs {
		for _, id := range in.In {
			readers[id] = append(readers[id], in)
		}
	}
	output := make([]bool, len(p.Values))
	for _, o := range p.Outputs {
		output[o.ID] = true
	}
	for _, instr := range p.Instrs {
		if len(instr.In) == 0 || len(instr.Out) != 1 {
			continue
		}
		in, out := instr.In[0], instr.Out[0]
		if p.Values[in].Rate != p.Values[out].Rate || own(out) {
			continue
		}
		switch op := instr.Op.(type) {
		case program.Reshaper:
			if v := views[in]; v == nil || v.Ld == 0 {
				views[out] = &View{Of: in}
			}
		case ops.Slice:
			if !output[out] && strided(readers[out]) {
				views[out] = &View{in, op.Lo, last(p.Values[in].Shape)}
			}
		}
	}
	return views
}

// strided reports whether all readers of a value take rows with a stride.
func strided(readers []program.Instr) bool {
	for _, in := range readers {
		switch in.Op.(type) {
		case ops.Attention, ops.AttentionInput, ops.AttentionTangent, JoinedAttention, KeptAttention, KeptAttentionInput:
		default:
			return false
		}
	}
	return len(readers) > 0
}
