package engine_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"hbar/cuda"
	"hbar/engine"
	"hbar/kernels/cpu"
	"hbar/kernels/infer"
	"hbar/nets"
)

// network makes one with weights that are not zero.
func network(t *testing.T, c nets.Config) *nets.Network {
	t.Helper()
	n, err := nets.New(c)
	if err != nil {
		t.Fatal(err)
	}
	n.Initialise(1)
	for i, w := range n.Weights {
		for j := range w {
			if !n.Params[i].Fixed {
				w[j] = 0.1 * float32((i+3*j)%7-3)
			}
		}
	}
	return n
}

func transformer(t *testing.T, none bool) *nets.Network {
	t.Helper()
	c, err := nets.NewDiT([]int{2, 2, 1}, 3, nets.DiTSizes{Patch: 1, Width: 8, Depth: 1, Heads: 2})
	if err != nil {
		t.Fatal(err)
	}
	if !none {
		c.ClassDropoutProb = 0
	}
	return network(t, c)
}

func label(y float64) func(uint64) float64 { return func(uint64) float64 { return y } }

// A chain runs fused, another network as a program, on a GPU where there is one; auto says why not, and a GPU that was asked for and
// cannot be had is an error.
func TestChoice(t *testing.T) {
	mlp := network(t, nets.MLP{D: 2, Width: 4, Depth: 1, Act: "silu"})
	e, err := engine.New(mlp, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := e.Solver.(*infer.Engine); !ok || e.OnGPU() || e.Device != "cpu" {
		t.Errorf("a chain runs on %T, %s", e.Solver, e.Device)
	}
	dit := transformer(t, true)
	e, err = engine.New(dit, engine.Options{Device: "auto"})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	unavailable := cuda.Available()
	switch e.Solver.(type) {
	case *cpu.Engine:
		if unavailable == nil || e.OnGPU() || e.NoGPU != strings.TrimPrefix(unavailable.Error(), "cuda: ") {
			t.Errorf("a transformer runs on the CPU, because %q; GPUs: %v", e.NoGPU, unavailable)
		}
	case *cuda.NetEngine:
		if unavailable != nil || !e.OnGPU() || e.NoGPU != "" {
			t.Errorf("a transformer runs on %s; GPUs: %v", e.Device, unavailable)
		}
	default:
		t.Errorf("a transformer runs on %T", e.Solver)
	}
	_, err = engine.New(dit, engine.Options{Device: "cuda", Index: 99})
	var device *engine.DeviceError
	if !errors.As(err, &device) || !strings.HasPrefix(err.Error(), "device cuda:99: cuda: ") {
		t.Errorf("a GPU that was asked for: %v", err)
	}
	if e, err := engine.New(dit, engine.Options{Device: "cuda", GPU: cuda.F16}); unavailable == nil {
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
	}
	if _, err = engine.New(mlp, engine.Options{Device: "cuda", GPU: cuda.BF16}); unavailable == nil && (err == nil || !strings.Contains(err.Error(), "bf16 is for networks")) {
		t.Errorf("a chain in bf16: %v", err)
	}
	if _, err = engine.New(dit, engine.Options{Device: "tpu"}); err == nil || !strings.Contains(err.Error(), `device "tpu" unknown`) {
		t.Error(err)
	}
	dit.Weights = nil
	if _, err = engine.New(dit, engine.Options{}); err == nil || !strings.Contains(err.Error(), "no weights") {
		t.Error(err)
	}
}

// An engine under another label gives what a new one would, and leaves the first as it was.
func TestWith(t *testing.T) {
	dit := transformer(t, true)
	values := func(e *engine.Engine) []float32 {
		t.Helper()
		y := make([]float32, 4)
		if err := e.Solver.Forward(context.Background(), y, []float32{1, -1, 0.5, 2}, []float64{0.3}); err != nil {
			t.Fatal(err)
		}
		return y
	}
	e, err := engine.New(dit, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	c := engine.Condition{Label: label(2), Guidance: 1.5}
	other, err := e.With(c)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := engine.New(dit, engine.Options{Condition: c})
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	before := values(e)
	if got := values(other); !slices.Equal(got, values(fresh)) || slices.Equal(got, before) || !slices.Equal(before, values(e)) {
		t.Errorf("without a label %v, with one %v, of a new engine %v", before, got, values(fresh))
	}
}

func TestConditions(t *testing.T) {
	mlp, all, some := network(t, nets.MLP{D: 2, Width: 4, Depth: 1, Act: "silu"}), transformer(t, false), transformer(t, true)
	for _, c := range []struct {
		n    *nets.Network
		c    engine.Condition
		want string
	}{
		{mlp, engine.Condition{Label: label(0)}, "trained without labels"},
		{mlp, engine.Condition{Guidance: 1}, "trained without labels"},
		{all, engine.Condition{}, "takes one of 3 labels"},
		{all, engine.Condition{Label: label(1), Guidance: 1}, "with its 3 classes only"},
		{some, engine.Condition{Label: label(1), Guidance: 1}, ""},
		{some, engine.Condition{}, ""},
	} {
		e, err := engine.New(c.n, engine.Options{Condition: c.c})
		if c.want == "" && err == nil {
			e.Close()
			continue
		}
		if c.want == "" || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v; want %q", err, c.want)
		}
	}
}
