//go:build gpu && cgo

package cuda_test

import (
	"context"
	"testing"

	"hbar/checkpoint"
	"hbar/cuda"
	"hbar/data"
	"hbar/graph"
	"hbar/solver"
	"hbar/solver/likelihood"
)

// Likelihoods of a trained network at data points, from the points to the values.
func BenchmarkLikelihood(b *testing.B) {
	if err := cuda.Available(); err != nil {
		b.Skip(err)
	}
	c, err := checkpoint.Load("../solver/likelihood/testdata/sr_simple.safetensors")
	if err != nil {
		b.Fatal(err)
	}
	network, err := graph.New(c.Spec, c.Params)
	if err != nil {
		b.Fatal(err)
	}
	engine, err := cuda.NewEngine(network.Chain(), 0, cuda.FP32)
	if err != nil {
		b.Fatal(err)
	}
	defer engine.Close()
	s, err := solver.NewSchedule(c.Schedule, c.ScheduleParams)
	if err != nil {
		b.Fatal(err)
	}
	model, err := solver.NewNetwork(engine, s, solver.Prediction{}, solver.Float32)
	if err != nil {
		b.Fatal(err)
	}
	points := 1 << 16
	options, chain := likelihood.Options{}, likelihood.PathOptions{Grid: solver.GridLambda, Seed: 1}
	if testing.Short() {
		points = 2
		options.Steps, chain.Steps, chain.Paths = 1, 2, 2
	}
	set, err := data.Range("swissroll", 1<<20, points, 1)
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	for _, job := range []struct {
		name string
		n    int
		run  func(x []float64) error
	}{
		{"flow", points, func(x []float64) error {
			_, err := likelihood.Flow(ctx, model, s, x, likelihood.FlowOptions{Options: options})
			return err
		}},
		{"wkb, first order", max(1, points/8), func(x []float64) error {
			_, err := likelihood.Expand(ctx, model, s, x, likelihood.ExpandOptions{Options: options})
			return err
		}},
		{"wkb, first order, float32", max(1, points/8), func(x []float64) error {
			_, err := likelihood.Expand(ctx, model, s, x, likelihood.ExpandOptions{Options: options, Float32: true})
			return err
		}},
		{"wkb, second order", max(1, points/16), func(x []float64) error {
			_, err := likelihood.Expand(ctx, model, s, x, likelihood.ExpandOptions{Options: options, Order: 2})
			return err
		}},
		{"path integral", max(1, points/64), func(x []float64) error {
			_, err := likelihood.PathIntegral(ctx, model, s, x, []float64{1}, chain)
			return err
		}},
	} {
		b.Run(job.name, func(b *testing.B) {
			for range b.N {
				if err := job.run(set.X[:2*job.n]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(job.n)*float64(b.N)/b.Elapsed().Seconds(), "points/s")
		})
	}
}
