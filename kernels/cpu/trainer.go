package cpu

import (
	"context"
	"math"
	"slices"

	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/kernels/general"
	"hbar/kernels/simd"
	"hbar/program"
)

// Training is what a Trainer trains.
type Training = general.Training

// Trainer takes the steps of training of any network on the CPU: gradients by an Executor, then Adam. The batch passes in parts
// (fit.PartRows), and a part in blocks of samples. Gradients add up over the samples of a part in their order and then over the
// parts, so results do not depend on the blocks. Use it from one goroutine.
type Trainer struct {
	x    *Executor
	team *Team
	opt  fit.Options
	step int64

	all     map[string][]float32 // parameters by name
	trained []trained
	dx, d   int // elements of a sample and of its target

	first, rows, total int // the rows that are computed here: so many from the first on, in a batch of so many

	x0, target []float32
	tau        []float64
	weight     []float32
	labels     []float64
	counts     []float64
	losses     []float64
	wide       []float64 // weight, as the program has it
}

// trained is a parameter with its gradient and the state of Adam.
type trained struct {
	kernels.Param
	p, g, m, v, ema []float32
	parts           [][]float32 // gradients of parts of the batch, those that are computed at the same time; the first part's goes to g
	name            string      // of the gradient
}

// Trainer is a fit.Partial.
var _ fit.Partial = (*Trainer)(nil)

// NewTrainer returns a trainer that starts from copies of t.Params. Close it when done.
func NewTrainer(t Training, o fit.Options, e Options) (*Trainer, error) {
	o, err := o.WithDefaults()
	if err != nil {
		return nil, err
	}
	team := NewTeam(o.Workers)
	team.Impl = o.Impl
	x, err := NewExecutor(t.Program, team, e)
	if err != nil {
		team.Close()
		return nil, err
	}
	r := &Trainer{x: x, team: team, opt: o, all: map[string][]float32{}}
	size := func(name string) int { return program.Size(t.Program.Values[t.Program.Lookup(name)].Shape) }
	r.dx, r.d = size("x"), size("target")
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
		v.name = t.Gradients[i]
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
	t.x0, t.target = make([]float32, n*t.dx), make([]float32, n*t.d)
	t.tau, t.weight, t.wide = make([]float64, n), make([]float32, n), make([]float64, n)
	t.labels, t.counts, t.losses = make([]float64, n), make([]float64, n), make([]float64, n)
	t.SetRows(0, n, n)
}

// SetRows says that the calls to come are about rows [lo, lo+n) of batches of total rows. There is memory for n ≤
// fit.Options.Batch.
func (t *Trainer) SetRows(lo, n, total int) {
	t.first, t.rows, t.total = lo, n, total
}

// makeParts makes memory for the gradients of the parts that are computed at the same time. The first part of all needs none.
func (t *Trainer) makeParts(wave int) {
	parts := fit.Parts(t.rows, t.PartRows(t.total))
	for i := range t.trained {
		v := &t.trained[i]
		v.parts = append(v.parts, make([][]float32, max(0, wave-len(v.parts)))...)
		for k := range v.parts[:wave] {
			if v.parts[k] == nil && (k > 0 || parts > wave) {
				v.parts[k] = aligned(len(v.g))[:len(v.g)]
			}
		}
	}
}

// wave is the number of parts that are computed at the same time: one for each lane, unless lanes would be idle for more than a quarter of
// the time.
func (t *Trainer) wave() int {
	n, size := t.x.Lanes(), t.PartRows(t.total)
	parts := fit.Parts(t.rows, size)
	if parts < n || parts%n == 0 && 4*t.rows < 3*parts*size { // then the last part, which may be small, is in a lane
		return 1
	}
	return n
}

// A part has at least as many rows as make the sum of the gradients of two parts cheap beside the gradients.
const (
	leastPart = 16
	mostPart  = 1 << 30
)

// PartRows is the number of rows of the parts of a batch of n rows. A small batch has two parts, so that two lanes have something to do.
func (t *Trainer) PartRows(n int) int { return partRows(n) }

func partRows(n int) int {
	if n <= leastPart {
		return max(4, (n+1)/2)
	}
	return fit.PartRows(n, leastPart, mostPart)
}

// part is rows [lo, hi) of those that are computed here, as the program takes them; the gradient goes to the outputs.
func (t *Trainer) part(lo, hi int, out func(v *trained) []float32) *Batch {
	p := t.x.prog
	has := func(name string) bool { return p.Lookup(name) != program.None }
	b := &Batch{N: hi - lo,
		In:      map[string][]float32{"x": t.x0[lo*t.dx : hi*t.dx], "target": t.target[lo*t.d : hi*t.d]},
		Wide:    map[string][]float64{"t": t.tau[lo:hi], "weight": t.wide[lo:hi]},
		WideOut: map[string][]float64{"losses": t.losses[lo:hi]},
		Out:     map[string][]float32{}}
	if has("y") {
		b.Wide["y"] = t.labels[lo:hi]
	}
	if has("counter") {
		b.Wide["counter"] = t.counts[lo:hi]
	}
	for i := range t.trained {
		b.Out[t.trained[i].name] = out(&t.trained[i])
	}
	return b
}

// Close ends the goroutines.
func (t *Trainer) Close() error {
	t.team.Close()
	return nil
}

// Steps is the number of steps taken.
func (t *Trainer) Steps() int64 { return t.step }

// Block is the number of samples that pass through the network at a time.
func (t *Trainer) Block() int { return t.x.Block() }

// Bytes is the memory of the trainer.
func (t *Trainer) Bytes() int64 {
	b := t.x.Bytes(t.rows) + int64(4*t.rows*(t.dx+t.d))
	for _, v := range t.trained {
		b += 4 * int64(len(v.p)+len(v.g)+len(v.m)+len(v.v)+len(v.ema))
		for _, p := range v.parts {
			b += 4 * int64(len(p))
		}
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
	terms, err := t.Sums(ctx, src)
	if err != nil {
		return fit.Result{}, err
	}
	return t.check(terms)
}

// Sums computes the gradient of the rows that SetRows named, and the terms of the loss, one for each row.
func (t *Trainer) Sums(ctx context.Context, src fit.Source) ([]float64, error) {
	t.fill(src)
	size, most := t.PartRows(t.total), t.wave()
	t.makeParts(most)
	for lo := 0; lo < t.rows; {
		var wave []*Batch
		for i := 0; i < most && lo < t.rows; i++ {
			into := func(v *trained) []float32 { return v.parts[i] }
			if lo == 0 {
				into = func(v *trained) []float32 { return v.g }
			}
			wave = append(wave, t.part(lo, min(t.rows, lo+size), into))
			lo += size
		}
		if err := t.x.RunEach(ctx, wave); err != nil {
			return nil, err
		}
		t.pieces(func(_ int, v *trained, lo, hi int) {
			for _, b := range wave {
				if d := b.Out[v.name]; &d[0] != &v.g[0] {
					t.opt.Impl.Add(v.g[lo:hi], v.g[lo:hi], d[lo:hi])
				}
			}
		})
	}
	return t.losses[:t.rows], nil
}

// TermRows is the rows of a term of the loss.
func (t *Trainer) TermRows() int { return 1 }

// Grads is the memory of the gradient.
func (t *Trainer) Grads() [][]float32 {
	out := make([][]float32, len(t.trained))
	for i := range out {
		out[i] = t.trained[i].g
	}
	return out
}

// check adds the terms up to the loss, and returns it with the norm of the gradient if both are finite.
func (t *Trainer) check(terms []float64) (fit.Result, error) {
	r := fit.Result{}
	for _, l := range terms {
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

// Step takes one step of Adam with learning rate lr. A loss or gradient that is not finite is a *fit.NonFiniteError. Then,
// and if ctx ends, nothing has changed.
func (t *Trainer) Step(ctx context.Context, src fit.Source, lr float64) (fit.Result, error) {
	terms, err := t.Sums(ctx, src)
	if err != nil {
		return fit.Result{}, err
	}
	return t.Apply(lr, terms)
}

// Apply takes a step with the gradient in Grads; terms are those of the whole batch.
func (t *Trainer) Apply(lr float64, terms []float64) (fit.Result, error) {
	r, err := t.check(terms)
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

// fill draws the rows. The weights are those of a mean over the batch and the elements of a target.
func (t *Trainer) fill(src fit.Source) {
	const rows = 16
	t.team.Run((t.rows+rows-1)/rows, func(worker, task int) {
		lo, hi := task*rows, min(t.rows, (task+1)*rows)
		src.Fill(&fit.Tile{Step: t.step, Lo: t.first + lo, Hi: t.first + hi, Worker: worker,
			X: t.x0[lo*t.dx : hi*t.dx], Target: t.target[lo*t.d : hi*t.d],
			Tau: t.tau[lo:hi], Weight: t.weight[lo:hi], Label: t.labels[lo:hi]})
	})
	for i, w := range t.weight[:t.rows] {
		t.wide[i] = float64(w) / (float64(t.total) * float64(t.d))
		t.counts[i] = float64(t.step*int64(t.total) + int64(t.first+i))
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
