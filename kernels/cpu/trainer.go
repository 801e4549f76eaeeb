package cpu

import (
	"context"
	"math"
	"slices"

	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/kernels/simd"
	"hbar/program"
)

// Training is what a Trainer trains: a program with inputs x, t, target and weight, and y and counter if the network has
// labels and dropout; outputs "losses", and the gradients of the sum of losses.
type Training struct {
	Program *program.Program
	// Params are all parameters, in the order of the program, with the numbers from which training starts.
	Params []kernels.Param
	// Gradients are the outputs that are the gradients of Params; empty for parameters that are not trained.
	Gradients []string
}

// Trainer takes the steps of training of any network on the CPU: gradients by an Executor, then Adam. The batch passes in blocks
// of samples; gradients add up over the samples in their order, so results do not depend on the blocks. Use it from one
// goroutine.
type Trainer struct {
	x    *Executor
	team *Team
	opt  fit.Options
	step int64

	all     map[string][]float32 // parameters by name
	trained []trained
	d       int // elements of a sample

	batch  Batch
	tau    []float64
	weight []float32
	labels []float64
	counts []float64
	losses []float64
}

// trained is a parameter with its gradient and the state of Adam.
type trained struct {
	kernels.Param
	p, g, m, v, ema []float32
}

// NewTrainer returns a trainer that starts from copies of t.Params. Close it when done.
func NewTrainer(t Training, o fit.Options, e Options) (*Trainer, error) {
	o, err := o.WithDefaults()
	if err != nil {
		return nil, err
	}
	team := NewTeam(o.Workers)
	x, err := NewExecutor(t.Program, team, e)
	if err != nil {
		team.Close()
		return nil, err
	}
	r := &Trainer{x: x, team: team, opt: o, all: map[string][]float32{}}
	r.d = program.Size(t.Program.Values[t.Program.Lookup("target")].Shape)
	r.batch = Batch{In: map[string][]float32{}, Wide: map[string][]float64{}, Out: map[string][]float32{}, WideOut: map[string][]float64{}}
	for i, q := range t.Params {
		v := trained{Param: q, p: slices.Clone(q.Data)}
		r.all[q.Name] = v.p
		if t.Gradients[i] == "" {
			continue
		}
		n := len(q.Data)
		v.g, v.m, v.v = aligned(n)[:n], make([]float32, n), make([]float32, n)
		if o.EMA > 0 {
			v.ema = slices.Clone(q.Data)
		}
		r.batch.Out[t.Gradients[i]] = v.g
		r.trained = append(r.trained, v)
	}
	if err := x.SetParams(r.all); err != nil {
		team.Close()
		return nil, err
	}
	r.setBatch(o.Batch)
	return r, nil
}

// setBatch makes memory for batches of n samples.
func (t *Trainer) setBatch(n int) {
	p := t.x.prog
	has := func(name string) bool { return p.Lookup(name) != program.None }
	t.batch.N = n
	t.batch.In["x"], t.batch.In["target"] = make([]float32, n*t.d), make([]float32, n*t.d)
	t.tau, t.weight = make([]float64, n), make([]float32, n)
	t.labels, t.counts, t.losses = make([]float64, n), make([]float64, n), make([]float64, n)
	t.batch.Wide["t"], t.batch.Wide["weight"] = t.tau, make([]float64, n)
	if has("y") {
		t.batch.Wide["y"] = t.labels
	}
	if has("counter") {
		t.batch.Wide["counter"] = t.counts
	}
	t.batch.WideOut["losses"] = t.losses
}

// Close ends the goroutines.
func (t *Trainer) Close() error {
	t.team.Close()
	return nil
}

// Steps is the number of steps taken.
func (t *Trainer) Steps() int64 { return t.step }

// Block is the number of samples that pass through the network together.
func (t *Trainer) Block() int { return t.x.Block() }

// Bytes is the memory of the trainer.
func (t *Trainer) Bytes() int64 {
	b := t.x.Bytes(t.batch.N) + int64(8*t.batch.N*t.d)
	for _, v := range t.trained {
		b += 4 * int64(len(v.p)+len(v.g)+len(v.m)+len(v.v)+len(v.ema))
	}
	return b
}

// Run takes a step for each learning rate, on the batches that src draws, until ctx ends, which is no error. It returns the
// number of steps taken, with their losses in losses, and the last one's result.
func (t *Trainer) Run(ctx context.Context, src fit.Source, lrs, losses []float64) (taken int, last fit.Result, err error) {
	for i, lr := range lrs {
		if ctx.Err() != nil {
			break
		}
		r, err := t.Step(ctx, src, lr)
		if ctx.Err() != nil && err == ctx.Err() {
			break
		}
		if last = r; err != nil {
			return i, last, err
		}
		losses[i] = r.Loss
		taken++
	}
	return taken, last, nil
}

// Gradient computes loss and gradient of the batch that src draws for step Steps(), and changes no parameter.
func (t *Trainer) Gradient(ctx context.Context, src fit.Source) (fit.Result, error) {
	t.fill(src)
	if err := t.x.RunContext(ctx, &t.batch); err != nil {
		return fit.Result{}, err
	}
	r := fit.Result{}
	for _, l := range t.losses {
		r.Loss += l
	}
	if !finite(r.Loss) {
		return r, &fit.NonFiniteError{Step: t.step, Loss: r.Loss, Cause: "the loss is not finite"}
	}
	r.GradNorm = t.norm()
	if !finite(r.GradNorm) {
		params, grads := make([]kernels.Param, len(t.trained)), make([][]float32, len(t.trained))
		for i, v := range t.trained {
			params[i], grads[i] = v.Param, v.g
		}
		return r, fit.GradientError(t.step, r.Loss, params, grads)
	}
	return r, nil
}

// Step takes one step of Adam with learning rate lr. A loss or gradient that is not finite is a *fit.NonFiniteError; then
// nothing has changed. So if ctx ends.
func (t *Trainer) Step(ctx context.Context, src fit.Source, lr float64) (fit.Result, error) {
	r, err := t.Gradient(ctx, src)
	if err != nil {
		return r, err
	}
	a := t.adam(lr)
	if t.opt.Clip > 0 && r.GradNorm > t.opt.Clip {
		a.Scale = float32(t.opt.Clip / r.GradNorm)
	}
	t.pieces(func(_ int, v *trained, lo, hi int) {
		var ema []float32
		if v.ema != nil {
			ema = v.ema[lo:hi]
		}
		s := a
		t.opt.Impl.Adam(v.p[lo:hi], v.m[lo:hi], v.v[lo:hi], v.g[lo:hi], ema, &s)
	})
	t.x.Changed()
	t.step++
	return r, nil
}

// adam is the step's constants. The bias corrections are those of the decays as the kernel has them, in float32: with those of
// 0.999 itself the mean squared gradient would be wrong by 1.3·10⁻⁵, since 1 − 0.999 is so in float32.
func (t *Trainer) adam(lr float64) simd.AdamStep {
	a := t.opt.Adam(t.step, lr)
	s := float64(t.step + 1)
	a.C1 = float32(1 / (1 - math.Pow(float64(a.Beta1), s)))
	a.C2 = float32(1 / (1 - math.Pow(float64(a.Beta2), s)))
	return a
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// fill draws the batch. The weights are those of a mean over the batch and the elements of a sample.
func (t *Trainer) fill(src fit.Source) {
	n := t.batch.N
	const rows = 16
	t.team.Run((n+rows-1)/rows, func(worker, task int) {
		lo, hi := task*rows, min(n, (task+1)*rows)
		src.Fill(&fit.Tile{Step: t.step, Lo: lo, Hi: hi, Worker: worker,
			X: t.batch.In["x"][lo*t.d : hi*t.d], Target: t.batch.In["target"][lo*t.d : hi*t.d],
			Tau: t.tau[lo:hi], Weight: t.weight[lo:hi], Label: t.labels[lo:hi]})
	})
	for i, w := range t.weight {
		t.batch.Wide["weight"][i] = float64(w) / (float64(n) * float64(t.d))
		t.counts[i] = float64(t.step*int64(n) + int64(i))
	}
}

// piece is the number of elements of a task of Adam.
const piece = 1 << 16

// pieces calls f for parts of all trained parameters, numbered.
func (t *Trainer) pieces(f func(id int, v *trained, lo, hi int)) int {
	type part struct {
		v      *trained
		lo, hi int
	}
	var parts []part
	for i := range t.trained {
		v := &t.trained[i]
		for lo := 0; lo < len(v.p); lo += piece {
			parts = append(parts, part{v, lo, min(len(v.p), lo+piece)})
		}
	}
	if f != nil {
		t.team.Run(len(parts), func(_, i int) { f(i, parts[i].v, parts[i].lo, parts[i].hi) })
	}
	return len(parts)
}

// norm is the norm of the gradient over all parameters, summed in a fixed order.
func (t *Trainer) norm() float64 {
	squares := make([]float64, t.pieces(nil))
	t.pieces(func(id int, v *trained, lo, hi int) {
		var s [4]float64
		g := v.g[lo:hi]
		for ; len(g) >= 4; g = g[4:] {
			a, b, c, d := float64(g[0]), float64(g[1]), float64(g[2]), float64(g[3])
			s[0] += a * a
			s[1] += b * b
			s[2] += c * c
			s[3] += d * d
		}
		for _, x := range g {
			s[0] += float64(x) * float64(x)
		}
		squares[id] = s[0] + s[1] + s[2] + s[3]
	})
	sum := 0.0
	for _, s := range squares {
		sum += s
	}
	return math.Sqrt(sum)
}
