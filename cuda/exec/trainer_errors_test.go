//go:build gpu && cgo

package exec_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"hbar/cuda/chains"
	"hbar/cuda/exec"
	"hbar/cuda/internal/cudatest"
	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/kernels/simd"
)

// tooMany rows of a batch fit on no device: they take terabytes.
const tooMany = 1 << 32

func TestTrainerErrors(t *testing.T) {
	p, b := trainNets[0].training(), testBatches(2)
	d := cudatest.Open(t)
	for _, c := range []struct {
		o    fit.Options
		b    kernels.Batches
		want string
	}{
		{fit.Options{}, *b, "Batch is 0"},
		{fit.Options{Batch: 4}, kernels.Batches{X: b.X[:3], Times: b.Times}, "training data of 3 numbers; want rows of 2"},
		{fit.Options{Batch: 4}, kernels.Batches{X: b.X}, "a table of times of 0 cells"},
		{fit.Options{Batch: tooMany}, *b, fmt.Sprintf("for batches of %d rows", tooMany)},
	} {
		if _, err := exec.NewTrainer(d, p, c.o, &c.b, chains.TrainingPass(p), exec.Peers{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
	tr := newTrainer(t, p, fit.Options{Batch: 4}, nil)
	if _, _, err := tr.Run(t.Context(), rates(0, 1), make([]float64, 1)); err == nil || !strings.Contains(err.Error(), "takes its batches from a source") {
		t.Errorf("without batches: %v", err)
	}
	if err := tr.SetBatch(0); err == nil {
		t.Error("a batch of no rows")
	}
	src := hostSource{b, 2, 4}
	if err := tr.SetBatch(tooMany); err == nil {
		t.Errorf("a batch of %d rows fits", tooMany)
	} else if _, err := tr.Step(src, 1e-3); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("no memory for batches of %d rows", tooMany)) {
		t.Errorf("a step after SetBatch has failed: %v", err)
	}
	if err := tr.SetBatch(4); err != nil {
		t.Error(err)
	}
	if err := tr.SetState(&fit.State{Step: -1}); err == nil {
		t.Error("step -1")
	}
	if err := tr.SetParams(make([][]float32, 1)); err == nil || !strings.Contains(err.Error(), "for 1 tensor; the network has 8") {
		t.Errorf("one tensor: %v", err)
	}
	must(tr.Step(src, 1e-3))(t)
	ended, stop := context.WithCancel(t.Context())
	stop()
	if n, _, err := newTrainer(t, p, fit.Options{Batch: 4}, b).Run(ended, rates(0, 3), make([]float64, 3)); n != 0 || err != nil {
		t.Errorf("%d steps after the context's end, %v", n, err)
	}
}

// Without memory for the output its tensor is an error, and not a tensor later on.
func TestTrainerOutputWithoutMemory(t *testing.T) {
	d := cudatest.Open(t)
	cudatest.Emulated(t)
	p := trainNets[0].training()
	tr := newTrainerOn(t, d, p, fit.Options{Batch: 4}, testBatches(2), chains.TrainingPass(p))
	u, err := d.Usage()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HBAR_EMU_MEMORY", fmt.Sprint(u.InUse))
	for range 2 {
		if _, _, _, _, _, err := tr.BatchTensors(4); err == nil || !strings.Contains(err.Error(), "CUDA_ERROR_OUT_OF_MEMORY") {
			t.Errorf("no memory: %v", err)
		}
	}
	t.Setenv("HBAR_EMU_MEMORY", "")
	if _, _, _, _, output, err := tr.BatchTensors(4); err != nil || output.Shape()[0] != 4 {
		t.Errorf("with memory: %v", err)
	}
}

// BenchmarkTrainStep is a step of the paper's network and of larger ones, batches drawn on the device.
func BenchmarkTrainStep(b *testing.B) {
	for _, c := range []struct {
		net   trainNet
		batch int
	}{
		{trainNet{2, []int{128, 128, 128}, simd.SiLU, false, 0}, 512},
		{trainNet{2, []int{128, 128, 128}, simd.SiLU, false, 0}, 4096},
		{trainNet{2, []int{128, 128, 128}, simd.SiLU, false, 0}, 65536},
		{trainNet{2, []int{256, 256, 256, 256}, simd.SiLU, true, 16}, 512},
		{trainNet{64, []int{1024, 1024, 1024, 1024}, simd.SiLU, true, 16}, 2048},
	} {
		if testing.Short() && (c.batch > 512 || c.net.residual) {
			continue
		}
		if testing.Short() { // the emulator
			c.batch = 16
		}
		b.Run(fmt.Sprintf("%v/batch=%d", c.net, c.batch), func(b *testing.B) {
			tr := newTrainer(b, c.net.training(), fit.Options{Batch: c.batch, EMA: 0.999}, testBatches(c.net.d))
			lrs, losses := make([]float64, exec.MaxBurst), make([]float64, exec.MaxBurst)
			for i := range lrs {
				lrs[i] = 1e-4
			}
			must2(tr.Run(b.Context(), lrs[:2*exec.GraphSteps], losses))(b)
			b.ResetTimer()
			for done := 0; done < b.N; {
				n, _, err := tr.Run(b.Context(), lrs[:min(exec.MaxBurst, b.N-done)], losses)
				if err != nil {
					b.Fatal(err)
				}
				done += n
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "steps/s")
		})
	}
}
