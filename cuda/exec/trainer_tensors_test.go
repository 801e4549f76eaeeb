//go:build gpu && cgo

package exec_test

import (
	"errors"
	"math"
	"testing"

	"hbar/cuda/chains"
	"hbar/cuda/exec"
	"hbar/cuda/internal/cudatest"
	"hbar/kernels/fit"
	"hbar/kernels/simd"
)

// The activations that a trainer shows are those of the network, layer by layer, for the fused pass and the other one.
func TestActivations(t *testing.T) {
	d := cudatest.Open(t)
	for _, c := range []trainNet{{d: 2, widths: []int{5, 5}, act: simd.Tanh}, {d: 2, widths: []int{7, 4}, act: simd.Tanh, freqs: 2}} {
		p := c.training()
		const n = 3
		tr, err := exec.NewTrainer(d, p, fit.Options{Batch: n}, nil, chains.TrainingPass(p), exec.Peers{})
		if err != nil {
			t.Fatal(err)
		}
		src := fit.SourceFunc(func(q *fit.Tile) {
			for i := range q.X {
				q.X[i] = 0.3*float32(i) - 0.5
			}
			for i := range q.Tau {
				q.Tau[i], q.Weight[i] = 0.1*float64(i), 1
			}
			clear(q.Target)
		})
		if err := tr.SetInputs(src); err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Evaluate(); err != nil {
			t.Fatal(err)
		}
		shown, err := tr.Activations()
		if err != nil {
			t.Fatal(err)
		}
		x := cudatest.Numbers(t, d, shown[0])
		if w := p.Widths[0]; len(x) != n*w || math.Abs(float64(x[w])-0.1) > 1e-7 { // a few roundings of float32 in the sums that make the time
			t.Errorf("%v: input %v", c, x)
		}
		_, _, _, _, output, err := tr.BatchTensors(n)
		if err != nil {
			t.Fatal(err)
		}
		for l, in := range p.Forward {
			w, b := p.Params[in.W], p.Params[in.B]
			y := output
			if l+1 < len(shown) {
				y = shown[l+1]
			}
			got := cudatest.Numbers(t, d, y)
			for i := range n {
				for o := range w.Rows {
					a := float64(b.Data[o])
					for k := range w.Cols {
						a += float64(w.Data[o*w.Cols+k]) * float64(x[i*w.Cols+k])
					}
					if in.Act == simd.Tanh {
						a = math.Tanh(a)
					}
					if v := float64(got[i*w.Rows+o]); !(math.Abs(v-a) <= 1e-6) { // sums of up to 8 float32
						t.Errorf("%v: layer %d, row %d, unit %d is %v, want %v", c, l, i, o, v, a)
					}
				}
			}
			x = got
		}
		_, _, _, _, _, err = tr.BatchTensors(n + 1)
		cudatest.Wants(t, "more rows than there are", err, "tensors of 4 rows of batches of at most 3")
		if err := errors.Join(tr.Close(), tr.Close()); err != nil {
			t.Error(err)
		}
	}
	if u, err := d.Usage(); err != nil || u.InUse != 0 {
		t.Errorf("%d bytes are left in use, %v", u.InUse, err)
	}
}
