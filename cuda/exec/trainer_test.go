//go:build gpu && cgo

package exec_test

import (
	"math"
	"testing"

	"hbar/cuda/chains"
	"hbar/cuda/driver"
	"hbar/cuda/exec"
	"hbar/cuda/internal/cudatest"
	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/kernels/learn"
	"hbar/kernels/simd"
)

// relative is |a − b|/|b| over all parameters.
func relative[F simd.Float](a [][]float32, b [][]F) float64 {
	num, den := 0.0, 0.0
	for i := range b {
		for j, v := range b[i] {
			e := float64(a[i][j]) - float64(v)
			num += e * e
			den += float64(v) * float64(v)
		}
	}
	return math.Sqrt(num / den)
}

func newTrainer(t testing.TB, p *kernels.ChainTraining, o fit.Options, b *kernels.Batches) *exec.Trainer {
	t.Helper()
	return newTrainerOn(t, cudatest.Open(t), p, o, b, chains.TrainingPass(p))
}

func newTrainerOn(t testing.TB, d *driver.Device, p *kernels.ChainTraining, o fit.Options, b *kernels.Batches, pass exec.MakePass) *exec.Trainer {
	t.Helper()
	tr, err := exec.NewTrainer(d, p, o, b, pass, exec.Peers{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestTrainerGradient(t *testing.T) {
	for i, c := range trainNets {
		t.Run(c.String(), func(t *testing.T) {
			p := c.training()
			if fused := chains.TrainingPass(p) != nil; fused != (i < 4) {
				t.Errorf("fused %t", fused)
			}
			n := []int{33, 5, 1, 512}[i%4]
			b := testBatches(c.d)
			src := hostSource{b, c.d, n}
			loss, g := gradient64(p, src, 0, n)
			tr := newTrainer(t, p, fit.Options{Batch: n}, b)
			for _, s := range []fit.Source{src, nil} { // drawn by the host, and by the device
				res := must(tr.Gradient(s))(t)
				// A float32 sum of a layer is off by some 10⁻⁷ of its terms; the device's own normals by as much again.
				const tol = 1e-6
				if !(math.Abs(res.Loss-loss) <= tol*loss) {
					t.Errorf("loss %v, want %v", res.Loss, loss)
				}
				square := 0.0
				for _, g := range g {
					for _, v := range g {
						square += v * v
					}
				}
				if norm := math.Sqrt(square); !(math.Abs(res.GradNorm-norm) <= tol*norm) {
					t.Errorf("norm %v, want %v", res.GradNorm, norm)
				}
				tr.SetFoldAbove(3) // the second time, as for large networks
				got := must(tr.Gradients(nil))(t)
				if e := relative(got, g); !(e <= tol) {
					t.Errorf("gradient: relative error %.2g", e)
				} else {
					t.Logf("gradient: relative error %.2g", e)
				}
			}
		})
	}
}

// The device draws what the host draws: data rows, times and features to the last bits, normals to their accuracy.
func TestTrainerDraw(t *testing.T) {
	const n, step = 40, 11
	for _, c := range []trainNet{{3, []int{8}, simd.Tanh, false, 4}, {34, []int{8}, simd.Tanh, false, 0}} { // fused, and not
		b := testBatches(c.d)
		p := c.training()
		tr := newTrainer(t, p, fit.Options{Batch: n}, b)
		for _, points := range []bool{false, true} {
			if points {
				curves := b.Times
				b.Times = kernels.TimeTable{Cells: 50}
				for k := range 50 {
					b.Times.Points = append(b.Times.Points, curves.At((float64(k)+0.5)/50))
				}
				tr = newTrainer(t, p, fit.Options{Batch: n}, b)
			}
			s := must(tr.State())(t)
			s.Step = step
			if err := tr.SetState(s); err != nil {
				t.Fatal(err)
			}
			must(tr.Gradient(nil))(t)
			got, want, ld, err := tr.Inputs(hostSource{b, c.d, n}, step, n)
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				for j := range p.Widths[0] {
					g, w := got[i*ld+j], want[i*ld+j]
					tol := 2e-6 * (1 + math.Abs(float64(w))) // a few units in the last place of logarithm, root and sine
					if j >= c.d {
						tol = 6e-8 // times and features: a unit in the last place of numbers up to one
					}
					if !(math.Abs(float64(g)-float64(w)) <= tol) {
						t.Errorf("d = %d, points %t: column %d of row %d is %v, want %v", c.d, points, j, i, g, w)
					}
				}
			}
		}
	}
}

// optimisers meet every term of the update.
var optimisers = []fit.Options{
	{},
	{Beta1: 0.8, Beta2: 0.95, Eps: 1e-4, Decay: 0.1, Clip: 0.3, EMA: 0.9},
}

// onCPU is the same run on the CPU.
func onCPU(t testing.TB, p *kernels.ChainTraining, o fit.Options) *learn.Trainer {
	t.Helper()
	o.Workers = 1
	tr, err := learn.New(p, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	return tr
}

// rates are learning rates of n steps from step first on.
func rates(first, n int) []float64 {
	lrs := make([]float64, n)
	for i := range lrs {
		lrs[i] = 3e-3 / float64(1+(first+i)/7)
	}
	return lrs
}

// Adam's first steps go by the sign of the gradient: where that is near 0, a rounding can move a parameter by lr in the
// other direction. This is what the parameters of two trainers may differ by after some steps, relative to their size.
const stepsTol = 1e-6

func TestTrainerTwentySteps(t *testing.T) {
	const steps = 20
	for i, c := range []trainNet{trainNets[0], trainNets[1], trainNets[3], trainNets[5]} {
		for j, o := range optimisers {
			if (i+j)%2 == 0 {
				continue
			}
			o.Batch = []int{33, 5, 20}[i%3]
			p, b := c.training(), testBatches(c.d)
			tr, ref := newTrainer(t, p, o, b), onCPU(t, p, o)
			losses, want := make([]float64, steps), make([]float64, steps)
			taken, last, err := tr.Run(t.Context(), rates(0, steps), losses)
			if err != nil || taken != steps || tr.Steps() != steps {
				t.Fatalf("%v: %d steps, %d in all, %v", c, taken, tr.Steps(), err)
			}
			_, lastWant, err := ref.Run(t.Context(), hostSource{b, c.d, o.Batch}, rates(0, steps), want)
			if err != nil {
				t.Fatal(err)
			}
			for k := range losses {
				if !(math.Abs(losses[k]-want[k]) <= stepsTol*want[k]) {
					t.Errorf("%v: loss of step %d is %v, want %v", c, k, losses[k], want[k])
				}
			}
			if last.Loss != losses[steps-1] || !(math.Abs(last.GradNorm-lastWant.GradNorm) <= 10*stepsTol*lastWant.GradNorm) {
				t.Errorf("%v: last result %+v, want %+v", c, last, lastWant)
			}
			got, state := must(tr.State())(t), ref.State()
			for _, f := range []struct {
				name      string
				got, want [][]float32
				tol       float64
			}{{"parameters", got.Params, state.Params, stepsTol}, {"mean gradients", got.M, state.M, 10 * stepsTol},
				{"mean squared gradients", got.V, state.V, 10 * stepsTol}, {"averages", got.EMA, state.EMA, stepsTol}} {
				if f.want == nil {
					if f.got != nil {
						t.Errorf("%v: %s where there are none", c, f.name)
					}
					continue
				}
				if e := relative(f.got, f.want); !(e <= f.tol) {
					t.Errorf("%v, optimiser %d: %s differ by %.2g", c, j, f.name, e)
				} else {
					t.Logf("%v, optimiser %d: %s differ by %.2g", c, j, f.name, e)
				}
			}
		}
	}
}

func must2[A, B any](a A, b B, err error) func(t testing.TB) {
	return func(t testing.TB) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}
