package opstest

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"hbar/checkpoint/safetensors"
	"hbar/program"
	"hbar/program/diff"
)

var (
	//go:embed testdata/golden.json
	goldenCases []byte
	//go:embed testdata/golden.safetensors
	goldenTensors []byte
)

// Golden is an operation with PyTorch's results: see testdata/README.md.
type Golden struct {
	Case           string
	Op             string
	Attrs          map[string]any
	Differentiated []string
	// Tolerance is the largest error of a float32 back end, by result: y, the gradients g<input>, the tangent dy. See Error.
	Tolerance map[string]float64 `json:"tolerance_float32"`
	// Tensors are inputs and results as PyTorch lays them out.
	Tensors map[string]safetensors.Tensor `json:"-"`
}

// Goldens are all cases.
func Goldens() ([]*Golden, error) {
	var list struct{ Cases []*Golden }
	if err := json.Unmarshal(goldenCases, &list); err != nil {
		return nil, err
	}
	f, err := safetensors.Read(bytes.NewReader(goldenTensors), int64(len(goldenTensors)))
	if err != nil {
		return nil, err
	}
	byCase := map[string]map[string]safetensors.Tensor{}
	for _, t := range f.Tensors {
		name, tensor, _ := strings.Cut(t.Name, "/")
		if byCase[name] == nil {
			byCase[name] = map[string]safetensors.Tensor{}
		}
		byCase[name][tensor] = t
	}
	for _, g := range list.Cases {
		g.Tensors = byCase[g.Case]
	}
	return list.Cases, nil
}

// Num is an attribute that is a number.
func (g *Golden) Num(attr string) float64 { return g.Attrs[attr].(float64) }

// float64s are the elements of a tensor.
func (g *Golden) float64s(name string) []float64 {
	t := g.Tensors[name]
	if t.F64 != nil {
		return t.F64
	}
	x := make([]float64, len(t.F32))
	for i, v := range t.F32 {
		x[i] = float64(v)
	}
	return x
}

// Programs are the operation with its gradients, and with its tangent: inputs and outputs have the names of the tensors. N is
// the number of samples, In has all inputs and Want all results, in the layouts of programs.
type Programs struct {
	VJP, JVP *program.Program
	N        int
	In, Want map[string][]float64
}

// Programs builds a case from the operations of package ops.
func (g *Golden) Programs() (*Programs, error) {
	f, ok := forms[g.Op]
	if !ok {
		return nil, fmt.Errorf("opstest: the operation %q of case %s has no program", g.Op, g.Case)
	}
	r := &Programs{In: map[string][]float64{}, Want: map[string][]float64{}}
	p, err := program.Build(func(b *program.Builder) {
		in := map[string]program.Value{}
		for _, name := range f.inputs {
			t, ok := g.Tensors[name]
			if !ok {
				continue // a bias that is absent
			}
			x, shape := f.of(name).convert(g.float64s(name), t.Shape)
			r.In[name] = x
			if f.shared(name) {
				in[name] = b.Param(name, shape...)
				continue
			}
			r.N = shape[0]
			in[name] = b.Input(name, program.Sample, shape[1:]...)
		}
		b.Output("y", f.build(g, b, in))
	})
	if err != nil {
		return nil, err
	}
	grads, tangents := map[string]string{}, map[string]string{}
	for _, name := range g.Differentiated {
		grads[name], tangents[name] = "g"+name, "d"+name
		r.In["d"+name], _ = f.of(name).convert(g.float64s("d"+name), g.Tensors["d"+name].Shape)
		r.Want["g"+name], _ = f.of(name).convert(g.float64s("g"+name), g.Tensors["g"+name].Shape)
	}
	for _, name := range []string{"y", "gy", "dy"} {
		x, _ := f.result.convert(g.float64s(name), g.Tensors[name].Shape)
		if name == "gy" {
			r.In[name] = x
		} else {
			r.Want[name] = x
		}
	}
	if r.VJP, err = diff.VJP(p, map[string]string{"y": "gy"}, grads); err != nil {
		return nil, err
	}
	r.JVP, err = diff.JVP(p, tangents, map[string]string{"y": "dy"})
	return r, err
}

// Error is the error of got for the result want of that name, to be compared with Tolerance.
func (g *Golden) Error(name string, got, want []float64) float64 {
	if len(got) != len(want) || len(got) == 0 {
		return math.Inf(1)
	}
	scale := 0.0
	switch {
	case name == "dy":
		for _, x := range g.Differentiated {
			scale = max(scale, 1e-3*largest(g.float64s("d"+x)))
		}
	case name != "y":
		scale = 1e-3 * largest(g.float64s("gy"))
	}
	scale = max(scale, largest(want))
	worst := 0.0
	for i, v := range want {
		if g.Op == "silu" || strings.HasPrefix(g.Op, "gelu") {
			scale = max(math.Abs(v), 1e-3)
		}
		if got[i] == v {
			continue
		}
		e := math.Abs(got[i]-v) / scale
		if math.IsNaN(e) {
			return math.Inf(1)
		}
		worst = max(worst, e)
	}
	return worst
}

func largest(x []float64) float64 {
	m := 0.0
	for _, v := range x {
		m = max(m, math.Abs(v))
	}
	return m
}
