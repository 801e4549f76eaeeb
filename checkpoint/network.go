package checkpoint

import (
	"fmt"
	"slices"
	"strings"

	"hbar/checkpoint/safetensors"
	"hbar/nets"
	"hbar/program"
)

// published are the weights of a network as files hold them.
func published(n *nets.Network) []safetensors.Tensor {
	ts := make([]safetensors.Tensor, len(n.Params))
	for i, p := range n.Params {
		ts[i] = safetensors.Tensor{Name: p.Name, Shape: p.Published, F32: p.ToPublished(n.Weights[i])}
	}
	return ts
}

// fill sets Net to the network of c with the weights of a file, in the published order. It is where PyTorch's layout becomes
// that of the program.
func (m *Model) fill(c nets.Config, ts []safetensors.Tensor) error {
	n, err := nets.New(c)
	if err != nil {
		return err
	}
	index := make(map[string]int, len(n.Params))
	for i, p := range n.Params {
		index[p.Name] = i
	}
	n.Weights = make([][]float32, len(n.Params))
	var extra []string
	for k := range ts {
		t := &ts[k]
		i, ok := index[t.Name]
		if !ok {
			i, ok = index[currentName(t.Name)]
		}
		if !ok {
			extra = append(extra, t.Name)
			continue
		}
		if n.Weights[i] != nil {
			return fmt.Errorf("tensor %.80q is in the file twice, under an old and a new name", n.Params[i].Name)
		}
		if n.Weights[i], err = weights(&n.Params[i], t); err != nil {
			return err
		}
		*t = safetensors.Tensor{Name: t.Name} // its memory is not needed where the layout changed
	}
	var missing []string
	for i, p := range n.Params {
		if n.Weights[i] == nil {
			missing = append(missing, fmt.Sprintf("%s %v", p.Name, p.Published))
		}
	}
	switch {
	case missing != nil && extra != nil:
		return fmt.Errorf("tensors are missing: %s; and there are others, which are not part of the %s: %s", list(missing), c.Kind(), list(extra))
	case missing != nil:
		return fmt.Errorf("tensors are missing: %s", list(missing))
	case extra != nil:
		return fmt.Errorf("tensors are not part of the %s: %s", c.Kind(), list(extra))
	}
	m.Net = n
	return nil
}

// noteRounded notes tensors of float64 with values that float32, in which weights are kept, does not hold.
func (m *Model) noteRounded(ts []safetensors.Tensor) {
	var names []string
	for i := range ts {
		if slices.ContainsFunc(ts[i].F64, func(v float64) bool { return v == v && float64(float32(v)) != v }) {
			names = append(names, ts[i].Name)
		}
	}
	if names != nil {
		m.Notes = append(m.Notes, "weights are kept in float32, to which float64 values are rounded: "+list(names))
	}
}

// list is the first few of many names.
func list(names []string) string {
	const few = 3
	short := slices.Clone(names[:min(few, len(names))])
	for i, name := range short {
		short[i] = fmt.Sprintf("%.100s", name)
	}
	s := strings.Join(short, ", ")
	if len(names) > few {
		s += fmt.Sprintf(" and %d more", len(names)-few)
	}
	return s
}

// weights are the values of a tensor in the program's layout. The first U-Nets kept the dense layers of their attentions as
// convolutions of 1×1, of the same values.
func weights(p *nets.Param, t *safetensors.Tensor) ([]float32, error) {
	shape := t.Shape
	if len(shape) == 4 && len(p.Published) == 2 && shape[2] == 1 && shape[3] == 1 {
		shape = shape[:2]
	}
	if !program.SameShape(shape, p.Published) {
		return nil, fmt.Errorf("tensor %.80q is %v; the network needs %v", t.Name, t.Shape, p.Published)
	}
	if err := t.Finite(); err != nil {
		return nil, err
	}
	v, err := t.Float32()
	if err != nil {
		return nil, err
	}
	return p.FromPublished(v), nil
}

// oldNames are those of the layers of an attention before version 0.17 of diffusers.
var oldNames = map[string]string{"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}

// currentName is today's name of a tensor.
func currentName(name string) string {
	layer, part, _ := cutLast(name, ".")
	module, old, _ := cutLast(layer, ".")
	if current, ok := oldNames[old]; ok && strings.Contains(module, "attentions.") {
		return module + "." + current + "." + part
	}
	return name
}

// checkNetwork tests that the weights are those of the network, and finite.
func checkNetwork(n *nets.Network) error {
	if err := n.CheckWeights(); err != nil {
		return err
	}
	for i, p := range n.Params {
		t := safetensors.Tensor{Name: p.Name, Shape: p.Shape, F32: n.Weights[i]}
		if err := t.Finite(); err != nil {
			return err
		}
	}
	return nil
}
