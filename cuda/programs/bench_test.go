//go:build gpu && cgo

package programs_test

import (
	"context"
	"fmt"
	"testing"

	"hbar/cuda/exec"
	"hbar/cuda/internal/cudatest"
	"hbar/cuda/programs"
	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/nets"
	"hbar/program"
)

// benchmarked are networks of published sizes with first weights, and small ones with -short, as on the emulator.
func benchmarked(b *testing.B) map[string]*nets.Network {
	b.Helper()
	all := map[string]*nets.Network{}
	for name, size := range map[string]string{"unet-cifar10": "cifar10", "dit-s2": "dit-s2"} {
		c, err := nets.Preset(size, []int{32, 32, 3}, 0)
		if testing.Short() {
			c, err = nets.NewDiT([]int{4, 4, 1}, 0, nets.DiTSizes{Patch: 2, Width: 16, Depth: 1, Heads: 2})
		}
		if err != nil {
			b.Fatal(err)
		}
		n, err := nets.New(c)
		if err != nil {
			b.Fatal(err)
		}
		n.Initialise(1)
		all[name] = n
	}
	return all
}

// BenchmarkNetworks measures a step of sampling and of training, transfers included, in each precision that these have.
func BenchmarkNetworks(b *testing.B) {
	batch := 256
	if testing.Short() {
		batch = 2
	}
	ctx := context.Background()
	for name, net := range benchmarked(b) {
		d := program.Size(net.Config.SampleShape())
		adds := net.Program.Cost(1).MulAdds
		for _, p := range []exec.Precision{exec.FP32, exec.TF32, exec.BF16, exec.F16} {
			b.Run(fmt.Sprintf("sample/%s/%v/n=%d", name, p, batch), func(b *testing.B) {
				dev := cudatest.Open(b)
				e, err := programs.NewEngine(dev, net.Program, net.Matrices(), programs.EngineOptions{Precision: p})
				if err != nil {
					b.Fatal(err)
				}
				defer e.Close()
				const steps = 8
				rows := make([]kernels.Row, steps)
				for k := range rows {
					rows[k] = kernels.Row{Tau: float64(1 + k), Cin: 1, State: 0.9, Net: 0.1, Noise: 0.1, Step: uint32(k)}
				}
				x := make([]float32, batch*d)
				if err := e.Trajectory(ctx, x, nil, rows, kernels.Noise{}, nil); err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					if err := e.Trajectory(ctx, x, nil, rows, kernels.Noise{}, nil); err != nil {
						b.Fatal(err)
					}
				}
				rate(b, float64(batch*steps), adds)
			})
			if p.OfTraining() != nil {
				continue
			}
			b.Run(fmt.Sprintf("train/%s/%v/n=%d", name, p, batch), func(b *testing.B) {
				dev := cudatest.Open(b)
				r, err := programs.NewTrainer(dev, programs.TrainingOf(b, net), fit.Options{Batch: batch, Clip: 1, EMA: 0.999}, programs.Options{Precision: p})
				if err != nil {
					b.Fatal(err)
				}
				defer r.Close()
				src := fit.SourceFunc(func(t *fit.Tile) {
					for i := range t.Tau {
						t.Tau[i], t.Weight[i], t.Label[i] = 0.5, 1, 0
					}
				})
				if _, err := r.Step(ctx, src, 1e-4); err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					if _, err := r.Step(ctx, src, 1e-4); err != nil {
						b.Fatal(err)
					}
				}
				rate(b, float64(batch), 3*adds)
				b.ReportMetric(float64(r.Block()), "block")
			})
		}
	}
}

// rate reports samples and multiply-adds (two operations each) a second.
func rate(b *testing.B, samples, adds float64) {
	each := b.Elapsed().Seconds() / float64(b.N)
	b.ReportMetric(samples/each, "samples/s")
	b.ReportMetric(2*adds*samples/each/1e12, "TFLOP/s")
}
