//go:build gpu && cgo

package exec_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
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

// net of a test: widths of its hidden layers.
type trainNet struct {
	d        int
	widths   []int
	act      simd.Act
	residual bool
	freqs    int
}

func (c trainNet) String() string {
	s := fmt.Sprintf("%d-%v-%s", c.d, c.widths, c.act)
	if c.residual {
		s += "-residual"
	}
	if c.freqs > 0 {
		s += fmt.Sprintf("-fourier%d", c.freqs)
	}
	return s
}

// training is a random network with its backward pass, in the form that package graph lowers to.
func (c trainNet) training() *kernels.ChainTraining {
	p := &kernels.ChainTraining{}
	p.D = c.d
	for i := range c.freqs {
		p.Time.Freqs = append(p.Time.Freqs, float32(i)-0.7*float32(c.freqs))
	}
	p.Widths = []int{c.d + p.Time.Width()}
	r := rand.New(rand.NewPCG(7, 1))
	depth := len(c.widths)
	for i := range depth + 1 {
		f := kernels.Instr{Dst: i + 1, Src: i, Add: -1, W: 2 * i, B: 2*i + 1, Act: c.act}
		in, out := p.Widths[i], c.d
		if i == depth {
			f.Act = simd.Identity
		} else {
			out = c.widths[i]
			if c.residual && i > 0 {
				f.Add = i
			}
		}
		w, b := make([]float32, in*out), make([]float32, out)
		for _, s := range [][]float32{w, b} {
			for j := range s {
				s[j] = float32((2*r.Float64() - 1) / math.Sqrt(float64(in)))
			}
		}
		p.Params = append(p.Params, kernels.Param{Name: fmt.Sprintf("dense%d.weight", i), Rows: out, Cols: in, Data: w},
			kernels.Param{Name: fmt.Sprintf("dense%d.bias", i), Rows: out, Cols: 1, Data: b})
		p.Widths = append(p.Widths, out)
		p.Forward = append(p.Forward, f)
	}
	p.Output = depth + 1
	grad := func(w int) int { p.GradWidths = append(p.GradWidths, w); return len(p.GradWidths) - 1 }
	p.LossGrad = grad(c.d)
	dz, g := p.LossGrad, -1
	for i := depth; i >= 0; i-- {
		p.Backward = append(p.Backward, kernels.BackInstr{Op: kernels.BackParams, Src: dz, X: i, W: 2 * i, B: 2*i + 1, Dst: -1, Add: -1, Act: -1})
		if i == 0 {
			break
		}
		in := kernels.BackInstr{Op: kernels.BackInput, Src: dz, W: 2 * i, B: -1, X: -1, Add: -1, Act: i}
		if c.residual && i < depth {
			in.Add = g
		}
		dz = grad(c.widths[i-1])
		in.Dst = dz
		if c.residual && i > 1 {
			in.Act, g = -1, dz
			dz = grad(c.widths[i-1])
			p.Backward = append(p.Backward, in, kernels.BackInstr{Op: kernels.BackAct, Dst: dz, Src: g, Act: i, W: -1, B: -1, X: -1, Add: -1})
			continue
		}
		p.Backward = append(p.Backward, in)
	}
	return p
}

// Networks for the fused pass and for the one by layers: at and around whole vectors of 4, tiles of 16 and chunks of 128.
var trainNets = []trainNet{
	{2, []int{32, 32, 32}, simd.SiLU, false, 0},
	{3, []int{17, 17, 17}, simd.GELU, true, 5},
	{1, []int{130, 130, 130}, simd.Tanh, true, 0},
	{9, []int{20, 33, 7}, simd.SiLU, false, 3},
	{2, []int{516, 130}, simd.Tanh, false, 0},   // by layers
	{33, []int{19, 19, 19}, simd.SiLU, true, 2}, // by layers
	{5, nil, simd.SiLU, false, 0},               // linear, by layers
}

// testBatches are data and times that can be drawn on the device.
func testBatches(d int) *kernels.Batches {
	r := rand.New(rand.NewPCG(3, 4))
	b := &kernels.Batches{Seed: 1<<40 + 5, X: make([]float32, 37*d)}
	for i := range b.X {
		b.X[i] = float32(r.NormFloat64())
	}
	b.Times = kernels.TimeTable{Cells: 50, Curves: kernels.NewCurves(func(f float64) [kernels.Coefs]float64 {
		t := 0.01 + 0.99*f
		return [kernels.Coefs]float64{math.Exp(-t), math.Sqrt(t), -t, 1 / math.Sqrt(t), 0.3 + t*t, t}
	})}
	sum := 0.0
	for k := range b.Times.Cells {
		p := (1 + float64(k)) / 1275
		sum += p
		b.Times.Cumulative = append(b.Times.Cumulative, sum)
		b.Times.Ratios = append(b.Times.Ratios, 1/(50*p))
	}
	return b
}

// hostSource draws kernels.Batches on the host, as its documentation says.
type hostSource struct {
	b     *kernels.Batches
	d     int
	batch int
}

func (s hostSource) Fill(t *fit.Tile) {
	n := t.Hi - t.Lo
	first := uint64(t.Step)*uint64(s.batch) + uint64(t.Lo)
	z := make([]float32, n*s.d)
	kernels.Normals(z, kernels.Noise{Seed: s.b.Seed, Stream: kernels.StreamBatch, Sample0: first}, 0, n, s.d)
	for i := range n {
		row, u := kernels.Choose(s.b.Seed, first+uint64(i), uint64(len(s.b.X)/s.d))
		c := s.b.Times.At(u)
		for j := range s.d {
			v, z := s.b.X[row*uint64(s.d)+uint64(j)], z[i*s.d+j]
			t.X[i*s.d+j] = float32(c[kernels.CoefX0])*v + float32(c[kernels.CoefZ])*z
			t.Target[i*s.d+j] = float32(c[kernels.CoefTargetX0])*v + float32(c[kernels.CoefTargetZ])*z
		}
		t.Tau[i], t.Weight[i] = c[kernels.CoefTau], float32(c[kernels.CoefWeight])
	}
}

// gradient64 is loss and gradient of a batch in float64, by the chain rule on the forward instructions.
func gradient64(p *kernels.ChainTraining, src fit.Source, step int64, n int) (float64, [][]float64) {
	d := p.D
	t := &fit.Tile{Step: step, Hi: n, X: make([]float32, n*d), Tau: make([]float64, n), Target: make([]float32, n*d), Weight: make([]float32, n)}
	src.Fill(t)
	g := make([][]float64, len(p.Params))
	for i, q := range p.Params {
		g[i] = make([]float64, len(q.Data))
	}
	loss := 0.0
	features := make([]float32, p.Time.Width())
	for row := range n {
		p.Time.Fill(features, t.Tau[row])
		h, slope, dh := make([][]float64, len(p.Widths)), make([][]float64, len(p.Widths)), make([][]float64, len(p.Widths))
		for i, w := range p.Widths {
			h[i], slope[i], dh[i] = make([]float64, w), make([]float64, w), make([]float64, w)
		}
		for j, v := range append(slices.Clone(t.X[row*d:][:d]), features...) {
			h[0][j] = float64(v)
		}
		for _, in := range p.Forward {
			for o := range h[in.Dst] {
				a := float64(p.Params[in.B].Data[o])
				for k, v := range h[in.Src] {
					a += float64(p.Params[in.W].Data[o*len(h[in.Src])+k]) * v
				}
				h[in.Dst][o], slope[in.Dst][o] = in.Act.Eval(a)
				if in.Add >= 0 {
					h[in.Dst][o] += h[in.Add][o]
				}
			}
		}
		for j, y := range h[p.Output] {
			e, w := y-float64(t.Target[row*d+j]), float64(t.Weight[row])/float64(n*d)
			loss += w * e * e
			dh[p.Output][j] = 2 * w * e
		}
		for _, in := range slices.Backward(p.Forward) {
			for o, dy := range dh[in.Dst] {
				if in.Add >= 0 {
					dh[in.Add][o] += dy
				}
				dz := dy * slope[in.Dst][o]
				g[in.B][o] += dz
				for k, v := range h[in.Src] {
					g[in.W][o*len(h[in.Src])+k] += dz * v
					dh[in.Src][k] += dz * float64(p.Params[in.W].Data[o*len(h[in.Src])+k])
				}
			}
		}
	}
	return loss, g
}

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
	tr, err := exec.NewTrainer(d, p, o, b, pass)
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
						tol = 6e-8
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

func must2[A, B any](a A, b B, err error) func(t testing.TB) {
	return func(t testing.TB) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
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
		if _, err := exec.NewTrainer(d, p, c.o, &c.b, chains.TrainingPass(p)); err == nil || !strings.Contains(err.Error(), c.want) {
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
	if err := tr.SetParams(make([][]float32, 1)); err == nil || !strings.Contains(err.Error(), "for 1 tensors; the network has 8") {
		t.Errorf("one tensor: %v", err)
	}
	must(tr.Step(src, 1e-3))(t)
	ended, stop := context.WithCancel(t.Context())
	stop()
	if n, _, err := newTrainer(t, p, fit.Options{Batch: 4}, b).Run(ended, rates(0, 3), make([]float64, 3)); n != 0 || err != nil {
		t.Errorf("%d steps after the context's end, %v", n, err)
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
