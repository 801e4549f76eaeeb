//go:build gpu && cgo

package programs_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"hbar/cuda/internal/cudatest"
	"hbar/cuda/programs"
	"hbar/kernels/fit"
	"hbar/program"
)

// job is what several processes train together in a test.
type job struct {
	Net          string
	Batch, Block int
	Bucket       int
	Steps        int
	Ranks        int
	Alone        bool // one process without a communicator
	Die          int  // rank 1 is killed before this step; 0: never
	Stop         int  // rank 1 is asked to stop before this step; 0: never
}

// outcome is what a process has to say of it.
type outcome struct {
	Losses, Norms []float64
	Grads, Params [][]float32
	Stopped       bool
	Sums          int
	Early         float64
	Failed        string
	Took          time.Duration // from the step that failed to its error
}

// run is what a process does.
func (j job) run(t *testing.T, p cudatest.Rank) (o outcome) {
	net := networks(t)[j.Net]
	d, comm := p.Open(t, j.Ranks, j.Alone)
	e := programs.Options{Block: j.Block, Comm: comm, Failed: p.Lost, Bucket: j.Bucket}
	r, err := programs.NewTrainer(d, programs.TrainingOf(t, net), fit.Options{Batch: j.Batch, Clip: 0.5, EMA: 0.9}, e)
	if err != nil {
		t.Fatal(err)
	}
	src := examples(program.Size(net.Config.SampleShape()))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for s := range j.Steps {
		if p.Rank == 1 && s > 0 && s == j.Die {
			cudatest.Die()
		}
		if p.Rank == 1 && s > 0 && s == j.Stop {
			cancel()
		}
		began := time.Now()
		losses := make([]float64, 1)
		n, last, err := r.Run(ctx, src, []float64{1e-3}, losses)
		if err != nil {
			o.Failed, o.Took = err.Error(), time.Since(began)
			break
		}
		if n == 0 {
			break
		}
		o.Losses, o.Norms = append(o.Losses, losses[0]), append(o.Norms, last.GradNorm)
		if s == 0 {
			if o.Grads, err = r.Gradients(nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	o.Stopped = r.Stopped()
	o.Sums, o.Early = r.Sums()
	if o.Failed == "" {
		if o.Params, err = r.Params(nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestOneOfSeveral(t *testing.T) {
	cudatest.OneOfSeveral(t, func(j job, p cudatest.Rank) outcome { return j.run(t, p) })
}

// together runs a job, and returns what its processes say; one that was killed says nothing.
func together(t *testing.T, j job, env ...string) []outcome {
	t.Helper()
	return cudatest.Together[outcome](t, j, j.Ranks, j.Die > 0, env...)
}

func equal(a, b [][]float32) bool {
	return slices.EqualFunc(a, b, func(x, y []float32) bool {
		return slices.EqualFunc(x, y, func(v, w float32) bool { return math.Float32bits(v) == math.Float32bits(w) })
	})
}

// Several processes train as one: the first loss is the same in all bits, because it is the sum of the losses of all rows in their order; gradients
// differ by the rounding of their sums, and parameters by what Adam makes of it. All processes have the same bits, and so has another run. One
// process with a communicator has the bits of one without.
func TestTogether(t *testing.T) {
	cudatest.NeedNCCL(t)
	for _, net := range []string{"unet", "dit"} {
		base := job{Net: net, Batch: 7, Steps: 3, Ranks: 1}
		alone := base
		alone.Alone = true
		want := alone.run(t, cudatest.Rank{})
		one := together(t, base)[0]
		if !slices.Equal(one.Losses, want.Losses) || !slices.Equal(one.Norms, want.Norms) || !equal(one.Params, want.Params) {
			t.Errorf("%s: one process with NCCL has losses %v and norms %v; without %v and %v", net, one.Losses, one.Norms, want.Losses, want.Norms)
		}
		for _, c := range []struct {
			job
			env string
		}{
			{job{Ranks: 2, Bucket: 1}, "HBAR_EMU_NCCL_VERSION=21805"},
			{job{Ranks: 3}, "HBAR_EMU_NCCL_VERSION=21805"},
			{job{Ranks: 2, Block: 2, Bucket: 1 << 12}, "HBAR_EMU_NCCL_VERSION=21805"},
			{job{Ranks: 2, Bucket: 1 << 12}, "HBAR_EMU_NCCL_VERSION=2804"}, // whose calls cannot be captured
		} {
			if net == "unet" && c.Bucket != 1 {
				continue
			}
			j := base
			j.Ranks, j.Block, j.Bucket = c.Ranks, c.Block, c.Bucket
			what := fmt.Sprintf("%s, %d processes, block %d, buckets of %d, %s", net, j.Ranks, j.Block, j.Bucket, c.env)
			all := together(t, j, c.env)
			for rank, o := range all {
				if o.Failed != "" {
					t.Fatalf("%s: process %d: %s", what, rank, o.Failed)
				}
				if !slices.Equal(o.Losses, all[0].Losses) || !equal(o.Params, all[0].Params) || !equal(o.Grads, all[0].Grads) {
					t.Errorf("%s: processes 0 and %d differ", what, rank)
				}
			}
			o := all[0]
			if o.Losses[0] != want.Losses[0] {
				t.Errorf("%s: the first loss is %v; of one process %v", what, o.Losses[0], want.Losses[0])
			}
			g, p := cudatest.Distance(want.Grads, o.Grads), cudatest.Distance(want.Params, o.Params)
			t.Logf("%s: %d sums, %.2f of the numbers early; gradients differ by %.1g of the largest, parameters after %d steps by %.1g", what, o.Sums, o.Early, g, j.Steps, p)
			// Sums of 7 rows in another order. Where a gradient is nothing but rounding a parameter may move either way by the learning rate.
			if !(g < 2e-6) || !(p < 5e-3) {
				t.Errorf("%s: gradients differ by %g of the largest, parameters by %g", what, g, p)
			}
			if j.Bucket == 1 && !(o.Early > 0.7 && o.Early < 1) {
				t.Errorf("%s: the sums of %v of the gradient begin before the last gradient is there", what, o.Early)
			}
		}
	}
	j := job{Net: "dit", Batch: 7, Steps: 3, Ranks: 3, Bucket: 1}
	if a, b := together(t, j)[0], together(t, j)[0]; !equal(a.Params, b.Params) {
		t.Error("two runs of three processes differ")
	}
}

// If one process is asked to stop, all stop after the same step.
func TestTogetherStop(t *testing.T) {
	cudatest.NeedNCCL(t)
	for rank, o := range together(t, job{Net: "dit", Batch: 4, Steps: 6, Ranks: 3, Stop: 2}) {
		if !o.Stopped || len(o.Losses) != 3 {
			t.Errorf("process %d has taken %d steps, stopped %v; want 3", rank, len(o.Losses), o.Stopped)
		}
	}
}

// If a process is killed, the others have an error soon.
func TestTogetherDeath(t *testing.T) {
	cudatest.NeedNCCL(t)
	cudatest.Deaths(t, 2, func(env string) (all []cudatest.Death) {
		for _, o := range together(t, job{Net: "dit", Batch: 4, Steps: 6, Ranks: 3, Die: 2}, env) {
			all = append(all, cudatest.Death{Steps: len(o.Losses), Failed: o.Failed, Took: o.Took})
		}
		return all
	})
}
