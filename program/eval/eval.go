// Package eval runs programs by the ops' references, in float64. It is slow, and the definition of what back ends compute.
package eval

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"hbar/program"
)

// Run evaluates p for n samples. Values are by name, those of inputs and parameters given, those of outputs returned: n arrays,
// one after the other, for rate Sample, one for the other rates.
func Run(p *program.Program, n int, given map[string][]float64) (map[string][]float64, error) {
	return RunContext(context.Background(), p, n, given)
}

// RunContext is Run that ends with the error of a context that has ended. It looks at the context before each sample of an
// instruction.
func RunContext(ctx context.Context, p *program.Program, n int, given map[string][]float64) (map[string][]float64, error) {
	r := &run{ctx: ctx, p: p, n: n, data: make([][]float64, len(p.Values)), last: lastUses(p)}
	for id, v := range p.Values {
		if v.Role == program.Derived {
			continue
		}
		d, ok := given[v.Name]
		if !ok {
			return nil, fmt.Errorf("eval: %s %s is not given", v.Role, v.Name)
		}
		if want := r.rows(v.Rate) * program.Size(v.Shape); len(d) != want {
			return nil, fmt.Errorf("eval: %s %s has %d numbers; want %d", v.Role, v.Name, len(d), want)
		}
		r.data[id] = d
	}
	for i, in := range p.Instrs {
		r.instr(in)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r.free(i)
	}
	out := map[string][]float64{}
	for _, o := range p.Outputs {
		out[o.Name] = r.data[o.ID]
	}
	return out, nil
}

type run struct {
	ctx  context.Context
	p    *program.Program
	n    int
	data [][]float64
	last map[int][]program.ID
}

func (r *run) rows(rate program.Rate) int {
	if rate == program.Sample {
		return r.n
	}
	return 1
}

// lastUses are the values that are not needed after an instruction.
func lastUses(p *program.Program) map[int][]program.ID {
	seen := make([]bool, len(p.Values))
	for _, o := range p.Outputs {
		seen[o.ID] = true
	}
	last := map[int][]program.ID{}
	for i := len(p.Instrs) - 1; i >= 0; i-- {
		for _, id := range slices.Concat(p.Instrs[i].In, p.Instrs[i].Out) {
			if !seen[id] && p.Values[id].Role == program.Derived {
				last[i] = append(last[i], id)
			}
			seen[id] = true
		}
	}
	return last
}

func (r *run) free(i int) {
	for _, id := range r.last[i] {
		r.data[id] = nil
	}
}

func (r *run) instr(in program.Instr) {
	for _, id := range in.Out {
		v := r.p.Values[id]
		r.data[id] = make([]float64, r.rows(v.Rate)*program.Size(v.Shape))
	}
	n := r.rows(r.p.InstrRate(in))
	if _, sums := in.Op.(program.BatchSum); sums || n == 1 {
		for i := range n {
			r.sample(in, i)
		}
		return
	}
	workers := min(n, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				r.sample(in, i)
			}
		})
	}
	wg.Wait()
}

func (r *run) sample(in program.Instr, i int) {
	if r.ctx.Err() != nil { // instr's caller asks too
		return
	}
	in.Op.Reference(r.tensors(in.In, i), r.tensors(in.Out, i))
}

// tensors are the arrays of sample i.
func (r *run) tensors(ids []program.ID, i int) []program.Tensor {
	ts := make([]program.Tensor, len(ids))
	for k, id := range ids {
		v := r.p.Values[id]
		size := program.Size(v.Shape)
		at := 0
		if v.Rate == program.Sample {
			at = i * size
		}
		ts[k] = program.Tensor{Shape: v.Shape, Data: r.data[id][at : at+size]}
	}
	return ts
}
