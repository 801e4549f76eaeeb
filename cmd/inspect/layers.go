package main

import (
	"slices"
	"strings"

	"hbar/nets"
	"hbar/program"
)

// layer is the part of a network that has parameters of one name, with the operations behind it that have none.
type layer struct {
	Name    string   `json:"name"`
	Op      string   `json:"op"`      // the first operation, or the first with multiply-adds
	Output  []int    `json:"output"`  // shape of that operation's result for one sample
	Tensors []tensor `json:"tensors"` // the parameters
	// Parameters counts the elements of the tensors, MulAdds the multiply-adds for one sample.
	Parameters int     `json:"parameters"`
	MulAdds    float64 `json:"multiply_adds"`
	// Bytes is the memory of the float32 values that are written for one sample.
	Bytes int64 `json:"bytes"`

	works bool // Op has multiply-adds
}

// tensor is a parameter with its shape in published files.
type tensor struct {
	Name  string `json:"name"`
	Shape []int  `json:"shape"`
}

// layersOf lists the layers of a network in the order in which they run.
func layersOf(net *nets.Network) []*layer {
	l := &lister{net: net, byName: map[string]*layer{}, owner: map[program.ID]string{}, given: map[program.ID]bool{}}
	for _, id := range net.Program.With(program.Input) {
		l.given[id] = true
	}
	for _, id := range net.Program.With(program.Param) {
		l.owner[id] = parent(net.Program.Values[id].Name)
	}
	for _, in := range net.Program.Instrs {
		l.instr(in)
	}
	for _, p := range net.Params {
		at := l.layer(parent(p.Name))
		at.Tensors = append(at.Tensors, tensor{p.Name, p.Published})
		at.Parameters += p.Size()
	}
	return l.layers
}

// parent is the name of the layer or block that a name belongs to: "blocks.0.attn" for "blocks.0.attn.qkv". A name without a
// dot is its own.
func parent(name string) string {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return name[:i]
	}
	return name
}

// lister makes the list.
type lister struct {
	net    *nets.Network
	layers []*layer
	byName map[string]*layer
	owner  map[program.ID]string // of parameters and of what is computed from them alone
	given  map[program.ID]bool   // inputs, and what is computed from them alone
	last   *layer
}

// layer returns the layer of a name; a new one is added.
func (l *lister) layer(name string) *layer {
	if l.byName[name] == nil {
		l.byName[name] = &layer{Name: name, Tensors: []tensor{}}
		l.layers = append(l.layers, l.byName[name])
	}
	return l.byName[name]
}

// inputLayer is the name of the layer of what is computed from inputs alone, such as patches of an image or sinusoids of a time.
const inputLayer = "input"

// instr adds an instruction to the layer whose parameters it reads. One without parameters belongs to the layer before it, or if
// it multiplies, as attention does, to the block of that layer.
func (l *lister) instr(in program.Instr) {
	p := l.net.Program
	cost := p.InstrCost(in)
	given := !slices.ContainsFunc(in.In, func(id program.ID) bool { return !l.given[id] })
	at := l.layer(l.nameOf(in, given, cost.MulAdds > 0))
	if !given {
		l.last = at
	}
	at.MulAdds += cost.MulAdds
	if at.Op == "" || !at.works && cost.MulAdds > 0 {
		at.Op, at.Output, at.works = in.Op.Name(), p.Values[in.Out[0]].Shape, cost.MulAdds > 0
	}
	_, shares := in.Op.(program.Reshaper)
	for _, id := range in.Out {
		v := p.Values[id]
		l.given[id] = given
		if v.Rate == program.Constant {
			l.owner[id] = at.Name
		} else if !shares {
			at.Bytes += 4 * int64(program.Size(v.Shape))
		}
	}
}

// nameOf is the name of the layer of an instruction.
func (l *lister) nameOf(in program.Instr, given, works bool) string {
	if given {
		return inputLayer
	}
	for _, id := range in.In {
		if name := l.owner[id]; name != "" {
			return name
		}
	}
	switch {
	case l.last == nil:
		return inputLayer
	case works:
		return parent(l.last.Name)
	}
	return l.last.Name
}
