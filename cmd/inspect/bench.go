package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"hbar/cmd/internal/rundir"
	"hbar/cmd/internal/ui"
	"hbar/graph"
	"hbar/internal/memory"
	"hbar/kernels"
	"hbar/kernels/cpu"
	"hbar/kernels/fit"
	"hbar/nets"
	"hbar/program"
	"hbar/program/diff"
)

// benchResult is what --json says of a measurement.
type benchResult struct {
	Checkpoint string  `json:"checkpoint"`
	Batch      int     `json:"batch"`
	Repeats    int     `json:"repeats"`
	Workers    int     `json:"workers"`
	Kernels    string  `json:"kernels"`
	Peak       float64 `json:"peak_gflops"`
	Forward    rate    `json:"forward"`
	VJP        rate    `json:"vjp"`
	Train      rate    `json:"train"`
}

// rate is the speed of a piece of work.
type rate struct {
	MS     float64 `json:"ms"`         // of the whole batch, median
	GFLOPS float64 `json:"gflops"`     // two operations to a multiply-add, counted directly
	Share  float64 `json:"peak_share"` // of the peak
}

// bencher measures one network.
type bencher struct {
	*subject
	o        options
	team     *cpu.Team
	vjp      *program.Program
	training cpu.Training
	in       map[string][]float32
	wide     map[string][]float64
	mulAdds  float64 // forward, of the batch
}

// newBencher makes the programs and the batch, if they fit in memory.
func newBencher(s *subject, o options, team *cpu.Team) (*bencher, error) {
	b := &bencher{subject: s, o: o, team: team, mulAdds: s.net.Program.Cost(o.Batch).MulAdds}
	var err error
	if b.vjp, err = diff.VJP(s.net.Program, names{"out": "v"}, names{"x": "vjp"}); err != nil {
		return nil, err
	}
	if b.training, err = training(s.net); err != nil {
		return nil, err
	}
	if err := b.checkBench(memory.Available()); err != nil {
		return nil, err
	}
	b.draw()
	return b, nil
}

// bench measures the network and prints the rates.
func (s *subject) bench(ctx context.Context, o options, io ui.Streams) error {
	team := cpu.NewTeam(o.Workers)
	defer team.Close()
	b, err := ui.Wait(ctx, io.Err, "preparing the network", func() (*bencher, error) { return newBencher(s, o, team) })
	if err != nil {
		return err
	}
	r := benchResult{Checkpoint: o.Checkpoint, Batch: o.Batch, Repeats: o.Repeats, Workers: team.Workers(), Kernels: team.Impl.Name}
	fmt.Fprintf(io.Out, "model     %s: %s, %s trained parameters, %s multiply-adds a sample\n", o.Checkpoint, s.net.Config.Kind(), ui.Count(int64(s.net.NumParams())), ui.Rate(b.mulAdds/float64(o.Batch)))
	fmt.Fprintf(io.Out, "batch     %s samples, %d workers, %s kernels\n", ui.Count(int64(o.Batch)), r.Workers, r.Kernels)
	if err := b.measure(ctx, &r, io); err != nil {
		return err
	}
	r.print(io.Out)
	if o.JSON == "" {
		return nil
	}
	if err := rundir.WriteJSON(o.JSON, r); err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "written   %s\n", o.JSON)
	return nil
}

// measure fills in the rates. The peak is measured before and after each.
func (b *bencher) measure(ctx context.Context, r *benchResult, io ui.Streams) error {
	bar := ui.NewProgress(io.Err, "measurements", 0, 3, nil)
	parts := []struct {
		into    *rate
		mulAdds float64
		measure func(context.Context) (time.Duration, error)
	}{
		{&r.Forward, b.mulAdds, b.forward},
		{&r.VJP, 2 * b.mulAdds, b.backward},
		{&r.Train, 3*b.mulAdds - float64(b.o.Batch)*firstInputGradient(b.net.Program), b.train},
	}
	r.Peak = b.peak()
	for i, part := range parts {
		d, err := part.measure(ctx)
		if errors.Is(err, context.Canceled) {
			return fmt.Errorf("%w; nothing is written", ui.ErrInterrupted)
		}
		if err != nil {
			return err
		}
		part.into.MS, part.into.GFLOPS = 1e3*d.Seconds(), 2*part.mulAdds/1e9/d.Seconds()
		r.Peak = max(r.Peak, b.peak())
		bar.Show(int64(i + 1))
	}
	bar.Done()
	for _, part := range parts {
		part.into.Share = part.into.GFLOPS / r.Peak
	}
	return nil
}

func (r benchResult) print(w io.Writer) {
	fmt.Fprintf(w, "peak      %.4g GFLOP/s\n", r.Peak)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tms\tGFLOP/s\tof the peak\tsamples/s\t")
	for _, row := range []struct {
		name string
		rate
	}{{"forward", r.Forward}, {"VJP in x", r.VJP}, {"training step", r.Train}} {
		fmt.Fprintf(t, "%s\t%.4g\t%.4g\t%.1f %%\t%.4g\t\n", row.name, row.MS, row.GFLOPS, 100*row.Share, 1e3*float64(r.Batch)/row.MS)
	}
	t.Flush()
}

// draw makes a batch: standard normal samples, and times and labels that a network of this kind may see.
func (b *bencher) draw() {
	n, d := b.o.Batch, program.Size(b.net.Config.SampleShape())
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
		if b.net.Config.Kind() != "mlp" {
			t = float64(int(1000 * t))
		}
		b.wide["t"][i] = t
		b.wide["y"][i] = float64(i % max(1, b.net.Config.Classes()))
	}
}

// peak measures the rate of independent multiply-adds on all workers, in GFLOP/s: the best of some runs.
func (b *bencher) peak() float64 {
	const runs, length = 20, 500_000
	best := 0.0
	flops := make([]int, b.team.Workers())
	for range runs {
		begin := time.Now()
		b.team.Run(len(flops), func(_, task int) { flops[task] = b.team.Impl.Peak32(length) })
		sum := 0
		for _, f := range flops {
			sum += f
		}
		best = max(best, float64(sum)/1e9/time.Since(begin).Seconds())
	}
	return best
}

// median measures f, after one run that does not count.
func (b *bencher) median(ctx context.Context, f func() error) (time.Duration, error) {
	var all []time.Duration
	for i := range b.o.Repeats + 1 {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		begin := time.Now()
		if err := f(); err != nil {
			return 0, err
		}
		if i > 0 {
			all = append(all, time.Since(begin))
		}
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2, nil
}

func (b *bencher) forward(ctx context.Context) (time.Duration, error) {
	return b.program(ctx, b.net.Program, "out")
}

func (b *bencher) backward(ctx context.Context) (time.Duration, error) {
	return b.program(ctx, b.vjp, "out", "vjp")
}

// program measures a run of a program that computes outputs of the shape of x.
func (b *bencher) program(ctx context.Context, p *program.Program, outputs ...string) (time.Duration, error) {
	x, err := cpu.NewExecutor(p, b.team, cpu.Options{})
	if err != nil {
		return 0, err
	}
	if err := x.SetParams(b.params()); err != nil {
		return 0, err
	}
	batch := &cpu.Batch{N: b.o.Batch, In: b.in, Wide: b.wide, Out: map[string][]float32{}}
	for _, o := range outputs {
		batch.Out[o] = make([]float32, len(b.in["x"]))
	}
	return b.median(ctx, func() error { return x.RunContext(ctx, batch) })
}

// training is what a trainer needs of a network.
func training(net *nets.Network) (cpu.Training, error) {
	t := cpu.Training{Params: net.Matrices()}
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

// train measures steps of training on copies of the weights. The learning rate is small, so that the weights stay what they are.
func (b *bencher) train(ctx context.Context) (time.Duration, error) {
	t, err := cpu.NewTrainer(b.training, fit.Options{Batch: b.o.Batch, Workers: b.team.Workers()}, cpu.Options{})
	if err != nil {
		return 0, err
	}
	defer t.Close()
	size := program.Size(b.net.Config.SampleShape())
	source := fit.SourceFunc(func(t *fit.Tile) {
		copy(t.X, b.in["x"][t.Lo*size:t.Hi*size])
		copy(t.Target, t.X)
		copy(t.Tau, b.wide["t"][t.Lo:t.Hi])
		copy(t.Label, b.wide["y"][t.Lo:t.Hi])
		for i := range t.Weight {
			t.Weight[i] = 1
		}
	})
	return b.median(ctx, func() error {
		_, err := t.Step(ctx, source, 1e-7)
		return err
	})
}

// firstInputGradient is the number of multiply-adds for the gradient of the first layer's input, one sample's: training leaves it
// out, because that input is the data.
func firstInputGradient(p *program.Program) float64 {
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
