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
	"hbar/internal/memory"
	"hbar/internal/rates"
	"hbar/kernels/cpu"
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
	o    options
	work *rates.Network
}

// newBencher makes the programs, if the batch fits in memory.
func newBencher(s *subject, o options, team *cpu.Team) (*bencher, error) {
	work, err := rates.New(s.net, o.Batch, team)
	if err != nil {
		return nil, err
	}
	b := &bencher{subject: s, o: o, work: work}
	return b, b.checkBench(memory.Available())
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
	fmt.Fprintf(io.Out, "model     %s: %s, %s trained parameters, %s multiply-adds a sample\n", o.Checkpoint, s.net.Config.Kind(), ui.Count(int64(s.net.NumParams())), ui.Rate(s.net.Program.Cost(1).MulAdds))
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
	into := []*rate{&r.Forward, &r.VJP, &r.Train}
	peak := func() float64 { return rates.Peak(b.work.Team) / 1e9 }
	r.Peak = peak()
	for i, job := range b.work.Jobs() {
		d, err := b.median(ctx, job)
		if errors.Is(err, context.Canceled) {
			return fmt.Errorf("%w; nothing is written", ui.ErrInterrupted)
		}
		if err != nil {
			return err
		}
		into[i].MS, into[i].GFLOPS = 1e3*d.Seconds(), 2*job.MulAdds/1e9/d.Seconds()
		r.Peak = max(r.Peak, peak())
		bar.Show(int64(i + 1))
	}
	bar.Done()
	for _, v := range into {
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
		fmt.Fprintf(t, "%s\t%.4g\t%.4g\t%.1f %%\t%.4g\t\n", row.name, row.MS, row.GFLOPS, 100*row.Share, 1e3*float64(r.Batch)/row.MS)
	}
	t.Flush()
}

// median measures a job, after one run that does not count.
func (b *bencher) median(ctx context.Context, job rates.Job) (_ time.Duration, err error) {
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
	}
	return rates.Median(all), nil
}
