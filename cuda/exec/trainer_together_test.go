//go:build gpu && cgo

package exec_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"hbar/cuda/chains"
	"hbar/cuda/exec"
	"hbar/cuda/internal/cudatest"
	"hbar/kernels/fit"
	"hbar/kernels/simd"
)

// job is what several processes train together in a test.
type job struct {
	Net    int // of togetherNets
	Batch  int
	Bucket int
	Steps  int
	Ranks  int
	Alone  bool // one process without a communicator
	Host   bool // batches are drawn on the host
	NaN    bool // a row of the data is NaN
	Only   bool // steps only, no evaluation before
	Die    int  // rank 1 is killed after so many steps; 0: never
	Stop   int  // rank 1 is asked to stop after so many steps; 0: never
	Burst  int  // all ask for so many steps at once; 0: for different numbers
	Full   bool // rank 1 has no memory for its trainer
}

// togetherNets are fused, by layers with residual connections, and by layers with products for the gradients of weights.
var togetherNets = []trainNet{trainNets[1], trainNets[5], {2, []int{130, 130}, simd.Tanh, false, 0}}

// byLayers is the number of the last, which the fused pass would take too.
const byLayers = 2

// outcome is what a process has to say of it.
type outcome struct {
	Losses  []float64
	Norm    float64
	State   fit.State
	Grads   [][]float32 // of the first batch
	Output  []float32   // of the first batch, of the rows of this process
	Rows    int
	Stopped bool
	Sums    int
	Early   float64
	Failed  string
	After   string        // what parameters are after the failure: an error
	Took    time.Duration // from the call that failed to its error
}

// run is what a process does. The processes ask for their steps in pieces of different lengths.
func (j job) run(t *testing.T, p cudatest.Rank) (o outcome) {
	c := togetherNets[j.Net]
	chain, b := c.training(), testBatches(c.d)
	pass := chains.TrainingPass(chain)
	if j.Net == byLayers {
		pass = nil
	}
	if j.NaN {
		b.X[7*c.d] = float32(math.NaN())
	}
	d, comm := p.Open(t, j.Ranks, j.Alone)
	peers := exec.Peers{Comm: comm, Failed: p.Lost, Bucket: j.Bucket}
	opt := optimisers[1]
	opt.Batch = j.Batch
	if j.Full && p.Rank == 1 {
		t.Setenv("HBAR_EMU_MEMORY", "1000")
	}
	r, err := exec.NewTrainer(d, chain, opt, b, pass, peers)
	if err != nil {
		return outcome{Failed: err.Error()}
	}
	src := hostSource{b, c.d, j.Batch}
	if !j.Only {
		if err := r.SetInputs(src); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Evaluate(); err != nil {
			t.Fatal(err)
		}
		_, _, _, _, output, err := r.BatchTensors(r.Rows())
		if err != nil {
			t.Fatal(err)
		}
		o.Output = cudatest.Numbers(t, d, output)
		if _, err := r.Gradient(nil); err != nil {
			t.Fatal(err)
		}
		if o.Grads, err = r.Gradients(nil); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for r.Steps() < int64(j.Steps) && !r.Stopped() {
		at := int(r.Steps())
		n := min(j.Steps-at, 3+4*p.Rank)
		if j.Burst > 0 {
			n = min(j.Steps-at, j.Burst)
		}
		for _, event := range []int{j.Die, j.Stop} {
			if p.Rank == 1 && at < event {
				n = min(n, event-at)
			}
		}
		if p.Rank == 1 && at > 0 && at == j.Die {
			cudatest.Die()
		}
		if p.Rank == 1 && at > 0 && at == j.Stop {
			cancel()
		}
		began := time.Now()
		losses := make([]float64, n)
		var last fit.Result
		taken := 1
		if j.Host {
			if last, err = r.Step(src, rates(at, 1)[0]); err != nil {
				taken = 0
			}
			losses[0] = last.Loss
		} else {
			taken, last, err = r.Run(ctx, rates(at, n), losses)
		}
		if err != nil {
			o.Failed, o.Took = err.Error(), time.Since(began)
			o.Losses = append(o.Losses, losses[:taken]...)
			break
		}
		if o.Losses = append(o.Losses, losses[:taken]...); taken > 0 {
			o.Norm = last.GradNorm
		}
	}
	if _, err := r.Params(nil); err != nil {
		o.After = err.Error()
	}
	o.Rows, o.Stopped = r.Rows(), r.Stopped()
	o.Sums, o.Early = r.Sums()
	if o.Failed == "" || j.NaN {
		o.State = *must(r.State())(t)
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
func (j job) together(t *testing.T, env ...string) []outcome {
	t.Helper()
	dies := j.Die > 0 || slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, "HBAR_EMU_NCCL_DIES=") })
	return cudatest.Together[outcome](t, j, j.Ranks, dies, env...)
}

// Several processes train as one: outputs and the loss of the first step are the same in all bits, gradients differ by the rounding of their sums. All
// processes have the same bits, whatever pieces they ask for their steps in, and so has a run whose steps are not captured. One process with a communicator has
// the bits of one without.
func TestTogether(t *testing.T) {
	cudatest.NeedNCCL(t)
	const captured, launched = 21805, 2804 // versions of NCCL
	for net := range togetherNets {
		large := net == byLayers // takes the emulator long
		base := job{Net: net, Batch: 21, Steps: 20, Ranks: 1}
		if large {
			base.Batch, base.Steps = 7, 5
		}
		alone := base
		alone.Alone = true
		want := alone.run(t, cudatest.Rank{})
		one := base.together(t)[0]
		if !slices.Equal(one.Losses, want.Losses) || one.Norm != want.Norm {
			t.Errorf("net %d: one process with NCCL has losses %v and last norm %v; without %v and %v", net, one.Losses, one.Norm, want.Losses, want.Norm)
		}
		equalStates(t, "one process with NCCL", &one.State, &want.State)
		for _, c := range []struct {
			ranks, bucket, version int
			host                   bool
		}{{3, 1, captured, false}, {2, 0, captured, true}, {2, 1 << 10, launched, false}} {
			if net > 0 && c.version == launched || large && c.ranks == 2 {
				continue
			}
			j := base
			j.Ranks, j.Bucket, j.Host = c.ranks, c.bucket, c.host
			what := fmt.Sprintf("net %d, %+v", net, c)
			all := j.together(t, fmt.Sprint("HBAR_EMU_NCCL_VERSION=", c.version))
			rows, output := 0, []float32(nil)
			for rank, o := range all {
				if o.Failed != "" || len(o.Losses) != j.Steps {
					t.Fatalf("%s: process %d after %d steps: %q", what, rank, len(o.Losses), o.Failed)
				}
				if !slices.Equal(o.Losses, all[0].Losses) || cudatest.Distance(o.Grads, all[0].Grads) != 0 {
					t.Errorf("%s: processes 0 and %d differ", what, rank)
				}
				equalStates(t, fmt.Sprintf("%s: process %d", what, rank), &o.State, &all[0].State)
				rows, output = rows+o.Rows, append(output, o.Output...)
			}
			o := all[0]
			if rows != j.Batch {
				t.Errorf("%s: all processes have %d rows of %d", what, rows, j.Batch)
			}
			if !slices.Equal(output, want.Output) {
				t.Errorf("%s: the network's output for the rows of all processes is not that of one", what)
			}
			if !c.host && o.Losses[0] != want.Losses[0] {
				t.Errorf("%s: the first loss is %v; of one process %v", what, o.Losses[0], want.Losses[0])
			}
			g, p := cudatest.Distance(want.Grads, o.Grads), cudatest.Distance(want.State.Params, o.State.Params)
			t.Logf("%s: %d sums, %.2f of the numbers early; gradients differ by %.1g of the largest, parameters after %d steps by %.1g", what, o.Sums, o.Early, g, j.Steps, p)
			// Sums of up to 21 rows in another order. Where a gradient is nothing but rounding a parameter may move either way by the learning rate.
			if !(g < 1e-6) || !(p < 1e-3) {
				t.Errorf("%s: gradients differ by %g of the largest, parameters by %g", what, g, p)
			}
			if layers := len(togetherNets[net].widths) + 1; c.bucket == 1 && (o.Sums != layers || !(o.Early > 0.3 && o.Early < 1)) {
				t.Errorf("%s: %d sums, and those of %v of the gradient begin before the last gradient is there; want %d", what, o.Sums, o.Early, layers)
			}
		}
	}
}

// A step that cannot be taken is the same error in all processes, as of one, and all have the state before it.
func TestTogetherNonFinite(t *testing.T) {
	cudatest.NeedNCCL(t)
	for _, net := range []int{0, 1} {
		j := job{Net: net, Batch: 4, Steps: 40, Ranks: 1, Alone: true, NaN: true, Only: true}
		want := j.run(t, cudatest.Rank{})
		if !strings.Contains(want.Failed, "the weighted squared error of row") || len(want.Losses) == 0 {
			t.Fatalf("one process: after %d steps %q", len(want.Losses), want.Failed)
		}
		j.Ranks, j.Alone = 3, false
		for rank, o := range j.together(t) {
			if o.Failed != want.Failed || len(o.Losses) != len(want.Losses) || o.State.Step != int64(len(o.Losses)) {
				t.Errorf("net %d: process %d after %d steps: %q; one process after %d: %q", net, rank, len(o.Losses), o.Failed, len(want.Losses), want.Failed)
			}
			if d := cudatest.Distance(want.State.Params, o.State.Params); !(d < 1e-3) {
				t.Errorf("net %d: the parameters of process %d before the bad step differ by %g", net, rank, d)
			}
		}
	}
}

// If one process is asked to stop, all stop after the same step.
func TestTogetherStop(t *testing.T) {
	cudatest.NeedNCCL(t)
	for rank, o := range (job{Net: 0, Batch: 4, Steps: 20, Ranks: 3, Stop: 5}).together(t) {
		if !o.Stopped || len(o.Losses) != 5 || o.State.Step != 5 {
			t.Errorf("process %d has taken %d steps, stopped %v; want 5", rank, len(o.Losses), o.Stopped)
		}
	}
}

// If a process is killed, the others have an error soon.
func TestTogetherDeath(t *testing.T) {
	cudatest.NeedNCCL(t)
	cudatest.Deaths(t, 5, func(env string) (all []cudatest.Death) {
		for _, o := range (job{Net: 1, Batch: 4, Steps: 20, Ranks: 3, Die: 5}).together(t, env) {
			if o.After != o.Failed {
				t.Errorf("%s: after %q the parameters are the error %q; want the same", env, o.Failed, o.After)
			}
			all = append(all, cudatest.Death{Steps: len(o.Losses), Failed: o.Failed, Took: o.Took})
		}
		return all
	})
}

// So it is if the process is killed while the others enqueue steps that have sums with it, and the driver takes no more work than some steps.
func TestTogetherDeathInBurst(t *testing.T) {
	cudatest.NeedNCCL(t)
	for _, version := range []string{"21805", "2804"} {
		j := job{Net: 0, Batch: 4, Steps: 96, Burst: 96, Ranks: 2, Only: true}
		o := j.together(t, "HBAR_EMU_NCCL_SILENT=1", "HBAR_EMU_NCCL_DIES=11", "HBAR_EMU_QUEUE=500", "HBAR_EMU_NCCL_VERSION="+version)[0]
		if len(o.Losses) != 0 || o.Failed != "process 1 has ended" || o.Took > 30*time.Second {
			t.Errorf("NCCL %s: process 0 after %d steps and %v: %q", version, len(o.Losses), o.Took, o.Failed)
		}
	}
}

// A process whose trainer has no memory ends with that error, and does not wait for the others. They have an error soon.
func TestTogetherOneFails(t *testing.T) {
	cudatest.NeedNCCL(t)
	all := (job{Net: 0, Batch: 4, Steps: 8, Ranks: 3, Only: true, Full: true}).together(t)
	if o := all[1]; !strings.Contains(o.Failed, "CUDA_ERROR_OUT_OF_MEMORY") {
		t.Errorf("process 1: %q", o.Failed)
	}
	for _, rank := range []int{0, 2} {
		o := all[rank]
		if !strings.Contains(o.Failed, "process 1 has ended") && !strings.Contains(o.Failed, "remote process exited or there was a network error") || o.Took > 30*time.Second {
			t.Errorf("process %d after %v: %q", rank, o.Took, o.Failed)
		}
	}
}

// Sums that are not the same in all processes are an error of all.
func TestTogetherOtherSums(t *testing.T) {
	cudatest.NeedNCCL(t)
	for _, host := range []bool{false, true} {
		for rank, o := range (job{Net: 0, Batch: 4, Steps: 8, Ranks: 2, Only: true, Host: host}).together(t, "HBAR_EMU_NCCL_WRONG=1") {
			if !strings.Contains(o.Failed, "the gradients of process 1 have other norms than those of process 0") {
				t.Errorf("batches of the host %v: process %d: %q", host, rank, o.Failed)
			}
		}
	}
}

// A batch has a row for each process.
func TestTogetherRows(t *testing.T) {
	cudatest.NeedNCCL(t)
	for rank, o := range (job{Net: 0, Batch: 2, Steps: 1, Ranks: 3}).together(t) {
		if !strings.Contains(o.Failed, "a batch of 2 rows for 3 processes; each takes at least one") {
			t.Errorf("process %d: %q", rank, o.Failed)
		}
	}
}
