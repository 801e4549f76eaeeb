package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"hbar/cmd/internal/rundir"
	"hbar/cmd/internal/ui"
	"hbar/cuda"
	"hbar/internal/memory"
	"hbar/internal/rates"
	"hbar/kernels/cpu"
)

// benchResult is what --json says of a measurement.
type benchResult struct {
	Checkpoint string  `json:"checkpoint"`
	Batch      int     `json:"batch"`
	Repeats    int     `json:"repeats"`
	Device     string  `json:"device"`
	Precision  string  `json:"precision"`
	Workers    int     `json:"workers"` // on the CPU
	Kernels    string  `json:"kernels"` // on the CPU
	Peak       float64 `json:"peak_gflops"`
	Forward    rate    `json:"forward"`
	VJP        rate    `json:"vjp"`
	Train      rate    `json:"train,omitzero"` // not in f16, which is not for training
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
	o    options
	work *rates.Network
	need memory.Need
}

// newBencher makes the programs, if the batch fits in memory. A GPU takes a batch in blocks that fit in its own.
func newBencher(s *subject, o options, m rates.Machine) (*bencher, error) {
	work, err := rates.New(s.net, o.Batch, m)
	if err != nil {
		return nil, err
	}
	b := &bencher{subject: s, o: o, work: work}
	b.need, err = b.checkBench(memory.Available())
	return b, err
}

// machine is what is measured, described in r. stop releases it.
func (o options) machine(r *benchResult) (m rates.Machine, stop func() error, err error) {
	r.Precision = o.Precision
	if o.Device.Kind != "cuda" {
		team := cpu.NewTeam(o.Workers)
		r.Device, r.Workers, r.Kernels = "cpu", team.Workers(), team.Impl.Name
		return rates.Cores{Team: team}, func() error { team.Close(); return nil }, nil
	}
	g := rates.GPU{Index: o.Device.Index}
	if g.Precision, err = cuda.ParsePrecision(o.Precision); err != nil {
		return nil, nil, err
	}
	d, err := cuda.Open(g.Index)
	if err != nil {
		return nil, nil, fmt.Errorf("--device %s: %w; have cpu", o.Device, err)
	}
	r.Device = d.String()
	return g, func() error { return nil }, d.Close()
}

// bench measures the network and prints the rates.
func (s *subject) bench(ctx context.Context, o options, io ui.Streams) (err error) {
	r := benchResult{Checkpoint: o.Checkpoint, Batch: o.Batch, Repeats: o.Repeats}
	m, stop, err := o.machine(&r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	b, err := ui.Wait(ctx, io.Err, "preparing the network", func() (*bencher, error) { return newBencher(s, o, m) })
	if err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "model     %s: %s, %s trained parameters, %s multiply-adds a sample\n", o.Checkpoint, s.net.Config.Kind(), ui.Count(int64(s.net.NumParams())), ui.Rate(s.net.Program.Cost(1).MulAdds))
	on := fmt.Sprintf("%s, %s kernels", ui.Plural(int64(r.Workers), "worker"), r.Kernels)
	if o.Device.Kind == "cuda" {
		on = fmt.Sprintf("%s, products in %s", r.Device, r.Precision)
	}
	fmt.Fprintf(io.Out, "batch     %s, %s\n", ui.Plural(int64(o.Batch), "sample"), on)
	fmt.Fprintf(io.Out, "memory    about %v; there are %v\n", b.need, memory.Available())
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
	jobs := b.work.Jobs()
	if b.o.Precision == cuda.F16.String() {
		jobs = jobs[:2]
	}
	done, total := int64(0), int64(len(jobs)*(b.o.Repeats+1))
	bar := ui.NewProgress(io.Err, "runs", 0, total, nil)
	bar.Show(0)
	into := []*rate{&r.Forward, &r.VJP, &r.Train}
	peak := func() error {
		p, err := b.work.Machine.Peak()
		r.Peak = max(r.Peak, p/1e9)
		return err
	}
	if err := peak(); err != nil {
		return err
	}
	for i, job := range jobs {
		d, err := b.median(ctx, job, func() { done++; bar.Report(done) })
		if errors.Is(err, context.Canceled) {
			return fmt.Errorf("%w; nothing is written", ui.ErrInterrupted)
		}
		if err != nil {
			return err
		}
		into[i].MS, into[i].GFLOPS = 1e3*d.Seconds(), 2*job.MulAdds/1e9/d.Seconds()
		if err := peak(); err != nil {
			return err
		}
	}
	bar.Done()
	for _, v := range into[:len(jobs)] {
		v.Share = v.GFLOPS / r.Peak
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
		if row.MS == 0 {
			continue
		}
		fmt.Fprintf(t, "%s\t%.4g\t%.4g\t%.1f %%\t%.4g\t\n", row.name, row.MS, row.GFLOPS, 100*row.Share, 1e3*float64(r.Batch)/row.MS)
	}
	t.Flush()
}

// median measures a job, after one run that does not count. It calls done after each run.
func (b *bencher) median(ctx context.Context, job rates.Job, done func()) (_ time.Duration, err error) {
	run, stop, err := job.Start()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	var all []time.Duration
	for i := range b.o.Repeats + 1 {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		begin := time.Now()
		if err := run(ctx); err != nil {
			return 0, err
		}
		if i > 0 {
			all = append(all, time.Since(begin))
		}
		done()
	}
	return rates.Median(all), nil
}
