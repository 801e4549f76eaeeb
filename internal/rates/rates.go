// Package rates makes pieces of work of a network that can be timed: a forward pass, a VJP in x, several that share a pass, and a step of training, each
// with its number of multiply-adds.
package rates

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hbar/graph"
	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/kernels/general"
	"hbar/nets"
	"hbar/program"
	"hbar/program/diff"
)

// Network is a network with a batch of N samples, on which its work is timed.
type Network struct {
	Net      *nets.Network
	N        int
	Machine  Machine
	VJP      *program.Program // outputs out and vjp = Jᵀ v
	Training general.Training

	in   map[string][]float32
	wide map[string][]float64
}

// New makes the programs of a network for batches of n samples on a machine. It allocates no memory that grows with n.
func New(net *nets.Network, n int, m Machine) (*Network, error) {
	b := &Network{Net: net, N: n, Machine: m}
	var err error
	if b.VJP, err = diff.VJP(net.Program, map[string]string{"out": "v"}, map[string]string{"x": "vjp"}); err != nil {
		return nil, err
	}
	b.Training, err = training(net)
	return b, err
}

// training is a network in the form that a trainer takes.
func training(net *nets.Network) (general.Training, error) {
	t := general.Training{Params: net.Matrices()}
	p, err := net.TrainingProgram(0)
	if err != nil {
		return t, err
	}
	var trained []string
	for _, q := range net.Params {
		if q.Fixed {
			t.Gradients = append(t.Gradients, "")
			continue
		}
		trained = append(trained, q.Name)
		t.Gradients = append(t.Gradients, graph.GradName(q.Name))
	}
	d, err := graph.Differentiate(p, trained, 2)
	if err != nil {
		return t, err
	}
	t.Program = d.Program
	return t, nil
}

// Job is a piece of work that is timed.
type Job struct {
	Name    string
	MulAdds float64 // of the batch, counted directly
	// Start prepares the work: run does it once, stop releases what it holds.
	Start func() (run func(context.Context) error, stop func() error, err error)
}

// Jobs are the forward pass, f multiply-adds, the VJP in x, 2 f, and the step of training with Adam, 3 f less the gradient of the
// first layer's input.
func (b *Network) Jobs() []Job {
	f := b.Net.Program.Cost(b.N).MulAdds
	return []Job{
		{"forward", f, func() (func(context.Context) error, func() error, error) { return b.program(b.Net.Program, "out") }},
		{"VJP in x", 2 * f, func() (func(context.Context) error, func() error, error) { return b.program(b.VJP, "out", "vjp") }},
		{"training step", 3*f - float64(b.N)*FirstInputGradient(b.Net.Program), b.train},
	}
}

// Probes is an evaluation of the flow's likelihood by k of Hutchinson's probes: one pass through the network and k VJPs, (1 + k) f
// multiply-adds.
func (b *Network) Probes(k int) (Job, error) {
	var sets []diff.Pullback
	names := []string{"out"}
	for j := range k {
		name := fmt.Sprint("vjp ", j)
		sets, names = append(sets, diff.Pullback{Cotangents: map[string]string{"out": fmt.Sprint("v ", j)}, Leaves: map[string]string{"x": name}}), append(names, name)
	}
	p, err := diff.VJPs(b.Net.Program, sets)
	return Job{fmt.Sprintf("%d probes", k), float64(1+k) * b.Net.Program.Cost(b.N).MulAdds, func() (func(context.Context) error, func() error, error) {
		b.draw()
		for j := range k {
			b.in[fmt.Sprint("v ", j)] = b.in["x"]
		}
		return b.program(p, names...)
	}}, err
}

// draw makes a batch, once: standard normal samples, and times and labels that a network of this kind may see.
func (b *Network) draw() {
	if b.in != nil {
		return
	}
	n, d := b.N, program.Size(b.Net.Config.SampleShape())
	x := make([]float32, n*d)
	kernels.Normals(x, kernels.Noise{Stream: kernels.StreamPrior}, 0, n, d)
	b.in = map[string][]float32{"x": x, "v": x}
	b.wide = map[string][]float64{"t": make([]float64, n), "y": make([]float64, n)}
	if d == 1 {
		b.wide["x"] = make([]float64, n)
		for i, v := range x {
			b.wide["x"][i] = float64(v)
		}
		b.wide["v"] = b.wide["x"]
	}
	for i := range n {
		t := (float64(i) + 0.5) / float64(n)
		if b.Net.Config.EmbedsTime() {
			t = float64(int(1000 * t))
		}
		b.wide["t"][i] = t
		b.wide["y"][i] = float64(i % max(1, b.Net.Config.Classes()))
	}
}

// program prepares a program that computes outputs of the shape of x.
func (b *Network) program(p *program.Program, outputs ...string) (func(context.Context) error, func() error, error) {
	b.draw()
	params := map[string][]float32{}
	for i, q := range b.Net.Params {
		params[q.Name] = b.Net.Weights[i]
	}
	x, stop, err := b.Machine.Program(p, params)
	if err != nil {
		return nil, nil, err
	}
	batch := &general.Batch{N: b.N, In: b.in, Wide: b.wide, Out: map[string][]float32{}}
	for _, o := range outputs {
		batch.Out[o] = make([]float32, len(b.in["x"]))
	}
	run := func(ctx context.Context) error { return x.RunContext(ctx, batch) }
	return run, stop, nil
}

// train prepares training on copies of the weights. The learning rate is small, so that the weights stay what they are.
func (b *Network) train() (func(context.Context) error, func() error, error) {
	b.draw()
	t, err := b.Machine.Trainer(b.Training, fit.Options{Batch: b.N})
	if err != nil {
		return nil, nil, err
	}
	size := program.Size(b.Net.Config.SampleShape())
	source := fit.SourceFunc(func(t *fit.Tile) {
		copy(t.X, b.in["x"][t.Lo*size:t.Hi*size])
		copy(t.Target, t.X)
		copy(t.Tau, b.wide["t"][t.Lo:t.Hi])
		copy(t.Label, b.wide["y"][t.Lo:t.Hi])
		for i := range t.Weight {
			t.Weight[i] = 1
		}
	})
	run := func(ctx context.Context) error {
		lrs, losses := [1]float64{1e-7}, [1]float64{}
		_, _, err := t.Run(ctx, source, lrs[:], losses[:])
		return errors.Join(err, ctx.Err())
	}
	return run, t.Close, nil
}

// FirstInputGradient is the number of multiply-adds for the gradient of the first layer's input, one sample's: training leaves it
// out, because that input is the data.
func FirstInputGradient(p *program.Program) float64 {
	ofX := make([]bool, len(p.Values))
	ofX[p.Lookup("x")] = true
	for _, in := range p.Instrs {
		if !slices.ContainsFunc(in.In, func(id program.ID) bool { return ofX[id] }) {
			continue
		}
		if c := p.InstrCost(in); c.MulAdds > 0 {
			return c.MulAdds
		}
		for _, id := range in.Out {
			ofX[id] = true
		}
	}
	return 0
}

// Median is the median of at least one number; it sorts v.
func Median[T float64 | time.Duration](v []T) T {
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
