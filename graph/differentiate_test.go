package graph

import (
	"math"
	"math/rand/v2"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"hbar/nets"
	"hbar/program"
	"hbar/program/diff"
	"hbar/program/eval"
)

// networks are small ones of each kind.
func networks(t *testing.T) map[string]*nets.Network {
	t.Helper()
	unet, err := nets.NewUNet([]int{8, 4, 2}, 3, nets.UNetSizes{Channels: []int{8, 16}, Layers: 1, AttentionResolutions: []int{4}, HeadDim: 4, Groups: 4})
	if err != nil {
		t.Fatal(err)
	}
	dit, err := nets.NewDiT([]int{6, 2}, 3, nets.DiTSizes{Width: 8, Depth: 1, Heads: 2, Patch: 3})
	if err != nil {
		t.Fatal(err)
	}
	ns := map[string]*nets.Network{}
	for name, c := range map[string]nets.Config{
		"mlp": nets.MLP{D: 2, Width: 6, Depth: 2, Act: "gelu", Residual: true, Fourier: 2, FourierScale: 1}, "unet": unet, "dit": dit,
	} {
		n, err := nets.New(c)
		if err != nil {
			t.Fatal(err)
		}
		ns[name] = n
	}
	return ns
}

// draws random numbers for the inputs and parameters of p for a batch.
func inputsOf(p *program.Program, batch int) map[string][]float64 {
	r := rand.New(rand.NewPCG(1, 9))
	in := map[string][]float64{}
	for _, v := range p.Values {
		if v.Role == program.Derived {
			continue
		}
		n := program.Size(v.Shape)
		if v.Rate == program.Sample {
			n *= batch
		}
		x := make([]float64, n)
		for i := range x {
			x[i] = float64(float32(r.NormFloat64() / 2))
			if v.Name == "y" {
				x[i] = float64(r.IntN(3))
			}
		}
		in[v.Name] = x
	}
	return in
}

// TestDifferentiate compares gorgonia.Grad, read back as a program, with the VJP of the program of the loss, and with what
// Gorgonia's own machine computes from the graph.
func TestDifferentiate(t *testing.T) {
	const batch = 3
	for name, n := range networks(t) {
		t.Run(name, func(t *testing.T) {
			var trained []string
			leaves := map[string]string{}
			for _, p := range n.Params {
				if !p.Fixed {
					trained = append(trained, p.Name)
					leaves[p.Name] = GradName(p.Name)
				}
			}
			d, err := Differentiate(n.Program, trained, batch)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Program.Check(); err != nil {
				t.Fatal(err)
			}
			in := inputsOf(d.Program, batch)
			got, err := eval.Run(d.Program, batch, in)
			if err != nil {
				t.Fatal(err)
			}
			want := gradientByTransform(t, d.Program, leaves, in, batch)
			for g, w := range want {
				near(t, g, got[g], w, 1e-14) // float64 rounding of the same sums in another order
			}
			byGorgonia(t, d, in, got)
		})
	}
}

// gradientByTransform is the VJP of the loss.
func gradientByTransform(t *testing.T, p *program.Program, leaves map[string]string, in map[string][]float64, batch int) map[string][]float64 {
	t.Helper()
	q, err := diff.VJP(program.Prune(p, "loss"), map[string]string{"loss": "one"}, leaves)
	if err != nil {
		t.Fatal(err)
	}
	in["one"] = []float64{1}
	want, err := eval.Run(q, batch, in)
	if err != nil {
		t.Fatal(err)
	}
	delete(want, "loss")
	return want
}

// byGorgonia runs the graph on Gorgonia's tape machine. Its values are float32: some thousand roundings.
func byGorgonia(t *testing.T, d *Differentiated, in map[string][]float64, want map[string][]float64) {
	t.Helper()
	for _, nodes := range []map[string]*gorgonia.Node{d.Inputs, d.Params} {
		for name, n := range nodes {
			f := make([]float32, len(in[name]))
			for i, v := range in[name] {
				f[i] = float32(v)
			}
			if err := gorgonia.Let(n, tensor.New(tensor.WithShape(n.Shape()...), tensor.WithBacking(f))); err != nil {
				t.Fatal(err)
			}
		}
	}
	m := gorgonia.NewTapeMachine(d.Graph)
	defer m.Close()
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	for name, g := range d.Grads {
		var v []float64
		for _, f := range floats(g.Value()) {
			v = append(v, float64(f))
		}
		near(t, name, v, want[GradName(name)], 1e-4) // float32 through all layers and back, on Gorgonia's own machine; measured 1.1e-5
	}
}

func near(t *testing.T, name string, got, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d numbers; want %d", name, len(got), len(want))
		return
	}
	top := 1e-2
	for _, w := range want {
		top = math.Max(top, math.Abs(w))
	}
	for i, g := range got {
		if !(math.Abs(g-want[i]) <= tol*top) {
			t.Errorf("%s[%d] is %g; want %g", name, i, g, want[i])
			return
		}
	}
}
