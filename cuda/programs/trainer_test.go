//go:build gpu && cgo

package programs_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"hbar/cuda/exec"
	"hbar/cuda/internal/cudatest"
	"hbar/cuda/programs"
	"hbar/kernels/cpu"
	"hbar/kernels/fit"
	"hbar/program"
)

// examples draw numbers by the example's own number.
func examples(d int) fit.Source {
	return fit.SourceFunc(func(t *fit.Tile) {
		for i := range t.Hi - t.Lo {
			k := uint64(t.Step)*100 + uint64(t.Lo+i)
			x, _ := normals(2*d, k)
			copy(t.X[i*d:], x[:d])
			copy(t.Target[i*d:(i+1)*d], x[d:])
			t.Tau[i], t.Weight[i], t.Label[i] = float64(k%10)+0.5, 1+float32(k%3), float64(k%4)
		}
	})
}

// nearGradients compares gradients with those on the CPU: sums of float32 in another order, relative to the largest element.
func nearGradients(t *testing.T, what string, got, want [][]float32) {
	t.Helper()
	top := 0.0
	for _, v := range slices.Concat(want...) {
		top = math.Max(top, math.Abs(float64(v)))
	}
	for k, w := range want {
		for j := range w {
			if e := math.Abs(float64(got[k][j] - w[j])); !(e <= 1e-4*top) {
				t.Fatalf("%s: gradient %d of tensor %d is %v; want %v", what, j, k, got[k][j], w[j])
			}
		}
	}
}

// Steps are the CPU's: losses, gradients, parameters and averages, whatever passes through the network at a time, and also after the state
// went to another trainer. Adam divides by the root of the gradient's square, so that where a gradient is nothing but rounding a
// parameter may move either way: parameters are compared by how far they moved in all.
func TestTrainer(t *testing.T) {
	const batch, steps = 6, 3
	opt := fit.Options{Batch: batch, Clip: 0.5, EMA: 0.9, Decay: 0.01}
	ctx := context.Background()
	for name, net := range networks(t) {
		g := programs.TrainingOf(t, net)
		src := examples(program.Size(net.Config.SampleShape()))
		on, err := cpu.NewTrainer(g, opt, cpu.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer on.Close()
		blocks := []int{0}
		if name == "dit" {
			blocks = []int{0, 4}
		}
		var all []*programs.Trainer
		for _, block := range blocks {
			d := cudatest.Open(t)
			r, err := programs.NewTrainer(d, g, opt, programs.Options{Block: block})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			all = append(all, r)
		}
		for s := range steps {
			want, err := on.Step(ctx, src, 1e-3)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range all {
				if s == 2 && i == len(all)-1 { // it goes on from its state
					state, err := r.State()
					if err == nil {
						err = r.SetState(state)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				got, err := r.Step(ctx, src, 1e-3)
				if err != nil {
					t.Fatal(err)
				}
				// Sums of float32 in another order; a gradient has those of all layers.
				if !(math.Abs(got.Loss-want.Loss) < 1e-5*want.Loss) || !(math.Abs(got.GradNorm-want.GradNorm) < 1e-4*want.GradNorm) {
					t.Errorf("%s, step %d: %+v; want %+v", name, s, got, want)
				}
				grads, err := r.Gradients(nil)
				if err != nil {
					t.Fatal(err)
				}
				nearGradients(t, fmt.Sprintf("%s, step %d", name, s), grads, on.Gradients(nil))
			}
		}
		for _, r := range all {
			if r.Steps() != steps {
				t.Errorf("%d steps", r.Steps())
			}
			params, err := r.Params(nil)
			averages, err2 := r.Averages(nil)
			if err := errors.Join(err, err2); err != nil {
				t.Fatal(err)
			}
			for what, pair := range map[string][2][][]float32{"parameters": {params, on.Params(nil)}, "averages": {averages, on.Averages(nil)}} {
				got, want := slices.Concat(pair[0]...), slices.Concat(pair[1]...)
				off := 0.0
				for i := range want {
					off += math.Abs(float64(got[i] - want[i]))
				}
				if mean := off / float64(len(want)); !(mean < 2e-5) { // of three steps of 10⁻³
					t.Errorf("%s: %s are %g away on average", name, what, mean)
				}
			}
		}
	}
}

// Networks are not trained in f16, in one line.
func TestTrainerRefusesF16(t *testing.T) {
	r, err := programs.NewTrainer(cudatest.Open(t), programs.TrainingOf(t, networks(t)["dit"]), fit.Options{Batch: 4}, programs.Options{Precision: exec.F16})
	if err == nil || r != nil || !strings.Contains(err.Error(), "not trained in f16") || strings.Contains(err.Error(), "\n") {
		t.Errorf("a trainer in f16: %v", err)
	}
}

// A loss that is not finite changes nothing, and with bf16 products gradients are those of fp32 but for rounding.
func TestTrainerEdges(t *testing.T) {
	net := networks(t)["dit"]
	g, d := programs.TrainingOf(t, net), program.Size(net.Config.SampleShape())
	ctx := context.Background()
	var norms [2]float64
	for i, p := range []exec.Precision{exec.FP32, exec.BF16} {
		r, err := programs.NewTrainer(cudatest.Open(t), g, fit.Options{Batch: 4}, programs.Options{Precision: p})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		res, err := r.Gradient(ctx, examples(d))
		if err != nil {
			t.Fatal(err)
		}
		norms[i] = res.GradNorm
		before, err := r.Params(nil)
		if err != nil {
			t.Fatal(err)
		}
		bad := fit.SourceFunc(func(q *fit.Tile) {
			examples(d).Fill(q)
			q.Target[0] = float32(math.Inf(1))
		})
		var nonFinite *fit.NonFiniteError
		if _, err := r.Step(ctx, bad, 1e-3); !errors.As(err, &nonFinite) || r.Steps() != 0 {
			t.Errorf("an infinite target: %v", err)
		}
		after, err := r.Params(nil)
		if err != nil || !slices.Equal(slices.Concat(before...), slices.Concat(after...)) {
			t.Errorf("the parameters have changed, %v", err)
		}
	}
	if e := math.Abs(norms[1]/norms[0] - 1); !(e > 1e-6 && e < 0.05) { // bf16 is used, and rounds factors to 8 bits, 4e-3
		t.Errorf("norms of gradients in fp32 and bf16 %v", norms)
	}
	if _, err := programs.NewTrainer(cudatest.Open(t), g, fit.Options{}, programs.Options{}); err == nil {
		t.Error("a batch of nothing")
	}
}
