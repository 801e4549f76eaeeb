package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"hbar/data"
	"hbar/graph"
	"hbar/kernels"
	"hbar/kernels/infer"
	"hbar/kernels/simd"
	"hbar/solver"
	"hbar/train"
)

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

// chains measures the jobs of the network of dense layers.
func chains(o options) error {
	jobs, err := jobs()
	if err != nil {
		return err
	}
	cores := runtime.GOMAXPROCS(0)
	fmt.Printf("%-44s %22s %12s %8s %22s %7s\n", "job", "rate", "GFLOP/s", "of peak", "PyTorch", "ratio")
	for _, j := range jobs {
		rate, share, err := measure(j, o.repeats, cores)
		if err != nil {
			return fmt.Errorf("%s: %w", j.name, err)
		}
		beside, ratio := "-", "-"
		if o.torch && j.torch != nil {
			if r, ok := torchRate(o.python, j.torch); ok {
				beside, ratio = fmt.Sprintf("%s %s", si(r), j.unit), fmt.Sprintf("%.1f", j.units*rate/r)
			}
		}
		fmt.Printf("%-44s %22s %12.1f %7.1f%% %22s %7s\n", j.name, fmt.Sprintf("%s %s", si(j.units*rate), j.unit), j.flops*rate/1e9, 100*share, beside, ratio)
	}
	fmt.Println()
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

// measure runs the job and the peak loop alternately and returns the medians of runs a second and of the share of the peak.
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
