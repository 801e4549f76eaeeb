// Package chain recognises programs that are chains of dense layers, which the fused executors of package kernels take whole:
// trajectories, paths, probability flows, expansions and training steps of such a network stay in cache.
package chain

import (
	"fmt"

	"hbar/kernels"
	"hbar/kernels/simd"
	"hbar/program"
	"hbar/program/ops"
)

// Of returns p as a chain with the given parameters, which are those of p in their order. The pattern is
//
//	h = concat(x, t) or concat(x, fourier(freqs, t))
//	h = f(dense(h)) or h + f(dense(h))                  any number of times
//	out = dense(h)
//
// for f silu, gelu or tanh. Any other program is an error that says where it departs from it. The chain shares the memory of
// the parameters.
func Of(p *program.Program, params []kernels.Param) (*kernels.Chain, error) {
	m := &matcher{p: p, buffer: map[program.ID]int{}, sums: map[program.ID]int{}, params: map[program.ID]int{}}
	if err := m.leaves(params); err != nil {
		return nil, err
	}
	for i, in := range p.Instrs {
		if err := m.instr(in); err != nil {
			return nil, fmt.Errorf("chain: instruction %d, %s: %w", i, in.Op.Name(), err)
		}
	}
	out, ok := m.buffer[p.Output("out")]
	if !ok || len(m.c.Forward) == 0 || out != m.c.Forward[len(m.c.Forward)-1].Dst {
		return nil, fmt.Errorf("chain: the output is not that of the last layer")
	}
	m.c.Output = out
	return &m.c, m.c.Validate()
}

// matcher follows a program as long as it is a chain.
type matcher struct {
	p      *program.Program
	c      kernels.Chain
	x, t   program.ID
	freqs  program.ID         // or None
	time   program.ID         // the time's features
	buffer map[program.ID]int // values that are buffers of the chain
	sums   map[program.ID]int // results of dense layers, by instruction
	params map[program.ID]int // index in Params
}

func (m *matcher) leaves(params []kernels.Param) error {
	m.x, m.t, m.freqs = m.p.Lookup("x"), m.p.Lookup("t"), program.None
	if m.x == program.None || m.t == program.None || len(m.p.With(program.Input)) != 2 || len(m.p.Values[m.x].Shape) != 1 {
		return fmt.Errorf("chain: the inputs are not a vector x and a time t")
	}
	m.c.D = m.p.Values[m.x].Shape[0]
	m.time = m.t
	fourier := program.None
	for _, in := range m.p.Instrs {
		if _, ok := in.Op.(ops.Fourier); ok {
			fourier = in.In[0]
		}
	}
	ids := m.p.With(program.Param)
	if len(ids) != len(params) {
		return fmt.Errorf("chain: %d parameters for a program of %d", len(params), len(ids))
	}
	for i, id := range ids {
		if id == fourier {
			m.c.Time.Freqs = params[i].Data
			continue
		}
		m.params[id] = len(m.c.Params)
		m.c.Params = append(m.c.Params, params[i])
	}
	return nil
}

func (m *matcher) newBuffer(id program.ID) int {
	s := m.p.Values[id].Shape
	m.c.Widths = append(m.c.Widths, s[len(s)-1])
	m.buffer[id] = len(m.c.Widths) - 1
	return m.buffer[id]
}

func (m *matcher) instr(in program.Instr) error {
	switch op := in.Op.(type) {
	case ops.Fourier:
		if op.Order != 0 || in.In[1] != m.t {
			return fmt.Errorf("it is not of the time")
		}
		m.time = in.Out[0]
		return nil
	case ops.Concat:
		if len(in.In) != 2 || in.In[0] != m.x || in.In[1] != m.time || len(m.c.Widths) > 0 {
			return fmt.Errorf("it does not join x and the time's features, once")
		}
		m.newBuffer(in.Out[0])
		return nil
	case ops.Dense:
		return m.dense(in)
	case ops.Unary:
		return m.activation(op, in)
	case ops.Add:
		return m.residual(in)
	}
	return fmt.Errorf("a chain has dense layers, activations and sums only")
}

func (m *matcher) dense(in program.Instr) error {
	if len(in.In) != 3 {
		return fmt.Errorf("it has no bias")
	}
	src, ok := m.buffer[in.In[0]]
	w, okW := m.params[in.In[1]]
	b, okB := m.params[in.In[2]]
	if !ok || !okW || !okB {
		return fmt.Errorf("its inputs are not a value of the chain and two parameters")
	}
	m.sums[in.Out[0]] = len(m.c.Forward)
	m.c.Forward = append(m.c.Forward, kernels.Instr{Op: kernels.OpDense, Dst: m.newBuffer(in.Out[0]), Src: src, Add: -1, W: w, B: b, Act: simd.Identity})
	return nil
}

// acts are the activations of fused executors.
var acts = map[ops.Fn]simd.Act{ops.SiLU: simd.SiLU, ops.GELU: simd.GELU, ops.Tanh: simd.Tanh}

// activation adds an activation to the layer before it, whose sum must have no other use.
func (m *matcher) activation(op ops.Unary, in program.Instr) error {
	i, ok := m.sums[in.In[0]]
	act, known := acts[op.Fn]
	if !ok || !known || op.Order != 0 || m.uses(in.In[0]) != 1 {
		return fmt.Errorf("it does not follow a layer of its own, or is none of silu, gelu, tanh")
	}
	m.c.Forward[i].Act = act
	m.buffer[in.Out[0]] = m.buffer[in.In[0]]
	delete(m.buffer, in.In[0])
	delete(m.sums, in.In[0])
	return nil
}

// residual adds a residual sum to the layer that computes the second term.
func (m *matcher) residual(in program.Instr) error {
	add, ok := m.buffer[in.In[0]]
	dst, okDst := m.buffer[in.In[1]]
	last := len(m.c.Forward) - 1
	if !ok || !okDst || last < 0 || m.c.Forward[last].Dst != dst || m.c.Forward[last].Add >= 0 || add >= dst || m.uses(in.In[1]) != 1 {
		return fmt.Errorf("its terms are not an earlier value and the last layer's, for it alone")
	}
	m.c.Forward[last].Add = add
	m.buffer[in.Out[0]] = dst
	delete(m.buffer, in.In[1])
	return nil
}

func (m *matcher) uses(id program.ID) int {
	n := 0
	for _, in := range m.p.Instrs {
		for _, i := range in.In {
			if i == id {
				n++
			}
		}
	}
	for _, o := range m.p.Outputs {
		if o.ID == id {
			n++
		}
	}
	return n
}

// Training is the chain with the gradient of its loss, as gorgonia.Grad gives it for the same network: each product is multiplied
// by the activation's derivative of the layer before, unless that value has another use, and the gradient that bypasses the layer by its
// residual sum is added.
func Training(c *kernels.Chain) *kernels.ChainTraining {
	t := &kernels.ChainTraining{Chain: *c}
	grad := func(buffer int) int {
		t.GradWidths = append(t.GradWidths, c.Widths[buffer])
		return len(t.GradWidths) - 1
	}
	last := len(c.Forward) - 1
	t.LossGrad = grad(c.Forward[last].Dst)
	sum := t.LossGrad // the gradient of the layer's sum
	past := -1        // the gradient of the layer's output, where a residual carries it past the layer
	sums := make([]int, len(c.Forward))
	for i := last; i > 0; i-- {
		q := c.Forward[i]
		sums[i] = sum
		before := c.Forward[i-1]
		in := kernels.BackInstr{Op: kernels.BackInput, Dst: grad(q.Src), Src: sum, Add: -1, X: -1, Act: -1, W: q.W, B: -1}
		if q.Add >= 0 {
			in.Add = past
		}
		if before.Add < 0 { // its output has one use beside this layer's own residual
			in.Act = before.Dst
			t.Backward = append(t.Backward, in)
			sum, past = in.Dst, -1
			continue
		}
		t.Backward = append(t.Backward, in)
		past = in.Dst
		act := kernels.BackInstr{Op: kernels.BackAct, Dst: grad(before.Dst), Src: past, Add: -1, X: -1, Act: before.Dst, W: -1, B: -1}
		t.Backward = append(t.Backward, act)
		sum = act.Dst
	}
	sums[0] = sum
	for i := last; i >= 0; i-- {
		q := c.Forward[i]
		t.Backward = append(t.Backward, kernels.BackInstr{Op: kernels.BackParams, Dst: -1, Src: sums[i], Add: -1, X: q.Src, Act: -1, W: q.W, B: q.B})
	}
	return t
}
