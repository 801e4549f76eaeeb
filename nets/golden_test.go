package nets_test

import (
	"context"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hbar/checkpoint/safetensors"
	"hbar/graph"
	"hbar/kernels/cpu"
	"hbar/kernels/fit"
	"hbar/nets"
	"hbar/program"
	"hbar/program/diff"
	"hbar/program/ops"
)

// More networks of this form can be tried with -golden DIR.
var goldenDir = flag.String("golden", "testdata/golden", "directory with nets_NAME.json, .safetensors and .ref.safetensors")

// golden is a network with PyTorch's values.
type golden struct {
	Kind      string
	Config    map[string]any
	Batch     int
	Tolerance map[string]float64 `json:"tolerance_float32"`
	Zero      []string           `json:"zero_gradients"`

	net    *nets.Network
	params map[string][]float32
	ref    map[string]safetensors.Tensor
}

func loadGolden(t *testing.T, path string) *golden {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	g := &golden{params: map[string][]float32{}, ref: map[string]safetensors.Tensor{}}
	if err := json.Unmarshal(text, g); err != nil {
		t.Fatal(err)
	}
	g.Config["_class_name"] = map[string]string{"unet2d": "UNet2DModel", "dit": "DiT", "dit1d": "DiT1D"}[g.Kind]
	text, _ = json.Marshal(g.Config)
	c, err := nets.FromPublished(text)
	if err != nil {
		t.Fatal(err)
	}
	if g.net, err = nets.New(c); err != nil {
		t.Fatal(err)
	}
	base := strings.TrimSuffix(path, ".json")
	weights, err := safetensors.ReadFile(base + ".safetensors")
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string][]float32{}
	for _, v := range weights.Tensors {
		byName[v.Name] = v.F32
	}
	for _, p := range g.net.Params {
		g.params[p.Name] = p.FromPublished(byName[p.Name])
	}
	ref, err := safetensors.ReadFile(base + ".ref.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range ref.Tensors {
		g.ref[v.Name] = v
	}
	return g
}

// numbers of a tensor in float64.
func numbers(v safetensors.Tensor) []float64 {
	if v.F64 != nil {
		return v.F64
	}
	f := make([]float64, len(v.F32))
	for i, x := range v.F32 {
		f[i] = float64(x)
	}
	return f
}

// array is a tensor of the reference, with images' channels last.
func (g *golden) array(name string) []float64 {
	v := g.ref[name]
	f := numbers(v)
	if len(v.Shape) < 3 {
		return f
	}
	n, c := v.Shape[0], v.Shape[1]
	positions := len(f) / (n * c)
	out := make([]float64, len(f))
	for i := range n {
		for k := range c {
			for p := range positions {
				out[(i*positions+p)*c+k] = f[(i*c+k)*positions+p]
			}
		}
	}
	return out
}

// run executes a program on the reference's inputs; the inputs of tangents and cotangents have the names of its tensors.
func (g *golden) run(t *testing.T, p *program.Program, outputs ...string) map[string][]float32 {
	t.Helper()
	team := cpu.NewTeam(0)
	defer team.Close()
	x, err := cpu.NewExecutor(p, team, cpu.Options{Block: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.SetParams(g.params); err != nil {
		t.Fatal(err)
	}
	b := &cpu.Batch{N: g.Batch, In: map[string][]float32{}, Wide: map[string][]float64{}, Out: map[string][]float32{}}
	for _, id := range p.With(program.Input) {
		v := p.Values[id]
		if program.Size(v.Shape) == 1 {
			b.Wide[v.Name] = g.array(v.Name)
			continue
		}
		for _, f := range g.array(v.Name) {
			b.In[v.Name] = append(b.In[v.Name], float32(f))
		}
	}
	for _, name := range outputs {
		v := p.Values[p.Output(name)]
		n := program.Size(v.Shape)
		if v.Rate == program.Sample {
			n *= g.Batch
		}
		b.Out[name] = make([]float32, n)
	}
	if err := x.Run(b); err != nil {
		t.Fatal(err)
	}
	return b.Out
}

// near compares with a tensor of the reference, at the tolerance of its kind.
func (g *golden) near(t *testing.T, got []float32, name, kind string, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d numbers; want %d", name, len(got), len(want))
		return
	}
	top, worst := 0.0, 0.0
	for i, w := range want {
		top = math.Max(top, math.Abs(w))
		worst = math.Max(worst, math.Abs(float64(got[i])-w))
		if math.IsNaN(float64(got[i])) {
			worst = math.Inf(1)
		}
	}
	tol := math.Max(g.Tolerance[kind], 2e-6) // the file has float64, and ours is rounded to float32 in each layer
	if kind == "adam.out" {
		// Adam moves an element by about the rate whatever its gradient. Where that is rounding alone, as for one weight of
		// unet_center with a gradient of 2·10⁻⁹ among others of 10⁻², the move is too: its effect is 3·10⁻⁵ here.
		tol = math.Max(tol, 5e-5)
	}
	if !(worst <= tol*top) {
		t.Errorf("%s: error %.2g; tolerance %.2g", name, worst/top, tol)
	}
}

func must(t *testing.T) func(p *program.Program, err error) *program.Program {
	return func(p *program.Program, err error) *program.Program {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
		return p
	}
}

type names = map[string]string

// TestGolden compares networks, their derivatives to third order, the gradients of all parameters and ten steps of Adam with
// PyTorch's values.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(*goldenDir, "nets_*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no networks in %s: %v", *goldenDir, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "nets_"), ".json")
		if name == "ops" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			g := loadGolden(t, file)
			if g.net.Config.Variance() {
				g.variance(t)
				return
			}
			g.derivatives(t)
			g.gradients(t)
			g.adam(t)
		})
	}
}

// variance compares the first half of an output with a variance; the reference's cotangents cover both halves.
func (g *golden) variance(t *testing.T) {
	p := must(t)(diff.JVP(g.net.Program, names{"x": "u"}, names{"out": "jvp"}))
	out := g.run(t, p, "out", "jvp")
	half := func(name string) []float64 {
		full := g.array(name)
		c := g.ref[name].Shape[1]
		var h []float64
		for i := 0; i < len(full); i += c {
			h = append(h, full[i:i+c/2]...)
		}
		return h
	}
	g.near(t, out["out"], "out", "out", half("out"))
	g.near(t, out["jvp"], "jvp.x", "jvp.x", half("jvp.x"))
	g.third(t)
}

func (g *golden) derivatives(t *testing.T) {
	p := must(t)(diff.VJP(g.net.Program, names{"out": "v"}, names{"x": "vjp.x", "t": "vjp.t"}))
	p = must(t)(diff.JVP(p, names{"x": "u"}, names{"out": "jvp.x", "vjp.x": "vjp.dir_u"}))
	outputs := []string{"out", "vjp.x", "vjp.t", "jvp.x", "vjp.dir_u"}
	got := g.run(t, p, outputs...)
	for _, o := range outputs {
		g.near(t, got[o], o, o, g.array(o))
	}
	p = must(t)(diff.JVP(g.net.Program, names{"x": "u"}, names{"out": "jvp.x"}))
	p = must(t)(diff.JVP(p, names{"x": "u"}, names{"jvp.x": "jvp2.x"}))
	g.near(t, g.run(t, p, "jvp2.x")["jvp2.x"], "jvp2.x", "jvp2.x", g.array("jvp2.x"))
	g.third(t)
}

// third compares eᵀJe, its gradient, and its Hessian times u: VJP of JVP, and JVP of that.
func (g *golden) third(t *testing.T) {
	p := must(t)(diff.JVP(g.net.Program, names{"x": "probe"}, names{"out": "Je"}))
	p = must(t)(program.Build(func(b *program.Builder) {
		env := program.Inline(b, p, b.Leaves())
		b.Output("probe.quad", ops.Dot(b, env[p.Output("Je")], env[p.Lookup("probe")]))
	}))
	p = must(t)(diff.VJP(p, names{"probe.quad": "one"}, names{"x": "probe.grad"}))
	p = must(t)(diff.JVP(p, names{"x": "u"}, names{"probe.grad": "probe.hess_u"}))
	one := safetensors.Tensor{Shape: []int{g.Batch}, F64: make([]float64, g.Batch)}
	for i := range one.F64 {
		one.F64[i] = 1
	}
	g.ref["one"] = one
	outputs := []string{"probe.quad", "probe.grad", "probe.hess_u"}
	got := g.run(t, p, outputs...)
	for _, o := range outputs {
		g.near(t, got[o], o, o, g.array(o))
	}
}

// gradients compares those of all parameters for the cotangent v.
func (g *golden) gradients(t *testing.T) {
	leaves := names{}
	var outputs []string
	for _, p := range g.net.Params {
		if !p.Fixed {
			leaves[p.Name] = "vjp/" + p.Name
			outputs = append(outputs, "vjp/"+p.Name)
		}
	}
	p := must(t)(diff.VJP(g.net.Program, names{"out": "v"}, leaves))
	got := g.run(t, p, outputs...)
	largest := 0.0
	for _, o := range outputs {
		for _, v := range numbers(g.ref[o]) {
			largest = math.Max(largest, math.Abs(v))
		}
	}
	for i := range g.net.Params {
		q := &g.net.Params[i]
		if q.Fixed {
			continue
		}
		want := numbers(g.ref["vjp/"+q.Name])
		top, worst := 1e-2*largest, 0.0
		for k, v := range q.ToPublished(got["vjp/"+q.Name]) {
			top = math.Max(top, math.Abs(want[k]))
			worst = math.Max(worst, math.Abs(float64(v)-want[k]))
		}
		tol := g.Tolerance["vjp/*"]
		if slices.Contains(g.Zero, q.Name) {
			top, tol = largest, g.Tolerance["vjp/zero"]
		}
		if !(worst <= tol*top) {
			t.Errorf("gradient of %s: error %.2g; tolerance %.2g", q.Name, worst/top, tol)
		}
	}
}

// adam takes ten steps with the gradients of gorgonia.Grad.
func (g *golden) adam(t *testing.T) {
	var trained, outputs []string
	for _, p := range g.net.Params {
		if p.Fixed {
			outputs = append(outputs, "")
			continue
		}
		trained = append(trained, p.Name)
		outputs = append(outputs, graph.GradName(p.Name))
	}
	d, err := graph.Differentiate(g.net.Program, trained, 2)
	if err != nil {
		t.Fatal(err)
	}
	g.net.Weights = nil
	for _, p := range g.net.Params {
		g.net.Weights = append(g.net.Weights, g.params[p.Name])
	}
	tr, err := cpu.NewTrainer(cpu.Training{Program: d.Program, Params: g.net.Matrices(), Gradients: outputs}, fit.Options{Batch: g.Batch}, cpu.Options{Block: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	x, target, times, labels := g.array("x"), g.array("target"), g.array("t"), g.array("y")
	size := len(x) / g.Batch
	source := fit.SourceFunc(func(b *fit.Tile) {
		for i := b.Lo; i < b.Hi; i++ {
			for k := range size {
				b.X[(i-b.Lo)*size+k], b.Target[(i-b.Lo)*size+k] = float32(x[i*size+k]), float32(target[i*size+k])
			}
			b.Tau[i-b.Lo], b.Weight[i-b.Lo] = times[i], 1
			if len(labels) > 0 {
				b.Label[i-b.Lo] = labels[i]
			}
		}
	})
	var losses []float32
	for range 10 {
		r, err := tr.Step(context.Background(), source, 1e-3)
		if err != nil {
			t.Fatal(err)
		}
		losses = append(losses, float32(r.Loss))
	}
	r, err := tr.Gradient(context.Background(), source)
	if err != nil {
		t.Fatal(err)
	}
	g.near(t, append(losses, float32(r.Loss)), "adam.losses", "adam.losses", g.array("adam.losses"))
	for i, p := range tr.Params(nil) {
		g.params[trained[i]] = p
	}
	g.near(t, g.run(t, g.net.Program, "out")["out"], "adam.out", "adam.out", g.array("adam.out"))
}
