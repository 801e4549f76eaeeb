package cpu

import (
	"hbar/program"
	"hbar/program/fuse"
	"hbar/program/ops"
)

// attention is the routine for queries and keys of the given values.
func (x *Executor) attention(op ops.Attention, q, k program.ID) *Attention {
	s := x.shape(q)
	return &Attention{Heads: op.Heads, TQ: s[0], TK: x.shape(k)[0], D: s[1] / op.Heads}
}

// heads is a value as the routine sees it.
func (x *Executor) heads(id program.ID) Heads {
	a := x.eachRows(id)
	return Heads{S: a.s, Row: a.ld, Sample: x.shape(id)[0] * a.ld}
}

func (x *Executor) allHeads(ids []program.ID) []Heads {
	h := make([]Heads, len(ids))
	for i, id := range ids {
		h[i] = x.heads(id)
	}
	return h
}

func bindAttention(x *Executor, in program.Instr) (bound, error) {
	a := x.attention(in.Op.(ops.Attention), in.In[0], in.In[1])
	return bound{run: func() {
		a.N = x.n
		h := x.allHeads(in.In)
		a.Forward(x.team, x.heads(in.Out[0]), h[0], h[1], h[2])
	}}, nil
}

// attentionInput binds the cotangents of an attention; out are the places of those of queries, keys and values. Inputs are these, the cotangent of the result and, if
// they were kept, the probabilities.
func (x *Executor) attentionInput(op ops.Attention, in program.Instr, out func(a *Attention) []Heads) bound {
	a := x.attention(op, in.In[0], in.In[1])
	return bound{run: func() {
		a.N = x.n
		h, d := x.allHeads(in.In[:4]), out(a)
		var p []float32
		if len(in.In) == 5 {
			p = x.get(in.In[4])
		}
		a.Backward(x.team, d[0], d[1], d[2], h[3], h[0], h[1], h[2], p)
	}}
}

func bindAttentionInput(x *Executor, in program.Instr) (bound, error) {
	return x.attentionInput(in.Op.(ops.AttentionInput).Of, in, func(*Attention) []Heads { return x.allHeads(in.Out) }), nil
}

func bindAttentionTangent(x *Executor, in program.Instr) (bound, error) {
	a := x.attention(in.Op.(ops.AttentionTangent).Of, in.In[0], in.In[1])
	return bound{run: func() {
		a.N = x.n
		h := x.allHeads(in.In)
		a.Tangent(x.team, x.heads(in.Out[0]), h[0], h[1], h[2], h[3], h[4], h[5])
	}}, nil
}

func bindKeptAttention(x *Executor, in program.Instr) (bound, error) {
	a := x.attention(in.Op.(fuse.KeptAttention).Attention, in.In[0], in.In[1])
	return bound{run: func() {
		a.N = x.n
		h := x.allHeads(in.In)
		a.ForwardKeep(x.team, x.heads(in.Out[0]), h[0], h[1], h[2], x.get(in.Out[1]))
	}}, nil
}

func bindKeptAttentionInput(x *Executor, in program.Instr) (bound, error) {
	return x.attentionInput(in.Op.(fuse.KeptAttentionInput).Of, in, func(*Attention) []Heads { return x.allHeads(in.Out) }), nil
}
