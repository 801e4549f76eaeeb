package program_test

import (
	"testing"

	"hbar/graph"
	"hbar/nets"
	"hbar/program"
	"hbar/program/plan"
)

// In a training program the gradient of a parameter is made as soon as its operands are, the program is still one, and the values of a
// sample take less memory than with all gradients of parameters at the end.
func TestEarly(t *testing.T) {
	config, err := nets.NewUNet([]int{8, 8, 1}, 0, nets.UNetSizes{Channels: []int{8, 16}, Layers: 1, Groups: 4})
	if err != nil {
		t.Fatal(err)
	}
	n, err := nets.New(config)
	if err != nil {
		t.Fatal(err)
	}
	training, err := n.TrainingProgram(3)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, q := range n.Params {
		if !q.Fixed {
			names = append(names, q.Name)
		}
	}
	d, err := graph.Differentiate(training, names, 2)
	if err != nil {
		t.Fatal(err)
	}
	early := d.Program
	if err := early.Check(); err != nil {
		t.Fatal(err)
	}
	made := map[program.ID]int{}
	for i, in := range early.Instrs {
		for _, id := range in.Out {
			made[id] = i
		}
	}
	used := map[program.ID]bool{}
	for _, in := range early.Instrs {
		for _, id := range in.In {
			used[id] = true
		}
	}
	// Between the last operand of a gradient and the gradient there is nothing but other gradients.
	for _, name := range names {
		g := made[early.Output(graph.GradName(name))]
		if used[early.Output(graph.GradName(name))] {
			continue
		}
		after := -1
		for _, id := range early.Instrs[g].In {
			if i, ok := made[id]; ok {
				after = max(after, i)
			}
		}
		for i := after + 1; i < g; i++ {
			for _, id := range early.Instrs[i].Out {
				if used[id] {
					t.Errorf("the gradient of %s is instruction %d; its last operand is %d, and %d, %s, is in between", name, g, after, i, early.Instrs[i].Op.Name())
				}
			}
		}
	}
	memoryAgainstLate(t, early, used)
}

// memoryAgainstLate compares the memory of the order with that in which all gradients are at the end.
func memoryAgainstLate(t *testing.T, early *program.Program, used map[program.ID]bool) {
	late := *early
	late.Instrs = nil
	for _, last := range []bool{false, true} {
		for _, in := range early.Instrs {
			is := true
			for _, id := range in.Out {
				is = is && !used[id]
			}
			if is == last {
				late.Instrs = append(late.Instrs, in)
			}
		}
	}
	if err := late.Check(); err != nil {
		t.Fatal(err)
	}
	memory := func(p *program.Program) int {
		return plan.New(p, plan.Options{
			Own:  func(id program.ID) bool { return p.Values[id].Role != program.Derived },
			View: func(program.ID) program.ID { return program.None },
		}).PerSample
	}
	if e, l := memory(early), memory(&late); !(float64(e) < 0.9*float64(l)) { // 0.61 of it
		t.Errorf("a sample takes %d numbers; with the gradients of parameters at the end %d", e, l)
	} else {
		t.Logf("a sample takes %d numbers; with the gradients of parameters at the end %d", e, l)
	}
}
