package general

import (
	"fmt"

	"hbar/program"
	"hbar/program/ops"
)

// LabelRows are the inputs of a program that choose rows of tables, its labels, with the number of rows of the smallest of their tables.
func LabelRows(p *program.Program) map[program.ID]int {
	rows := map[program.ID]int{}
	note := func(id program.ID, n int) {
		if p.Values[id].Role != program.Input {
			return
		}
		if least, ok := rows[id]; ok {
			n = min(n, least)
		}
		rows[id] = n
	}
	for _, in := range p.Instrs {
		switch op := in.Op.(type) {
		case ops.Embedding:
			note(in.In[1], p.Values[in.In[0]].Shape[0])
		case ops.EmbeddingTable:
			note(in.In[0], op.Rows)
		}
	}
	return rows
}

// CheckLabels is an error unless all labels, rounded as the back ends do, are rows of a table of so many. The back end and the input are named in the
// message.
func CheckLabels[F float32 | float64](backEnd, name string, rows int, labels []F) error {
	for _, y := range labels {
		if v := float64(y); !(v > -0.5 && v < float64(rows)-0.5) {
			return fmt.Errorf("%s: input %s has the label %v; its table has %d rows, so labels are 0 to %d", backEnd, name, v, rows, rows-1)
		}
	}
	return nil
}
