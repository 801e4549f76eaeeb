package fuse

import (
	"slices"

	"hbar/program"
	"hbar/program/ops"
)

// mostKept is the most bytes of probabilities of a sample that are kept. All 19 MB of a DiT-S/2 save 2 % of the time of its VJP and of a training step where AVX-512 runs at full rate,
// and take as long to write and read as they save where AVX2 does.
const mostKept = 32 << 20

// keptColumns is what rows of kept probabilities are rounded up to, so that products can write them in whole vectors.
const keptColumns = 16

// KeptAttention is ops.Attention whose second output are its probabilities, softmax(q kᵀ/√d) of each head: [heads, T, S], with S rounded up to a multiple
// of 16. What is in the columns behind S is nobody's business.
type KeptAttention struct{ ops.Attention }

func (KeptAttention) Name() string { return "kept_attention" }

func (o KeptAttention) Shapes(in [][]int) ([][]int, error) {
	s, err := o.Attention.Shapes(in)
	if err != nil {
		return nil, err
	}
	return append(slices.Clone(s), o.probabilities(in[0], in[1])), nil
}

// probabilities is the shape of the second output.
func (o KeptAttention) probabilities(q, k []int) []int {
	return []int{o.Heads, q[0], (k[0] + keptColumns - 1) / keptColumns * keptColumns}
}

func (o KeptAttention) Cost(in, out [][]int) program.Cost { return o.Attention.Cost(in, out) }

// Reference writes the probabilities as the attention of values that are unit vectors: head h of the result for values 1 at position s is the probability of s.
func (o KeptAttention) Reference(in, out []program.Tensor) {
	o.Attention.Reference(in, out[:1])
	T, C := in[0].Shape[0], in[0].Shape[1]
	S, row := in[1].Shape[0], last(out[1].Shape)
	for s := range S {
		unit := program.Tensor{Shape: in[2].Shape, Data: make([]float64, S*C)}
		for c := range C {
			unit.Data[s*C+c] = 1
		}
		y := program.Tensor{Shape: in[0].Shape, Data: make([]float64, T*C)}
		o.Attention.Reference([]program.Tensor{in[0], in[1], unit}, []program.Tensor{y})
		for h := range o.Heads {
			for t := range T {
				out[1].Data[(h*T+t)*row+s] = y.Data[t*C+h*C/o.Heads]
			}
		}
	}
}

// KeptAttentionInput is ops.AttentionInput with the probabilities that KeptAttention stored: inputs q, k, v, g and those.
type KeptAttentionInput struct{ Of ops.Attention }

func (KeptAttentionInput) Name() string { return "kept_attention_input" }

func (o KeptAttentionInput) Shapes(in [][]int) ([][]int, error) {
	return ops.AttentionInput{Of: o.Of}.Shapes(in[:4])
}

func (o KeptAttentionInput) Cost(in, out [][]int) program.Cost {
	return ops.AttentionInput{Of: o.Of}.Cost(in[:4], out)
}

// Reference computes the probabilities again.
func (o KeptAttentionInput) Reference(in, out []program.Tensor) {
	ops.AttentionInput{Of: o.Of}.Reference(in[:4], out)
}

// keepProbabilities finds the attentions whose probabilities are kept: those with a backward pass in the program, from the last one on, whose matrices are read
// soonest, as far as they are not too large together.
func (f *fusion) keepProbabilities() {
	total := 0
	for i := range slices.Backward(f.p.Instrs) {
		in := f.p.Instrs[i]
		op, ok := in.Op.(ops.Attention)
		if !ok || f.p.Values[in.Out[0]].Rate != program.Sample {
			continue
		}
		var back []int // an instruction as often as it reads the queries
		for _, r := range f.readers[in.In[0]] {
			b := f.p.Instrs[r]
			if b.Op == program.Op(ops.AttentionInput{Of: op}) && slices.Equal(b.In[:3], in.In) {
				back = append(back, r)
			}
		}
		size := 4 * program.Size(KeptAttention{op}.probabilities(f.p.Values[in.In[0]].Shape, f.p.Values[in.In[1]].Shape))
		if len(back) == 0 || total+size > mostKept {
			continue
		}
		total += size
		f.backward[i] = back
	}
}

// keeps emits an attention whose probabilities are kept.
func (f *fusion) keeps(i int, in program.Instr) bool {
	back := f.backward[i]
	if back == nil {
		return false
	}
	out := f.b.Apply(KeptAttention{in.Op.(ops.Attention)}, f.values(in.In)...)
	f.env[in.Out[0]] = out[0]
	for _, r := range back {
		f.probabilities[r] = out[1]
	}
	return true
}

// attentionInput emits the backward pass of an attention.
func (f *fusion) attentionInput(i int, in program.Instr) bool {
	p := f.probabilities[i]
	if f.joined(in, p) {
		return true
	}
	if p == nil {
		return false
	}
	for k, v := range f.b.Apply(KeptAttentionInput{in.Op.(ops.AttentionInput).Of}, append(f.values(in.In), p)...) {
		f.env[in.Out[k]] = v
	}
	return true
}
