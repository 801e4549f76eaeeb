package fuse

import (
	"hbar/program"
	"hbar/program/ops"
)

// JoinedAttention is ops.AttentionInput for queries, keys and values that are channels of one value, at Lo, of Channels: the
// output is that value's cotangent, whose parts the routine writes where they belong. A fifth input, if there is one, are the probabilities that KeptAttention stored.
type JoinedAttention struct {
	Of       ops.Attention
	Lo       [3]int
	Channels int
}

func (JoinedAttention) Name() string { return "joined_attention_input" }

func (o JoinedAttention) Shapes(in [][]int) ([][]int, error) {
	s, err := ops.AttentionInput{Of: o.Of}.Shapes(in[:4])
	if err != nil {
		return nil, err
	}
	return [][]int{{s[0][0], o.Channels}}, nil
}

func (o JoinedAttention) Cost(in, _ [][]int) program.Cost {
	return ops.AttentionInput{Of: o.Of}.Cost(in[:4], in[:3])
}

func (o JoinedAttention) Reference(in, out []program.Tensor) {
	parts := make([]program.Tensor, 3)
	for i := range parts {
		parts[i] = program.Tensor{Shape: in[i].Shape, Data: make([]float64, program.Size(in[i].Shape))}
	}
	ops.AttentionInput{Of: o.Of}.Reference(in[:4], parts)
	for i, p := range parts {
		c := last(p.Shape)
		for r := range p.Shape[0] {
			copy(out[0].Data[r*o.Channels+o.Lo[i]:], p.Data[r*c:(r+1)*c])
		}
	}
}

// reader is the only instruction that reads a value, or −1.
func (f *fusion) reader(id program.ID) int {
	if !f.only(id) {
		return -1
	}
	return f.readers[id][0]
}

// joined emits the cotangents of an attention's inputs as one value, if each is placed among the channels of that value and
// the three are added there without overlap. kept are the probabilities, or nil.
func (f *fusion) joined(in program.Instr, kept program.Value) bool {
	j := JoinedAttention{Of: in.Op.(ops.AttentionInput).Of}
	covered := 0
	var placed [3]program.ID
	var absorbed []int
	for i, id := range in.Out {
		r := f.reader(id)
		if r < 0 {
			return false
		}
		place, ok := f.p.Instrs[r].Op.(ops.Place)
		if !ok || i > 0 && place.Of != j.Channels {
			return false
		}
		j.Lo[i], j.Channels = place.Lo, place.Of
		covered += last(f.p.Values[id].Shape)
		placed[i] = f.p.Instrs[r].Out[0]
		absorbed = append(absorbed, r)
	}
	c := last(f.p.Values[in.Out[0]].Shape)
	for i := range 3 {
		for k := range i {
			if j.Lo[i] < j.Lo[k]+c && j.Lo[k] < j.Lo[i]+c {
				return false
			}
		}
	}
	if covered != j.Channels || !program.SameShape(f.p.Values[in.Out[0]].Shape, f.p.Values[in.Out[1]].Shape) {
		return false
	}
	// Two of them are added, and their sum and the third.
	for i := range 3 {
		a, b, rest := placed[i], placed[(i+1)%3], placed[(i+2)%3]
		first, last := f.reader(a), f.reader(rest)
		if first < 0 || last < 0 || first == last || f.reader(b) != first || !f.adds(first) || !f.adds(last) || f.reader(f.p.Instrs[first].Out[0]) != last {
			continue
		}
		for _, r := range append(absorbed, first, last) {
			f.done[r] = true
		}
		inputs := f.values(in.In)
		if kept != nil {
			inputs = append(inputs, kept)
		}
		f.env[f.p.Instrs[last].Out[0]] = f.b.Apply(j, inputs...)[0]
		return true
	}
	return false
}

func (f *fusion) adds(i int) bool {
	_, ok := f.p.Instrs[i].Op.(ops.Add)
	return ok
}
