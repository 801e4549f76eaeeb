package plan_test

import (
	"slices"
	"testing"

	"hbar/nets"
	"hbar/program"
	"hbar/program/ops"
	"hbar/program/plan"
)

// TestVectors: of a transformer the embeddings of times and labels and what modulates its layers are made for many samples at a time, in memory of their own.
func TestVectors(t *testing.T) {
	c, err := nets.NewDiT([]int{8, 8, 2}, 3, nets.DiTSizes{Patch: 2, Width: 16, Depth: 2, Heads: 2})
	if err != nil {
		t.Fatal(err)
	}
	net, err := nets.New(c)
	if err != nil {
		t.Fatal(err)
	}
	p := net.Program
	of := func(vectors bool) *plan.Plan {
		o := plan.Options{
			Own:  func(id program.ID) bool { return p.Values[id].Role != program.Derived },
			View: func(program.ID) program.ID { return program.None },
		}
		if vectors {
			o.Vector = func(program.Op) bool { return true }
		}
		return plan.New(p, o)
	}
	pl, without := of(true), of(false)
	if without.Vectors != 0 || slices.Contains(without.Stage, plan.Vectors) {
		t.Error("a plan has the stage although nobody asked for it")
	}
	early := map[program.ID]bool{}
	dense, end := 0, 0
	for i, in := range p.Instrs {
		if pl.Stage[i] != plan.Vectors {
			if pl.Stage[i] != without.Stage[i] {
				t.Errorf("%s is in stage %d; it was in %d", in.Op.Name(), pl.Stage[i], without.Stage[i])
			}
			continue
		}
		for _, id := range in.In {
			if v := p.Values[id]; v.Rate == program.Sample && !early[id] && !(v.Role == program.Input && program.Size(v.Shape) == 1) {
				t.Errorf("%s needs %s of the block", in.Op.Name(), v.Name)
			}
		}
		if in.Op.Name() == "dense" {
			dense++
		}
		for _, id := range in.Out {
			early[id] = true
			if pl.Offset[id] < end {
				t.Errorf("%s writes at %d, which another value has", in.Op.Name(), pl.Offset[id])
			}
			end = pl.Offset[id] + program.Size(p.Values[id].Shape)
		}
	}
	if end > pl.Vectors {
		t.Errorf("values end at %d of %d", end, pl.Vectors)
	}
	if want := 2 + c.Depth + 1; dense != want { // of the embedding of times, of each layer's modulation and of the last
		t.Errorf("%d dense layers make vectors; want %d", dense, want)
	}
	if pl.PerSample > without.PerSample {
		t.Errorf("a block takes %d numbers a sample; without the stage %d", pl.PerSample, without.PerSample)
	}
}

// TestSize: values take as much memory as the executor says, and the plan of all others is the same.
func TestSize(t *testing.T) {
	b := program.NewBuilder()
	x := b.Input("x", program.Sample, 10, 16)
	y := b.Apply(ops.Unary{Fn: ops.SiLU}, x)[0]
	z := b.Apply(ops.Unary{Fn: ops.SiLU}, y)[0]
	b.Output("z", b.Apply(ops.Unary{Fn: ops.SiLU}, z)[0])
	p, half := b.Program(), b.ID(y)
	of := func(size func(id program.ID) int) *plan.Plan {
		return plan.New(p, plan.Options{
			Own:  func(id program.ID) bool { return p.Values[id].Role != program.Derived },
			View: func(program.ID) program.ID { return program.None },
			Size: size,
		})
	}
	whole := of(nil)
	if want := 2 * 160; whole.PerSample != want { // the result is where the first value was
		t.Errorf("a sample takes %d elements; want %d", whole.PerSample, want)
	}
	halves := of(func(id program.ID) int {
		if id == half {
			return 80
		}
		return 160
	})
	if want := 80 + 160 + 160; halves.PerSample > want || halves.Offset[b.ID(z)] != 80 {
		t.Errorf("a sample takes %d elements, and the second value is at %d; want at most %d, and 80", halves.PerSample, halves.Offset[b.ID(z)], want)
	}
}
