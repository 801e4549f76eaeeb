package main

import (
	"cmp"
	"fmt"

	"hbar/internal/memory"
	"hbar/internal/rates"
	"hbar/kernels/cpu"
	"hbar/program"
)

// live is the largest number of elements, of all samples together, that eval.Run keeps at a time for n samples, besides inputs
// and parameters.
func live(p *program.Program, n int) float64 {
	size := func(id program.ID) float64 {
		v := p.Values[id]
		if v.Role != program.Derived {
			return 0
		}
		if v.Rate == program.Sample {
			return float64(n) * float64(program.Size(v.Shape))
		}
		return float64(program.Size(v.Shape))
	}
	last := make([]int, len(p.Values)) // instruction that reads a value last
	for i, in := range p.Instrs {
		for _, id := range in.In {
			last[id] = i
		}
		for _, id := range in.Out {
			last[id] = i
		}
	}
	for _, o := range p.Outputs {
		last[o.ID] = len(p.Instrs)
	}
	now, most := 0.0, 0.0
	ends := make([][]program.ID, len(p.Instrs)+1)
	for id := range p.Values {
		ends[last[id]] = append(ends[last[id]], program.ID(id))
	}
	for i, in := range p.Instrs {
		for _, id := range in.Out {
			now += size(id)
		}
		most = max(most, now)
		for _, id := range ends[i] {
			now -= size(id)
		}
	}
	return most
}

// elements is the number of elements of the parameters.
func (s *subject) elements() float64 {
	n := 0
	for i := range s.net.Params {
		n += s.net.Params[i].Size()
	}
	return float64(n)
}

// checkEval refuses an evaluation of n samples that does not fit in memory. results is the number of elements of the results of
// one sample.
func (s *subject) checkEval(all []*program.Program, o options, n, results int, team *cpu.Team, l memory.Limit) error {
	work := 0.0
	for _, p := range all {
		if o.Precision == fp64 {
			work = max(work, 8*live(p, 1))
			continue
		}
		if o.Device.Kind == "cuda" {
			continue // they are in the device's memory
		}
		x, err := cpu.NewExecutor(p, team, cpu.Options{})
		if err != nil {
			return err
		}
		work = max(work, float64(x.Bytes(x.Block())))
	}
	each := 8 * float64(results)
	need := memory.Need{{What: "values of the network", Bytes: work}, {What: "results", Bytes: each * float64(n)}}
	if o.Precision == fp64 {
		need = append(need, memory.Part{What: "parameters in float64", Bytes: 8 * s.elements()})
	}
	return memory.Check(need, l, func(usable float64) string {
		m := memory.Round(int(max(0, min(usable-(need.Total()-each*float64(n)), each*float64(n))) / each))
		if m == 0 {
			return ""
		}
		return fmt.Sprintf("a file of %d samples would fit", m)
	})
}

// checkBench says what a measurement takes, and refuses one that does not fit in memory.
func (b *bencher) checkBench(l memory.Limit) (memory.Need, error) {
	cores, _ := b.work.Machine.(rates.Cores)
	var all []*cpu.Executor
	for _, p := range []*program.Program{b.net.Program, b.work.VJP, b.work.Training.Program} {
		if cores.Team == nil {
			continue // values are in the device's memory
		}
		x, err := cpu.NewExecutor(p, cores.Team, cpu.Options{})
		if err != nil {
			return nil, err
		}
		all = append(all, x)
	}
	d := float64(program.Size(b.net.Config.SampleShape()))
	lanes := func(n int) float64 {
		if cores.Team == nil {
			return 0
		}
		return float64(cpu.LanesOf(n, cores.Team.Workers(), 0))
	}
	need := func(n int) memory.Need {
		work := 0.0
		for _, x := range all {
			work = max(work, float64(x.Bytes(n)))
		}
		return memory.Need{{What: "values of the network", Bytes: work}, {What: "a batch", Bytes: (4*5*d + 64) * float64(n)},
			{What: "weights, gradients and moments of training", Bytes: (16 + 4*lanes(n)) * b.elements()}}
	}
	smaller := memory.Suggest(memory.Option{Name: "--batch", Value: b.o.Batch, Need: func(n int) float64 { return need(n).Total() }})
	return need(b.o.Batch), memory.Check(need(b.o.Batch), l, func(usable float64) string {
		return cmp.Or(smaller(usable), "no batch of this network would fit")
	})
}
