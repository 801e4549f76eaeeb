package rates

import (
	"context"
	"slices"
	"testing"
	"time"

	"hbar/kernels/cpu"
	"hbar/nets"
)

// TestJobs runs the jobs of small networks, whose multiply-adds of one sample are known by hand.
func TestJobs(t *testing.T) {
	dit, err := nets.NewDiT([]int{4, 4, 1}, 3, nets.DiTSizes{Width: 8, Depth: 1, Heads: 2})
	if err != nil {
		t.Fatal(err)
	}
	const tokens, width, patch = 4, 8, 4
	for _, c := range []struct {
		name           string
		config         nets.Config
		forward, first float64
	}{
		{"mlp", nets.MLP{D: 2, Width: 8, Depth: 2, Act: "silu"}, 3*8 + 8*8 + 8*2, 3 * 8},
		// Patches; 256 sinusoids of the time; q, k, v and what follows, the MLP of 4 times the width, attention, modulation; head.
		{"dit", dit, tokens*patch*width + 256*width + width*width + tokens*12*width*width + 2*tokens*tokens*width + 6*width*width +
			tokens*width*patch + 2*width*width, tokens * patch * width},
	} {
		t.Run(c.name, func(t *testing.T) {
			net, err := nets.New(c.config)
			if err != nil {
				t.Fatal(err)
			}
			net.Initialise(1)
			before := slices.Clone(net.Weights[0])
			team := cpu.NewTeam(2)
			defer team.Close()
			const n = 3
			b, err := New(net, n, Cores{team})
			if err != nil {
				t.Fatal(err)
			}
			probes, err := b.Probes(2)
			if err != nil {
				t.Fatal(err)
			}
			want := []float64{n * c.forward, 2 * n * c.forward, n * (3*c.forward - c.first), 3 * n * c.forward}
			for i, job := range append(b.Jobs(), probes) {
				if job.MulAdds != want[i] {
					t.Errorf("%s: %g multiply-adds, want %g", job.Name, job.MulAdds, want[i])
				}
				run, stop, err := job.Start()
				if err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if err := run(context.Background()); err != nil {
						t.Errorf("%s: %v", job.Name, err)
					}
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
			}
			if !slices.Equal(before, net.Weights[0]) {
				t.Error("training changed the weights of the network")
			}
		})
	}
}

func TestMedian(t *testing.T) {
	if got := Median([]float64{5, 1, 3}); got != 3 {
		t.Errorf("median %g, want 3", got)
	}
	if got := Median([]time.Duration{4, 1, 2, 9}); got != 3 {
		t.Errorf("median %d, want 3", got)
	}
}
