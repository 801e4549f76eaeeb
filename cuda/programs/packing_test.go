//go:build gpu && cgo

package programs

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"hbar/cuda/driver"
	"hbar/cuda/exec"
	"hbar/graph"
	"hbar/kernels/fit"
	"hbar/kernels/general"
	"hbar/nets"
	"hbar/program"
	"hbar/program/eval"
	"hbar/program/ops"
	"hbar/program/ops/opstest"
)

// ramp are numbers about zero, other ones for each seed.
func ramp(n int, seed uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, 3))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// layers is a program of products on warpgroups: two with the same weights, one with these added to others, which are constant too, and one with an input that all samples share.
func layers() *program.Program {
	b := program.NewBuilder()
	x, z, given := b.Input("x", program.Sample, 16, 96), b.Input("z", program.Sample, 16, 96), b.Input("given", program.Step, 96, 96)
	w, v := b.Param("w", 96, 96), b.Param("v", 96, 96)
	y := ops.Sum(b, b.Apply(ops.Dense{}, x, w)[0], b.Apply(ops.Dense{}, z, w)[0])
	y = b.Apply(ops.Dense{}, y, ops.Sum(b, w, v))[0]
	b.Output("y", b.Apply(ops.Dense{}, y, given)[0])
	return b.Program()
}

// onWarpgroups skips a test where products do not run on warpgroups.
func onWarpgroups(t *testing.T, x *Executor) {
	t.Helper()
	if len(x.packings) == 0 {
		if x.d.Major == 9 && x.d.Minor == 0 {
			t.Fatal("no weights are packed")
		}
		t.Skip("no products on warpgroups")
	}
}

// forget overwrites packed weights with zeros, so that a pass shows whether it packs them again.
func forget(t *testing.T, x *Executor, p *packing) {
	t.Helper()
	if err := x.shared.View(4*p.offset, 16*p.chunks).Zero(); err != nil {
		t.Fatal(err)
	}
}

// TestPackedOnce: products of the same weights share a packing; parameters, and what is made of them alone, are packed when parameters change and in no
// other pass; inputs with each batch.
func TestPackedOnce(t *testing.T) {
	d, k := device(t)
	const n = 3
	p := layers()
	x, err := NewExecutor(d, k, p, Options{Precision: exec.BF16, Block: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	onWarpgroups(t, x)
	if len(x.packings) != 3 {
		t.Fatalf("%d packings; want one of w, one of w + v and one of the input", len(x.packings))
	}
	params := map[string][]float32{"w": ramp(96*96, 1), "v": ramp(96*96, 2)}
	b := &general.Batch{N: n, In: map[string][]float32{"x": ramp(n*16*96, 4), "z": ramp(n*16*96, 9), "given": ramp(96*96, 5)}, Out: map[string][]float32{"y": make([]float32, n*16*96)}}
	run := func() []float32 {
		t.Helper()
		if err := x.RunContext(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		return slices.Clone(b.Out["y"])
	}
	// right says whether the results are those of the parameters and inputs; three products of sums of 96 factors that are rounded to 8 bits.
	right := func(what string, got []float32) {
		t.Helper()
		in := map[string][]float64{}
		for _, m := range []map[string][]float32{params, b.In} {
			for name, v := range m {
				for _, f := range v {
					in[name] = append(in[name], float64(f))
				}
			}
		}
		want, err := eval.Run(p, n, in)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(what)
		opstest.Compare(t, p, map[string][]float32{"y": got}, want, 3e-2)
	}
	set := func() {
		t.Helper()
		if err := x.SetParams(params); err != nil {
			t.Fatal(err)
		}
	}
	set()
	first := run()
	right("parameters", first)
	b.In["given"] = ramp(96*96, 6)
	right("another input", run())
	b.In["given"] = ramp(96*96, 5)
	for range 2 { // the second pass is a captured graph, the third one its replay
		if !slices.Equal(run(), first) {
			t.Error("the same batch has other results")
		}
	}
	zeros := make([]float32, len(first))
	for i, p := range x.packings {
		forget(t, x, p)
		kept := x.values[p.weights.of].Rate != program.Constant
		if got := run(); slices.Equal(got, first) != kept || slices.Equal(got, zeros) == kept {
			t.Errorf("packing %d, whose weights change with each batch: %v, is made in each pass: %v", i, kept, slices.Equal(got, first))
		}
		x.Changed()
		if !slices.Equal(run(), first) {
			t.Errorf("packing %d is not made when parameters change", i)
		}
	}
	params["v"] = ramp(96*96, 7)
	set()
	right("other parameters", run())

	// Parameters of somebody else's, which says when they have changed.
	at := map[string]uint64{}
	var theirs []*driver.Buffer
	for name, v := range params {
		m, err := d.Alloc(4 * len(v))
		if err == nil {
			err = driver.Upload(m, v)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer m.Free()
		at[name] = m.Address()
		theirs = append(theirs, m)
	}
	y, err := NewExecutor(d, k, p, Options{Precision: exec.BF16})
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	x = y
	x.BindParams(at)
	right("parameters of somebody else's", run())
	for name := range params {
		params[name] = ramp(96*96, 8)
	}
	for _, m := range theirs {
		if err := driver.Upload(m, ramp(96*96, 8)); err != nil {
			t.Fatal(err)
		}
	}
	x.Changed()
	right("others of somebody else's", run())
}

// TrainingOf is the training of a network, for the tests outside of the package too.
func TrainingOf(t testing.TB, n *nets.Network) general.Training {
	t.Helper()
	p, err := n.TrainingProgram(3)
	if err != nil {
		t.Fatal(err)
	}
	g := general.Training{Params: n.Matrices()}
	var names []string
	for _, q := range n.Params {
		if q.Fixed {
			g.Gradients = append(g.Gradients, "")
			continue
		}
		names, g.Gradients = append(names, q.Name), append(g.Gradients, graph.GradName(q.Name))
	}
	diff, err := graph.Differentiate(p, names, 2)
	if err != nil {
		t.Fatal(err)
	}
	g.Program = diff.Program
	return g
}

// numbered draws the examples of samples of a size by their own numbers.
func numbered(size int) fit.Source {
	return fit.SourceFunc(func(t *fit.Tile) {
		for i := range t.Hi - t.Lo {
			x := ramp(2*size, uint64(t.Step)*100+uint64(t.Lo+i))
			copy(t.X[i*size:], x[:size])
			copy(t.Target[i*size:(i+1)*size], x[size:])
			t.Tau[i], t.Weight[i], t.Label[i] = float64(i)+0.5, 1, float64(i)
		}
	})
}

// TestPackedForTraining: a step packs weights once, with all its blocks of samples, and the next one those that it has made.
func TestPackedForTraining(t *testing.T) {
	d, _ := device(t)
	n := wideNetworks(t)["dit"]
	g, src, ctx := TrainingOf(t, n), numbered(program.Size(n.Config.SampleShape())), context.Background()
	trainer := func(block int) *Trainer {
		r, err := NewTrainer(d, g, fit.Options{Batch: 3}, Options{Precision: exec.BF16, Block: block})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
		onWarpgroups(t, r.x)
		return r
	}
	gradient := func(r *Trainer) []float32 {
		t.Helper()
		_, err := r.Gradient(ctx, src)
		if err != nil {
			t.Fatal(err)
		}
		all, err := r.Gradients(nil)
		if err != nil {
			t.Fatal(err)
		}
		return slices.Concat(all...)
	}
	step := func(r *Trainer) {
		t.Helper()
		if _, err := r.Step(ctx, src, 1e-2); err != nil {
			t.Fatal(err)
		}
	}
	forgetAll := func(r *Trainer) {
		t.Helper()
		for _, p := range r.x.packings {
			forget(t, r.x, p)
		}
	}
	state := func(r *Trainer) *fit.State {
		t.Helper()
		s, err := r.State()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	blocks, fresh, whole, other := trainer(2), trainer(2), trainer(0), trainer(0)
	first := gradient(blocks)
	if !slices.Equal(gradient(blocks), first) {
		t.Error("the same gradient is another")
	}
	forgetAll(blocks)
	if slices.Equal(gradient(blocks), first) {
		t.Error("weights are packed in each pass")
	}
	blocks.x.Changed()
	for range 2 {
		step(blocks)
		step(other)
		forgetAll(whole)
		step(whole)
	}
	// In a step whose batch passes at once weights are packed with it, whatever was there.
	if a, b := state(whole), state(other); !slices.EqualFunc(a.Params, b.Params, slices.Equal) {
		t.Error("a step does not pack the weights that it reads")
	}
	if err := fresh.SetState(state(blocks)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(gradient(blocks), gradient(fresh)) {
		t.Error("the gradient after two steps is not that of the parameters")
	}
}
