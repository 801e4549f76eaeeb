//go:build gpu && cgo

package exec_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"hbar/cuda/chains"
	"hbar/cuda/driver"
	"hbar/cuda/exec"
	"hbar/cuda/internal/cudatest"
	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/kernels/simd"
)

// equalStates compares bits.
func equalStates(t *testing.T, what string, a, b *fit.State) {
	t.Helper()
	if a.Step != b.Step {
		t.Errorf("%s: steps %d and %d", what, a.Step, b.Step)
	}
	for i, pair := range [][2][][]float32{{a.Params, b.Params}, {a.M, b.M}, {a.V, b.V}, {a.EMA, b.EMA}} {
		if !slices.EqualFunc(pair[0], pair[1], func(x, y []float32) bool { return slices.Equal(x, y) }) {
			t.Errorf("%s: vector %d of the state differs", what, i)
		}
	}
}

// Replayed graphs, launches one by one, blocks of any size and grids of any device give the same bits.
func TestTrainerSameBits(t *testing.T) {
	const steps = exec.GraphSteps + 5                                                                           // a graph of 16 steps, one of 4, one of 1
	for _, c := range []trainNet{{3, []int{9, 9}, simd.GELU, true, 3}, {33, []int{5, 5}, simd.SiLU, true, 0}} { // fused, and not
		p, b := c.training(), testBatches(c.d)
		o := optimisers[1]
		o.Batch = 21
		losses := make([]float64, steps)
		whole := newTrainer(t, p, o, b)
		must2(whole.Run(t.Context(), rates(0, steps), losses))(t)
		want := must(whole.State())(t)

		d := cudatest.Open(t)
		var rows *chains.RowsPass
		pass := chains.TrainingPass(p)
		if make := pass; make != nil {
			pass = func(d *driver.Device, p *kernels.ChainTraining, l *exec.Layout, param, copied *driver.Buffer) (exec.Pass, error) {
				q, err := make(d, p, l, param, copied)
				rows, _ = q.(*chains.RowsPass)
				return q, err
			}
		}
		single := newTrainerOn(t, d, p, o, b, pass)
		d.Multiprocessors = 7
		for i, lr := range rates(0, steps) {
			if rows != nil {
				rows.BlockRows = []int{4, 8, 16}[i%3]
			}
			if res := must(single.Step(nil, lr))(t); res.Loss != losses[i] {
				t.Errorf("%v: loss of step %d is %v by launches and %v by graphs", c, i, res.Loss, losses[i])
			}
		}
		equalStates(t, c.String()+" step by step", must(single.State())(t), want)

		// Another batch in between, and then on from the middle.
		if err := errors.Join(single.SetBatch(50), single.SetState(must(newTrainer(t, p, o, b).State())(t))); err != nil {
			t.Fatal(err)
		}
		must(single.Gradient(nil))(t)
		if err := single.SetBatch(o.Batch); err != nil {
			t.Fatal(err)
		}
		must2(single.Run(t.Context(), rates(0, 5), losses))(t)
		must2(single.Run(t.Context(), rates(5, steps-5), losses))(t)
		equalStates(t, c.String()+" in two runs", must(single.State())(t), want)
	}
}

// From the CPU to the device and back: as if all steps had been taken on the CPU.
func TestTrainerResume(t *testing.T) {
	c := trainNet{2, []int{24, 24}, simd.GELU, true, 3}
	p, b := c.training(), testBatches(c.d)
	o := optimisers[1]
	o.Batch = 16
	src := hostSource{b, c.d, o.Batch}
	losses := make([]float64, 30)
	all, first, second := onCPU(t, p, o), onCPU(t, p, o), onCPU(t, p, o)
	device := newTrainer(t, p, o, b)
	must2(all.Run(t.Context(), src, rates(0, 30), losses))(t)
	must2(first.Run(t.Context(), src, rates(0, 10), losses))(t)
	if err := device.SetState(first.State()); err != nil {
		t.Fatal(err)
	}
	must2(device.Run(t.Context(), rates(10, 10), losses))(t)
	if err := second.SetState(must(device.State())(t)); err != nil {
		t.Fatal(err)
	}
	must2(second.Run(t.Context(), src, rates(20, 10), losses))(t)
	if e := relative(second.Params(nil), all.Params(nil)); !(e <= stepsTol) || second.Steps() != 30 {
		t.Errorf("after %d steps parameters differ by %.2g", second.Steps(), e)
	}
}

// A step that cannot be taken is found though others were enqueued after it, and leaves the state before it, as on the CPU.
func TestTrainerNonFinite(t *testing.T) {
	for _, c := range []struct {
		value float32
		cause string
	}{
		{float32(math.NaN()), "the weighted squared error of row"},
		{1e30, "gradients of dense0.weight are not finite"}, // its square is finite in float64
	} {
		net := trainNet{1, []int{16}, simd.SiLU, false, 0}
		p, b := net.training(), testBatches(1)
		b.X[7] = c.value
		o := optimisers[1]
		o.Batch = 3
		losses := make([]float64, 40)
		tr, again := newTrainer(t, p, o, b), newTrainer(t, p, o, b)
		taken, _, err := tr.Run(t.Context(), rates(0, 40), losses)
		var bad *fit.NonFiniteError
		if !errors.As(err, &bad) || !strings.Contains(bad.Cause, c.cause) {
			t.Fatalf("%v: after %d steps %v", c.value, taken, err)
		}
		_, _, err = onCPU(t, p, o).Run(t.Context(), hostSource{b, 1, o.Batch}, rates(0, 40), losses)
		var want *fit.NonFiniteError
		if !errors.As(err, &want) || want.Step != bad.Step || bad.Step != int64(taken) || taken == 0 {
			t.Errorf("%v: device %v after %d steps, CPU %v", c.value, err, taken, want)
		}
		must2(again.Run(t.Context(), rates(0, taken), losses))(t)
		equalStates(t, "before the bad step", must(tr.State())(t), must(again.State())(t))
	}
}
