package cpu_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"hbar/internal/rates"
	"hbar/kernels/cpu"
	"hbar/kernels/fit"
	"hbar/nets"
	"hbar/program"
)

// labelledDiT is a small transformer with three classes.
func labelledDiT(t *testing.T) *nets.Network {
	t.Helper()
	c, err := nets.NewDiT([]int{8, 4, 2}, 3, nets.DiTSizes{Patch: 2, Width: 16, Depth: 2, Heads: 2})
	if err != nil {
		t.Fatal(err)
	}
	n, err := nets.New(c)
	if err != nil {
		t.Fatal(err)
	}
	n.Initialise(3)
	r := rand.New(rand.NewPCG(6, 6))
	for _, w := range n.Weights { // first weights have gates of zero, which would hide most of the network
		for i := range w {
			w[i] += float32(r.NormFloat64() / 8)
		}
	}
	return n
}

func lanesNetworks(t *testing.T) map[string]*nets.Network {
	return map[string]*nets.Network{"unet": labelled(t), "dit": labelledDiT(t)}
}

// TestLanesForward: values of a batch have the same bits for any number of workers and blocks, whether workers share instructions or take
// samples of their own, and whether the samples have one time or times of their own.
func TestLanesForward(t *testing.T) {
	for name, net := range lanesNetworks(t) {
		t.Run(name, func(t *testing.T) {
			params := map[string][]float32{}
			for i, p := range net.Params {
				params[p.Name] = net.Weights[i]
			}
			common := program.WithRate(net.Program, program.Step, "t")
			d := program.Size(net.Config.SampleShape())
			const most = 37
			x, y, times := normals[float32](most*d, 4), make([]float64, most), make([]float64, most)
			for i := range times {
				y[i], times[i] = float64(i%3), float64(i)
			}
			for _, p := range []*program.Program{net.Program, common} {
				run := func(n, workers, block int) []float32 {
					team := cpu.NewTeam(workers)
					defer team.Close()
					ex, err := cpu.NewExecutor(p, team, cpu.Options{Block: block})
					if err != nil {
						t.Fatal(err)
					}
					if err := ex.SetParams(params); err != nil {
						t.Fatal(err)
					}
					b := &cpu.Batch{N: n, In: map[string][]float32{"x": x[:n*d]}, Wide: map[string][]float64{"t": times[:n], "y": y[:n]}, Out: map[string][]float32{"out": make([]float32, n*d)}}
					if p == common {
						b.Wide["t"] = times[7:8]
					}
					for range 2 {
						clear(b.Out["out"])
						if err := ex.Run(b); err != nil {
							t.Fatal(err)
						}
					}
					return b.Out["out"]
				}
				want := run(most, 1, 1)
				sizes, teams := []int{1, 2, 3, 4, 7, most}, []int{2, 3}
				if testing.Short() { // the race detector makes it slow
					sizes, teams = []int{2, 7}, []int{3}
				}
				for _, n := range sizes {
					for _, workers := range teams {
						for _, block := range []int{0, 1, workers, 5} {
							if got := run(n, workers, block); !slices.Equal(got, want[:n*d]) {
								t.Errorf("%d samples by %d workers in blocks of %d differ from one sample after another by one worker", n, workers, block)
							}
						}
					}
				}
			}
		})
	}
}

// TestLanesTraining: weights after three steps have the same bits for any number of workers and blocks, for batches of one part, of as many
// as workers, and of more.
func TestLanesTraining(t *testing.T) {
	for name, net := range lanesNetworks(t) {
		t.Run(name, func(t *testing.T) {
			work, err := rates.New(net, 1, rates.Cores{})
			if err != nil {
				t.Fatal(err)
			}
			size := program.Size(net.Config.SampleShape())
			source := fit.SourceFunc(func(b *fit.Tile) {
				for i := b.Lo; i < b.Hi; i++ {
					k := i - b.Lo
					at := uint64(b.Step)*1000 + uint64(i)
					copy(b.X[k*size:(k+1)*size], normals[float32](size, 2*at))
					copy(b.Target[k*size:(k+1)*size], normals[float32](size, 2*at+1))
					b.Tau[k], b.Weight[k], b.Label[k] = float64(i), 1, float64(i%3)
				}
			})
			batches, cases := []int{3, 6, 40, 70}, [][2]int{{2, 0}, {2, 1}, {3, 0}, {3, 7}}
			if testing.Short() {
				batches, cases = []int{6, 40}, [][2]int{{2, 0}, {3, 7}}
			}
			for _, batch := range batches {
				run := func(workers, block int) [][]float32 {
					r, err := cpu.NewTrainer(work.Training, fit.Options{Batch: batch, Workers: workers}, cpu.Options{Block: block})
					if err != nil {
						t.Fatal(err)
					}
					defer r.Close()
					for range 3 {
						if _, err := r.Step(context.Background(), source, 1e-2); err != nil {
							t.Fatal(err)
						}
					}
					return r.Params(nil)
				}
				want := run(1, 0)
				for _, c := range cases {
					got := run(c[0], c[1])
					for i := range want {
						if !slices.Equal(got[i], want[i]) {
							t.Fatalf("batches of %d: %s differs with %d workers and blocks of %d", batch, net.Params[i].Name, c[0], c[1])
						}
					}
				}
			}
		})
	}
}

// TestLanesEnd: a batch in lanes ends with the context, and the next one is right.
func TestLanesEnd(t *testing.T) {
	net := labelledDiT(t)
	e := engine(t, net, cpu.EngineOptions{Workers: 2})
	d := program.Size(net.Config.SampleShape())
	const n = 12
	x, y, tau := normals[float32](n*d, 9), make([]float32, n*d), make([]float64, n)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := e.Forward(ctx, y, x, tau); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v of a context that has ended", err)
	}
	if err := e.Forward(context.Background(), y, x, tau); err != nil {
		t.Fatal(err)
	}
	want := make([]float32, n*d)
	if err := engine(t, net, cpu.EngineOptions{Workers: 1}).Forward(context.Background(), want, x, tau); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(y, want) {
		t.Error("after a batch that was ended the values are wrong")
	}
}
