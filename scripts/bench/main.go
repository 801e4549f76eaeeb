// Command bench prints one table: the jobs of hbar on this machine's CPU, their rates, their share of the machine's
// measured multiply-add peak, and, where /usr/bin/python3 has PyTorch, PyTorch's rate in the same run.
//
//	go run ./scripts/bench [--repeats 7] [--torch=false]
//
// The network is 3-128-128-128-2 with SiLU. Only its multiply-adds count as work (two operations each); the peak is a
// loop of independent vector multiply-adds on all cores, run in turn with the job, the share the median of the ratios.
// PyTorch's rate is its best over 1 and 2 threads (OMP_NUM_THREADS and OPENBLAS_NUM_THREADS), by scripts/torch_peer.py.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"hbar/data"
	"hbar/graph"
	"hbar/kernels"
	"hbar/kernels/infer"
	"hbar/kernels/simd"
	"hbar/solver"
	"hbar/train"
)

func main() {
	repeats := pflag.Int("repeats", 7, "runs of each job; medians are printed")
	torch := pflag.Bool("torch", true, "run PyTorch beside, if it is there")
	pflag.Parse()
	if *repeats < 1 {
		fmt.Fprintln(os.Stderr, "bench: --repeats must be at least 1")
		os.Exit(2)
	}
	if err := run(*repeats, *torch); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// job is one row of the table.
type job struct {
	name  string
	unit  string
	units float64 // of work in one run
	flops float64 // of the network in one run
	peak  func(n int) int
	run   func() error
	torch []string // arguments of scripts/torch_peer.py
}

func run(repeats int, torch bool) error {
	jobs, err := jobs()
	if err != nil {
		return err
	}
	cores := runtime.GOMAXPROCS(0)
	peak32, peak64 := peakRate(simd.Best().Peak32, cores), peakRate(simd.Best().Peak64, cores)
	fmt.Printf("%s/%s, %d cores, kernels %s; multiply-add peak %.1f GFLOP/s in float32, %.1f in float64\n\n",
		runtime.GOOS, runtime.GOARCH, cores, simd.Best().Name, peak32/1e9, peak64/1e9)
	fmt.Printf("%-44s %22s %12s %8s %22s %7s\n", "job", "rate", "GFLOP/s", "of peak", "PyTorch", "ratio")
	for _, j := range jobs {
		rate, share, err := measure(j, repeats, cores)
		if err != nil {
			return fmt.Errorf("%s: %w", j.name, err)
		}
		beside, ratio := "-", "-"
		if torch && j.torch != nil {
			if r, ok := torchRate(j.torch); ok {
				beside, ratio = fmt.Sprintf("%s %s", si(r), j.unit), fmt.Sprintf("%.1f", j.units*rate/r)
			}
		}
		fmt.Printf("%-44s %22s %12.1f %7.1f%% %22s %7s\n", j.name, fmt.Sprintf("%s %s", si(j.units*rate), j.unit), j.flops*rate/1e9, 100*share, beside, ratio)
	}
	return nil
}

func jobs() ([]job, error) {
	ctx := context.Background()
	spec := graph.Spec{D: 2, Width: 128, Depth: 3, Act: "silu"}
	params, err := spec.Initial(0)
	if err != nil {
		return nil, err
	}
	network, err := graph.New(spec, params)
	if err != nil {
		return nil, err
	}
	engine, err := infer.New(network.Chain(), infer.Options{})
	if err != nil {
		return nil, err
	}
	schedule, err := solver.ParseSchedule("simple")
	if err != nil {
		return nil, err
	}
	sampling := func(n, steps int) (job, error) {
		table, err := solver.NewTable(schedule, solver.Prediction{}, solver.TableOptions{Steps: steps, H: 1})
		if err != nil {
			return job{}, err
		}
		x := make([]float32, 2*n)
		noise := kernels.Noise{Stream: kernels.StreamNoise}
		return job{
			name: fmt.Sprintf("sampling, Euler-Maruyama, n = %d", n), unit: "sample-steps/s", units: float64(n * steps),
			flops: 2 * float64(engine.MACs()*n*steps), peak: simd.Best().Peak32,
			run: func() error {
				kernels.Normals(x, kernels.Noise{Stream: kernels.StreamPrior}, 0, n, 2)
				return engine.Trajectory(ctx, x, nil, table.Rows, noise, nil)
			},
			torch: []string{"sample", "--n", fmt.Sprint(n), "--steps", fmt.Sprint(steps)},
		}, nil
	}
	large, err := sampling(16384, 20)
	if err != nil {
		return nil, err
	}
	small, err := sampling(64, 1000)
	if err != nil {
		return nil, err
	}

	const evaluated = 4096
	x, s, div := make([]float32, 2*evaluated), make([]float32, 2*evaluated), make([]float64, evaluated)
	x64, jets := make([]float64, 2*evaluated), make([]float64, 2*evaluated*simd.NJet(2, 3))
	kernels.Normals(x, kernels.Noise{Stream: kernels.StreamPrior}, 0, evaluated, 2)
	for i, v := range x {
		x64[i] = float64(v)
	}
	t := []float64{0.5}
	divergence := job{
		name: fmt.Sprintf("score + exact divergence, n = %d", evaluated), unit: "evaluations/s", units: 10 * evaluated,
		flops: 10 * 2 * 3 * float64(engine.MACs()*evaluated), peak: simd.Best().Peak32,
		run: func() error {
			for range 10 {
				if err := engine.Divergence(ctx, s, div, x, nil, 2, t); err != nil {
					return err
				}
			}
			return nil
		},
		torch: []string{"scorediv", "--n", fmt.Sprint(evaluated), "--steps", "10"},
	}
	taylor := job{
		name: "Taylor to order 3, D = 2, float64, n = 4096", unit: "evaluations/s", units: evaluated,
		flops: 2 * float64(simd.NJet(2, 3)*engine.MACs()*evaluated), peak: simd.Best().Peak64,
		run: func() error { return engine.Jets64(ctx, jets, x64, t, 3) },
	}

	training, err := training(spec)
	if err != nil {
		return nil, err
	}
	return []job{large, small, training, divergence, taylor}, nil
}

// training is the published setting: minibatch and noise drawing included, the building of the graph not.
func training(spec graph.Spec) (job, error) {
	set, err := data.ByName("swissroll", 3000, 0)
	if err != nil {
		return job{}, err
	}
	const steps, batch = 1000, 512
	// forward, gradients by the weights, and gradients by the inputs of all layers but the first
	w := float64(spec.Width)
	macs := 3*w + float64(spec.Depth-1)*w*w + w*2
	back := macs - 3*w
	runs := make(chan *train.Run, 1)
	prepare := func() error {
		r, err := train.New(set, train.Options{Steps: steps, Batch: batch, LogEvery: steps})
		if err == nil {
			runs <- r
		}
		return err
	}
	if err := prepare(); err != nil {
		return job{}, err
	}
	return job{
		name: fmt.Sprintf("training step, batch %d", batch), unit: "steps/s", units: steps,
		flops: 2 * steps * batch * (2*macs + back), peak: simd.Best().Peak32,
		run: func() error {
			start := time.Now()
			if _, err := (<-runs).Run(context.Background(), nil); err != nil {
				return err
			}
			took = time.Since(start)
			return prepare()
		},
		torch: []string{"train", "--batch", fmt.Sprint(batch), "--steps", fmt.Sprint(steps)},
	}, nil
}

// took is the time of a job that does more than its work; 0 means that all of run counts.
var took time.Duration

// measure runs the job and the peak loop in turn and returns the medians of runs a second and of the share of the peak.
func measure(j job, repeats, cores int) (rate, share float64, err error) {
	if err := j.run(); err != nil { // warm up
		return 0, 0, err
	}
	var rates, shares []float64
	for range repeats {
		took = 0
		start := time.Now()
		if err := j.run(); err != nil {
			return 0, 0, err
		}
		d := time.Since(start)
		if took > 0 {
			d = took
		}
		rates = append(rates, 1/d.Seconds())
		shares = append(shares, j.flops/d.Seconds()/peakRate(j.peak, cores))
	}
	slices.Sort(rates)
	slices.Sort(shares)
	return rates[repeats/2], shares[repeats/2], nil
}

// peakRate is the rate of the peak loop on all cores over some 30 ms, in operations a second.
func peakRate(peak func(n int) int, cores int) float64 {
	const rounds = 1 << 12 // one call is well under a millisecond
	var wg sync.WaitGroup
	ops := make([]float64, cores)
	start := time.Now()
	for i := range cores {
		wg.Go(func() {
			for time.Since(start) < 30*time.Millisecond {
				ops[i] += float64(peak(rounds))
			}
		})
	}
	wg.Wait()
	total := 0.0
	for _, o := range ops {
		total += o
	}
	return total / time.Since(start).Seconds()
}

// torchRate is PyTorch's best rate over its thread settings; false if there is no PyTorch.
func torchRate(args []string) (float64, bool) {
	best, ok := 0.0, false
	for _, threads := range []string{"1", "2"} {
		cmd := exec.Command("/usr/bin/python3", append([]string{"scripts/torch_peer.py"}, args...)...)
		cmd.Env = append(os.Environ(), "OMP_NUM_THREADS="+threads, "OPENBLAS_NUM_THREADS="+threads)
		out, err := cmd.Output()
		var r struct{ Rate float64 }
		if err != nil || json.Unmarshal(out, &r) != nil {
			continue
		}
		best, ok = max(best, r.Rate), true
	}
	return best, ok
}

// si writes a number with three digits and a prefix.
func si(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.3g M", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.3g k", v/1e3)
	}
	return fmt.Sprintf("%.4g", v)
}
