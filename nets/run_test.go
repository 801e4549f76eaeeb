package nets

import (
	"maps"
	"math"
	"slices"
	"testing"

	"hbar/program"
	"hbar/program/eval"
)

// run computes one sample in float64.
func run(p *program.Program, weights [][]float32, inputs map[string][]float64) []float64 {
	given := maps.Clone(inputs)
	for i, id := range p.With(program.Param) {
		w := make([]float64, len(weights[i]))
		for j, v := range weights[i] {
			w[j] = float64(v)
		}
		given[p.Values[id].Name] = w
	}
	out, err := eval.Run(p, 1, given)
	if err != nil {
		panic(err)
	}
	return out["out"]
}

func small(t testing.TB) []Config {
	u, err := NewUNet([]int{8, 4, 2}, 3, UNetSizes{Channels: []int{8, 16}, Layers: 1, AttentionResolutions: []int{4}, HeadDim: 4, Dropout: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDiT([]int{6, 2}, 3, DiTSizes{Width: 8, Depth: 1, Heads: 2, Patch: 3})
	if err != nil {
		t.Fatal(err)
	}
	return []Config{u, d}
}

func sample(c Config) map[string][]float64 {
	x := make([]float64, program.Size(c.SampleShape()))
	for i := range x {
		x[i] = math.Sin(float64(i))
	}
	return map[string][]float64{"x": x, "t": {300.25}, "y": {1}, "counter": {7}}
}

// A new U-Net or transformer returns zero, and its hidden values do not vanish: with a last layer that is not zero the output
// is of order one.
func TestInitialise(t *testing.T) {
	for _, c := range small(t) {
		n := network(t, c)
		if n.CheckWeights() == nil {
			t.Errorf("%s: no weights, and no error", c.Kind())
		}
		n.Initialise(3)
		if err := n.CheckWeights(); err != nil {
			t.Fatal(err)
		}
		if out := run(n.Program, n.Weights, sample(c)); slices.ContainsFunc(out, func(v float64) bool { return v != 0 }) {
			t.Errorf("%s: %v", c.Kind(), out)
		}
		for _, name := range []string{"conv_out.weight", "final_layer.linear.weight"} {
			if i := n.Param(name); i >= 0 {
				p := n.Params[i]
				xavierDraw.sized(p.Size()/p.Shape[0], p.Shape[0]).fill(n.Weights[i], 3, i)
			}
		}
		sq := 0.0
		out := run(n.Program, n.Weights, sample(c))
		for _, v := range out {
			sq += v * v / float64(len(out))
		}
		if !(sq > 0.05 && sq < 20) { // of size one, as weights of a sane scale give it: that is no accuracy
			t.Errorf("%s: mean square %g", c.Kind(), sq)
		}
		again := network(t, c)
		again.Initialise(4)
		if slices.Equal(again.Weights[0], n.Weights[0]) && c.Kind() == "unet" {
			t.Errorf("%s does not follow the seed", c.Kind())
		}
	}
}

// Dropout is in the training program alone, follows the counter, and leaves the parameters as they are.
func TestTrainingProgram(t *testing.T) {
	configs := small(t)
	n := network(t, configs[0])
	n.Initialise(3)
	for i, p := range n.Params {
		if len(p.Shape) > 1 {
			xavierDraw.sized(p.Size()/p.Shape[0], p.Shape[0]).fill(n.Weights[i], 3, i)
		}
	}
	p, err := n.TrainingProgram(5)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	a, b := n.Program.With(program.Param), p.With(program.Param)
	for i := range a {
		if v, w := n.Program.Values[a[i]], p.Values[b[i]]; v.Name != w.Name || !slices.Equal(v.Shape, w.Shape) {
			t.Errorf("parameter %d is %s %v in training, %s %v elsewhere", i, w.Name, w.Shape, v.Name, v.Shape)
		}
	}
	in := sample(configs[0])
	dropped := run(p, n.Weights, in)
	if slices.Equal(dropped, run(n.Program, n.Weights, in)) {
		t.Error("nothing is dropped")
	}
	if !slices.Equal(dropped, run(p, n.Weights, in)) {
		t.Error("the masks do not follow the counter alone")
	}
	in["counter"] = []float64{8}
	if slices.Equal(dropped, run(p, n.Weights, in)) {
		t.Error("two samples have the same masks")
	}
	if p, err := network(t, configs[1]).TrainingProgram(5); err != nil || p.Lookup("counter") != program.None {
		t.Errorf("a transformer has a counter, %v", err)
	}
}
