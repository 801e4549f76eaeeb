//go:build gpu && cgo

package cuda

import (
	"testing"
	"time"

	"hbar/cuda/internal/cudatest"
)

// joined is what a process has to say of Together.
type joined struct {
	Group, Failed string
	Took          time.Duration
}

func TestOneOfSeveral(t *testing.T) {
	cudatest.OneOfSeveral(t, func(ranks int, r cudatest.Rank) (o joined) {
		d, _ := r.Open(t, ranks, true)
		began := time.Now()
		g, err := Together(d, r.Peers(ranks))
		o.Took = time.Since(began)
		if err != nil {
			o.Failed = err.Error()
			return o
		}
		o.Group = g.String()
		if err := g.comm.Close(); err != nil {
			t.Fatal(err)
		}
		return o
	})
}

// All processes join, and make their first sums.
func TestTogether(t *testing.T) {
	cudatest.NeedNCCL(t)
	for rank, o := range cudatest.Together[joined](t, 3, 3, false) {
		if o.Failed != "" || o.Group != "3 GPUs, NCCL 2.18.5" {
			t.Errorf("process %d: %q, %q", rank, o.Group, o.Failed)
		}
	}
}

// If a process is killed at its first sum, the other has an error soon, though NCCL does not hear of it.
func TestTogetherDeath(t *testing.T) {
	cudatest.NeedNCCL(t)
	o := cudatest.Together[joined](t, 2, 2, true, "HBAR_EMU_NCCL_SILENT=1", "HBAR_EMU_NCCL_DIES=0")[0]
	if o.Failed != "cuda: process 1 of 2 has ended" || o.Took > 30*time.Second {
		t.Errorf("process 0 after %v: %q", o.Took, o.Failed)
	}
}
