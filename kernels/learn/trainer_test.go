package learn

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/kernels/simd"
)

const eps32 = 1.0 / (1 << 24)

// Networks that meet every path: residuals, Fourier features, widths and dimensions at and around whole panels.
var networks = []struct {
	d, width, depth int
	act             simd.Act
	residual        bool
	fourier         int
}{
	{2, 32, 3, simd.SiLU, false, 0},
	{2, 32, 3, simd.SiLU, true, 0},
	{1, 16, 1, simd.Tanh, false, 3},
	{3, 17, 2, simd.GELU, true, 5},
	{8, 15, 4, simd.Tanh, true, 0},
	{9, 20, 2, simd.GELU, false, 8},
	{17, 33, 2, simd.SiLU, false, 1},
	{2, 7, 0, simd.SiLU, false, 0}, // linear
	{20, 7, 0, simd.SiLU, false, 2},
}

func freqs(n int) []float32 {
	if n == 0 {
		return nil
	}
	f := make([]float32, n)
	for i := range f {
		f[i] = float32(i) - 0.7*float32(n)
	}
	return f
}

func TestGradientAgainstFloat64(t *testing.T) {
	for _, impl := range simd.All() {
		for _, c := range networks {
			for _, n := range []int{1, 31, 33, 129} {
				t.Run(fmt.Sprintf("%s/%v/n=%d", impl.Name, c, n), func(t *testing.T) {
					p := network(c.d, c.width, c.depth, c.act, c.residual, freqs(c.fourier), 5)
					tr, err := New(p, fit.Options{Batch: n, Workers: 2, Impl: impl, Norm: true})
					if err != nil {
						t.Fatal(err)
					}
					defer tr.Close()
					src := batch{c.d}
					loss, g := newReference(p).grad(src, 0, n)
					res, err := tr.Gradient(src)
					if err != nil {
						t.Fatal(err)
					}
					// Sums of up to 129 rows of products through up to 6 layers: roundings of either sign.
					const tol = 64 * eps32
					if !(math.Abs(res.Loss-loss) <= tol*loss) {
						t.Errorf("loss %v, want %v", res.Loss, loss)
					}
					if e := relative(tr.Gradients(nil), g); !(e <= tol) {
						t.Errorf("gradient: relative error %.2g", e)
					}
					if w := norm(g); !(math.Abs(res.GradNorm-w) <= tol*w) {
						t.Errorf("norm %v, want %v", res.GradNorm, w)
					}
				})
			}
		}
	}
}

func TestTenStepsAgainstFloat64(t *testing.T) {
	const n, lr = 70, 3e-3
	for _, impl := range simd.All() {
		for _, o := range []fit.Options{
			{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8},
			{Beta1: 0.8, Beta2: 0.95, Eps: 1e-4, Decay: 0.1, Clip: 0.3, EMA: 0.9},
		} {
			for _, c := range networks[:4] {
				p := network(c.d, c.width, c.depth, c.act, c.residual, freqs(c.fourier), 6)
				o.Batch, o.Workers, o.Impl = n, 2, impl
				tr, err := New(p, o)
				if err != nil {
					t.Fatal(err)
				}
				ref := newReference(p)
				for s := range int64(10) {
					loss, g := ref.grad(batch{c.d}, s, n)
					ref.adam(g, lr, o)
					res, err := tr.Step(batch{c.d}, lr)
					if err != nil {
						t.Fatal(err)
					}
					// The first steps have sign(g) as direction: an element with g near 0 can move by 2 lr the other way. That, and rounding
					// of float32, is what 1e-4 allows for, here and below; measured 7e-7, because no element is that near 0.
					if !(math.Abs(res.Loss-loss) <= 1e-4*loss) {
						t.Errorf("%s %v step %d: loss %v, want %v", impl.Name, c, s, res.Loss, loss)
					}
				}
				if e := relative(tr.Params(nil), ref.w); !(e <= 1e-4) {
					t.Errorf("%s %v: parameters differ by %.2g", impl.Name, c, e)
				}
				if o.EMA > 0 {
					if e := relative(tr.Averages(nil), ref.e); !(e <= 1e-4) {
						t.Errorf("%s %v: averages differ by %.2g", impl.Name, c, e)
					}
				}
				tr.Close()
			}
		}
	}
}

func steps(t *testing.T, tr *Trainer, src fit.Source, n int) {
	t.Helper()
	for range n {
		if _, err := tr.Step(src, 1e-3); err != nil {
			t.Fatal(err)
		}
	}
}

func equal(a, b [][]float32) bool {
	for i := range a {
		for j := range a[i] {
			if math.Float32bits(a[i][j]) != math.Float32bits(b[i][j]) {
				return false
			}
		}
	}
	return len(a) == len(b)
}

// The tiles depend on the number of workers; the results do not.
func TestSameForAnyWorkers(t *testing.T) {
	p := network(2, 48, 3, simd.SiLU, true, nil, 7)
	var want *fit.State
	for _, workers := range []int{1, 2, 3, 8} {
		tr, err := New(p, fit.Options{Batch: 300, Workers: workers, EMA: 0.99, Clip: 0.01})
		if err != nil {
			t.Fatal(err)
		}
		steps(t, tr, batch{2}, 5)
		got := tr.State()
		tr.Close()
		if want == nil {
			want = got
		}
		if !equal(got.Params, want.Params) || !equal(got.M, want.M) || !equal(got.V, want.V) || !equal(got.EMA, want.EMA) {
			t.Errorf("%d workers give another result than one", workers)
		}
	}
}

func TestResumeEqualsUninterrupted(t *testing.T) {
	p := network(3, 20, 2, simd.GELU, true, freqs(3), 8)
	mk := func() *Trainer {
		tr, err := New(p, fit.Options{Batch: 40, EMA: 0.99, Decay: 0.01})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(tr.Close)
		return tr
	}
	a, b := mk(), mk()
	steps(t, a, batch{3}, 4)
	if err := b.SetState(a.State()); err != nil {
		t.Fatal(err)
	}
	steps(t, a, batch{3}, 4)
	steps(t, b, batch{3}, 4)
	x, y := a.State(), b.State()
	if x.Step != 8 || y.Step != 8 || !equal(x.Params, y.Params) || !equal(x.M, y.M) || !equal(x.V, y.V) || !equal(x.EMA, y.EMA) {
		t.Error("resumed run differs")
	}
}

func TestNonFinite(t *testing.T) {
	nan := float32(math.NaN())
	cases := map[string]struct {
		spoil func(tile *fit.Tile, i int) // i is row 33 of the batch
		param int
		cause string
	}{
		"input":    {spoil: func(t *fit.Tile, i int) { t.X[2*i+1] = nan }, param: -1, cause: "the network's input of row 33, column 1 is NaN"},
		"target":   {spoil: func(t *fit.Tile, i int) { t.Target[2*i] = float32(math.Inf(1)) }, param: -1, cause: "the target of row 33, column 0 is +Inf"},
		"weight":   {spoil: func(t *fit.Tile, i int) { t.Weight[i] = nan }, param: -1, cause: "the weight of row 33, column 0 is NaN"},
		"weights":  {spoil: func(*fit.Tile, int) {}, param: 2, cause: "the network's output of row 0, column 0 is NaN"},
		"overflow": {spoil: func(t *fit.Tile, i int) { t.Target[2*i+1], t.Weight[i] = 1e30, 1e30 }, param: -1, cause: "gradients of dense"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := network(2, 20, 2, simd.SiLU, false, nil, 9)
			tr, err := New(p, fit.Options{Batch: 70, Workers: 2, EMA: 0.9})
			if err != nil {
				t.Fatal(err)
			}
			defer tr.Close()
			steps(t, tr, batch{2}, 3)
			if c.param >= 0 {
				q := tr.Params(nil)
				q[c.param][0] = nan
				if err := tr.SetParams(q); err != nil {
					t.Fatal(err)
				}
			}
			before := tr.State()
			_, err = tr.Step(fit.SourceFunc(func(tile *fit.Tile) {
				batch{2}.Fill(tile)
				if tile.Lo <= 33 && 33 < tile.Hi {
					c.spoil(tile, 33-tile.Lo)
				}
			}), 1e-3)
			e, ok := err.(*fit.NonFiniteError)
			if !ok {
				t.Fatalf("error %v", err)
			}
			if e.Step != 3 || !strings.Contains(e.Error(), c.cause) {
				t.Errorf("error %q does not say %q at step 3", e, c.cause)
			}
			after := tr.State()
			if after.Step != 3 || !equal(before.Params, after.Params) || !equal(before.M, after.M) || !equal(before.V, after.V) || !equal(before.EMA, after.EMA) {
				t.Error("the state changed")
			}
			if c.param < 0 {
				steps(t, tr, batch{2}, 1)
			}
		})
	}
}

func TestBatchSizesOnOneTrainer(t *testing.T) {
	p := network(2, 20, 2, simd.SiLU, true, nil, 10)
	tr, err := New(p, fit.Options{Batch: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	for _, n := range []int{64, 3, 200, 1} {
		tr.SetBatch(n)
		if _, err := tr.Gradient(batch{2}); err != nil {
			t.Fatal(err)
		}
		one, err := New(p, fit.Options{Batch: n})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := one.Gradient(batch{2}); err != nil {
			t.Fatal(err)
		}
		if !equal(tr.Gradients(nil), one.Gradients(nil)) {
			t.Errorf("batch of %d after others differs", n)
		}
		one.Close()
	}
}

func TestNoAllocation(t *testing.T) {
	p := network(2, 32, 2, simd.SiLU, true, nil, 11)
	tr, err := New(p, fit.Options{Batch: 64, Workers: 2, EMA: 0.99, Clip: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	var src fit.Source = fit.SourceFunc(func(tile *fit.Tile) { clear(tile.X); clear(tile.Tau); clear(tile.Target); clear(tile.Weight) })
	if n := testing.AllocsPerRun(20, func() {
		if _, err := tr.Step(src, 1e-3); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a step", n)
	}
}

func TestClosed(t *testing.T) {
	tr, err := New(network(2, 16, 1, simd.SiLU, false, nil, 1), fit.Options{Batch: 4, Workers: 3})
	if err != nil {
		t.Fatal(err)
	}
	tr.Close()
	tr.Close()
	if _, err := tr.Step(batch{2}, 1e-3); err == nil {
		t.Error("a closed trainer takes a step")
	}
}

func TestRejects(t *testing.T) {
	good := func() *kernels.ChainTraining { return network(2, 16, 1, simd.SiLU, false, nil, 1) }
	for name, c := range map[string]struct {
		spoil func(*kernels.ChainTraining)
		opt   fit.Options
	}{
		"forward op":  {func(p *kernels.ChainTraining) { p.Forward[0].Op = 9 }, fit.Options{Batch: 1}},
		"backward op": {func(p *kernels.ChainTraining) { p.Backward[0].Op = 9 }, fit.Options{Batch: 1}},
		"shape":       {func(p *kernels.ChainTraining) { p.Params[0].Rows++ }, fit.Options{Batch: 1}},
		"data":        {func(p *kernels.ChainTraining) { p.Params[0].Data = p.Params[0].Data[1:] }, fit.Options{Batch: 1}},
		"used twice":  {func(p *kernels.ChainTraining) { p.Forward[1].B = 1 }, fit.Options{Batch: 1}},
		"input gradient": {func(p *kernels.ChainTraining) {
			p.Backward = append(p.Backward, kernels.BackInstr{Op: kernels.BackInput, Dst: 1, Src: 1, Add: -1, X: -1, Act: -1, W: 0, B: -1})
		}, fit.Options{Batch: 1}},
		"no gradient":  {func(p *kernels.ChainTraining) { p.Backward = p.Backward[1:] }, fit.Options{Batch: 1}},
		"no batch":     {func(*kernels.ChainTraining) {}, fit.Options{}},
		"beta":         {func(*kernels.ChainTraining) {}, fit.Options{Batch: 1, Beta2: 1}},
		"eps":          {func(*kernels.ChainTraining) {}, fit.Options{Batch: 1, Eps: 1e-60}},
		"clip":         {func(*kernels.ChainTraining) {}, fit.Options{Batch: 1, Clip: math.NaN()}},
		"ema":          {func(*kernels.ChainTraining) {}, fit.Options{Batch: 1, EMA: 1}},
		"workers":      {func(*kernels.ChainTraining) {}, fit.Options{Batch: 1, Workers: -1}},
		"weight decay": {func(*kernels.ChainTraining) {}, fit.Options{Batch: 1, Decay: -1}},
	} {
		p := good()
		c.spoil(p)
		if tr, err := New(p, c.opt); err == nil {
			tr.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}

// The norm is there when asked for, and asking changes no parameter.
func TestSetNorm(t *testing.T) {
	var params [2][][]float32
	for i, on := range []bool{false, true} {
		tr, err := New(network(2, 32, 2, simd.SiLU, false, nil, 11), fit.Options{Batch: 16})
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close()
		tr.SetNorm(on)
		r, err := tr.Step(batch{2}, 1e-3)
		if err != nil {
			t.Fatal(err)
		}
		if (r.GradNorm > 0) != on {
			t.Errorf("norm %g with SetNorm(%t)", r.GradNorm, on)
		}
		params[i] = tr.Params(nil)
		tr.SetNorm(!on)
		if r, err = tr.Step(batch{2}, 1e-3); err != nil || (r.GradNorm > 0) == on {
			t.Errorf("norm %g after SetNorm(%t), error %v", r.GradNorm, !on, err)
		}
	}
	if !equal(params[0], params[1]) {
		t.Error("asking for the norm changes the step")
	}
}

// A context that ends within a step gives the step up: nothing of it has happened, and the run goes on from there with the same
// bits.
func TestHaltWithinStep(t *testing.T) {
	p := network(2, 20, 2, simd.SiLU, false, nil, 8)
	mk := func() *Trainer {
		tr, err := New(p, fit.Options{Batch: 4000, Workers: 2})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(tr.Close)
		return tr
	}
	a, b := mk(), mk()
	ctx, cancel := context.WithCancel(t.Context())
	src := fit.SourceFunc(func(tile *fit.Tile) {
		if tile.Step == 2 && tile.Lo > 1000 {
			cancel()
		}
		batch{2}.Fill(tile)
	})
	rates, losses := []float64{1e-3, 1e-3, 1e-3, 1e-3}, make([]float64, 4)
	if taken, last, err := a.Run(ctx, src, rates, losses); taken != 2 || err != nil || a.Steps() != 2 || last.Loss != losses[1] {
		t.Fatalf("%d steps taken, the trainer says %d, %v", taken, a.Steps(), err)
	}
	if taken, _, err := a.Run(t.Context(), batch{2}, rates[2:], losses[2:]); taken != 2 || err != nil {
		t.Fatalf("%d more steps taken, %v", taken, err)
	}
	steps(t, b, batch{2}, 4)
	if x, y := a.State(), b.State(); !equal(x.Params, y.Params) || !equal(x.M, y.M) || !equal(x.V, y.V) {
		t.Error("the run that was stopped differs")
	}
}
