//go:build gpu && cgo

package programs

import (
	"context"
	"errors"
	"math"

	"hbar/cuda/driver"
	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/kernels/general"
	"hbar/program"
)

// Trainer takes the steps of training of any network on a device: gradients by an Executor, then Adam, without a way through the
// host. Parameters, their averages and Adam's state are float32 at any precision of the products. A step of a batch that passes
// through the network at once is one captured graph. Use it from one goroutine.
//
// With a communicator it is the trainer of one of several processes, which computes the gradient of its rows of each batch: see reduce.go. All
// processes make the same calls.
type Trainer struct {
	d    *driver.Device
	k    *Kernels
	x    *Executor
	opt  fit.Options
	step int64

	trained []trained // in their order
	count   int       // numbers of all trained parameters, each rounded up to 16; the gaps are zeros
	size    int       // elements of a sample
	// One array each: parameters, the trained ones first; gradients; Adam's means; averages.
	params, grads, m, v, ema *driver.Buffer
	losses, squares          *driver.Buffer // float64, of the batch's samples and of parts of the gradient
	constants, result        *driver.Buffer // struct AdamStep, struct StepResult
	parts                    int
	share                    int

	square, sum, adam *driver.Kernel
	graph             *driver.Graph // of a whole step

	batch  general.Batch // the rows of this process
	weight []float32
	labels []float64

	first, total int // of these rows, and the rows of the whole batch

	comm    *driver.Comm    // nil: this process is alone
	failed  func() error    // whether another process has ended
	buckets []driver.Bucket // in the order in which their sums begin
	reduced int             // of which these have begun in the step that is enqueued
	block   struct{ lo, n int }
	norm    float64 // of the last step's gradient
	stopped bool
}

// trained is a parameter with its place in the arrays.
type trained struct {
	kernels.Param
	at, n int
}

// adamWire mirrors struct AdamStep of kernels/gpu/net_steps.cu.
type adamWire struct {
	LR, C1, C2, EMA, Beta1, Beta2, Eps, Decay float32
	Clip                                      float64
}

// resultWire mirrors struct StepResult.
type resultWire struct {
	Loss, Norm float64
	Bad, _     int32
}

const badLoss = 1 // NET_BAD_LOSS; the other is a gradient

// squareShare is the numbers of the gradient whose squares a block sums.
const squareShare = 1 << 14

// NewTrainer returns a trainer that starts from copies of t.Params. Workers and Impl of the options draw batches on the host only.
// Close it when done; it does not close d.
func NewTrainer(d *driver.Device, t general.Training, o fit.Options, e Options) (*Trainer, error) {
	o, err := o.WithDefaults()
	if err == nil {
		err = e.Precision.OfTraining()
	}
	if err != nil {
		e.Comm.Abort(err)
		return nil, errors.Join(err, e.Comm.Close())
	}
	r := &Trainer{d: d, k: NewKernels(d), opt: o, comm: e.Comm, failed: e.Failed, total: o.Batch, size: program.Size(t.Program.Values[t.Program.Lookup("target")].Shape)}
	if err := r.open(t, e); err != nil {
		return nil, errors.Join(err, r.Abort(err))
	}
	return r, nil
}

func (r *Trainer) open(t general.Training, e Options) (err error) {
	first, rows, err := r.comm.Rows(r.total)
	if err != nil {
		return err
	}
	r.first = first
	at, err := r.allocate(t)
	if err != nil {
		return err
	}
	e.Outputs = map[string]uint64{}
	addresses := map[string]uint64{}
	for i, q := range t.Params {
		addresses[q.Name] = r.params.At(at[i])
		if t.Gradients[i] != "" {
			e.Outputs[t.Gradients[i]] = r.grads.At(at[i])
		}
		if len(q.Data) == 0 {
			continue
		}
		if err := driver.Upload(r.params.View(4*at[i], 4*len(q.Data)), q.Data); err != nil {
			return err
		}
		if t.Gradients[i] != "" && r.ema != nil {
			if err := driver.Upload(r.ema.View(4*at[i], 4*len(q.Data)), q.Data); err != nil {
				return err
			}
		}
	}
	if r.x, err = NewExecutor(r.d, r.k, t.Program, e); err != nil {
		return err
	}
	r.x.BindParams(addresses)
	for _, k := range []struct {
		to   **driver.Kernel
		name string
	}{{&r.square, "net_squares"}, {&r.sum, "net_result"}, {&r.adam, "net_adam"}} {
		if *k.to, err = r.k.find("steps", k.name, 256, 64); err != nil {
			return err
		}
	}
	if r.comm != nil {
		var gradients []string
		for _, name := range t.Gradients {
			if name != "" {
				gradients = append(gradients, name)
			}
		}
		r.shareBatches(gradients, e.Bucket)
		r.x.uncapture = !r.comm.Captures
	}
	r.setBatch(rows)
	return r.x.grow(min(rows, r.x.block))
}

// allocate makes the buffers of parameters and optimiser, and returns where in r.params each parameter is: those that are trained first.
func (r *Trainer) allocate(t general.Training) (at []int, err error) {
	at = make([]int, len(t.Params))
	for i, q := range t.Params {
		if t.Gradients[i] != "" {
			at[i] = r.count
			r.trained = append(r.trained, trained{q, r.count, len(q.Data)})
			r.count += rounded(len(q.Data))
		}
	}
	total := r.count
	for i, q := range t.Params {
		if t.Gradients[i] == "" {
			at[i] = total
			total += rounded(len(q.Data))
		}
	}
	r.share = squareShare
	r.parts = max(1, (r.count+r.share-1)/r.share)
	for _, b := range []struct {
		to    **driver.Buffer
		bytes int
		skip  bool
	}{{&r.params, 4 * total, false}, {&r.grads, 4 * r.count, false}, {&r.m, 4 * r.count, false}, {&r.v, 4 * r.count, false}, {&r.ema, 4 * r.count, r.opt.EMA == 0},
		{&r.losses, 8 * (r.total + r.extra()), false}, {&r.squares, 8 * r.parts, false}, {&r.constants, 40, false}, {&r.result, 24, false}} {
		if b.skip {
			continue
		}
		if *b.to, err = r.d.Alloc(max(16, b.bytes)); err != nil {
			return nil, err
		}
		if err := (*b.to).Zero(); err != nil {
			return nil, err
		}
	}
	return at, nil
}

// setBatch makes memory of the host for batches of n samples.
func (r *Trainer) setBatch(n int) {
	b := general.Batch{N: n, In: map[string][]float32{}, Wide: map[string][]float64{}}
	b.In["x"], b.In["target"] = make([]float32, n*r.size), make([]float32, n*r.size)
	r.weight, r.labels = make([]float32, n), make([]float64, n)
	for _, name := range []string{"t", "weight", "counter"} {
		b.Wide[name] = make([]float64, n)
	}
	b.Wide["y"] = r.labels
	r.batch = b
}

// Abort is Close at an error that the other processes may not have: it does not wait for them.
func (r *Trainer) Abort(cause error) error {
	r.comm.Abort(cause)
	return r.Close()
}

// Close frees the trainer's memory on the device. Of several processes all close their trainers, and each may wait for the others, unless a method
// has returned an error that those may not have.
func (r *Trainer) Close() (err error) {
	err = r.graph.Close()
	r.graph = nil
	if r.x != nil {
		err = errors.Join(err, r.x.Close())
	}
	err = errors.Join(err, r.comm.Close()) // behind the graphs
	r.comm = nil
	for _, b := range []*driver.Buffer{r.params, r.grads, r.m, r.v, r.ema, r.losses, r.squares, r.constants, r.result} {
		err = errors.Join(err, b.Free())
	}
	return errors.Join(err, r.k.Close())
}

// Steps is the number of steps taken.
func (r *Trainer) Steps() int64 { return r.step }

// Block is the number of samples that pass through the network together.
func (r *Trainer) Block() int { return min(r.x.Block(), r.batch.N) }

// Rows is the number of rows of each batch whose gradient this process computes.
func (r *Trainer) Rows() int { return r.batch.N }

// Bytes is the memory of the trainer on the device.
func (r *Trainer) Bytes() int64 {
	b := r.x.Bytes(r.batch.N)
	for _, s := range []*driver.Buffer{r.params, r.grads, r.m, r.v, r.ema, r.losses} {
		if s != nil {
			b += int64(s.Size())
		}
	}
	return b
}

// Run takes a step for each learning rate, on the batches that src draws, until ctx ends, which is no error. It returns the
// number of steps taken, with their losses in losses, and the last one's result. Of several processes, all return after the step in
// which one hears that its ctx has ended: then Stopped says so.
func (r *Trainer) Run(ctx context.Context, src fit.Source, lrs, losses []float64) (taken int, last fit.Result, err error) {
	for i, lr := range lrs {
		if ctx.Err() != nil && r.comm == nil || r.stopped {
			break
		}
		if last, err = r.Step(ctx, src, lr); err != nil {
			if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
				return taken, last, nil
			}
			return i, last, err
		}
		losses[i] = last.Loss
		taken++
	}
	return taken, last, nil
}

// Gradient computes loss and gradient of the batch that src draws for step Steps(), and changes no parameter.
func (r *Trainer) Gradient(ctx context.Context, src fit.Source) (fit.Result, error) {
	return r.take(ctx, src, nil)
}

// Step takes one step of Adam with learning rate lr. A loss or gradient that is not finite is a *fit.NonFiniteError; then
// nothing has changed. So if ctx ends.
func (r *Trainer) Step(ctx context.Context, src fit.Source, lr float64) (fit.Result, error) {
	a := r.opt.Adam(r.step, lr)
	s := float64(r.step + 1)
	// The bias corrections are those of the decays as the kernel has them, in float32, as cpu.Trainer has them.
	w := adamWire{LR: a.LR, EMA: a.EMA, Beta1: a.Beta1, Beta2: a.Beta2, Eps: a.Eps, Decay: a.Decay, Clip: r.opt.Clip,
		C1: float32(1 / (1 - math.Pow(float64(a.Beta1), s))), C2: float32(1 / (1 - math.Pow(float64(a.Beta2), s)))}
	res, err := r.take(ctx, src, &w)
	if err == nil {
		r.step++
	}
	return res, err
}

// take computes the gradient and, with constants, takes the step. An error that other processes may not have ends the sums with them, because Close
// would wait for processes that wait for this one.
func (r *Trainer) take(ctx context.Context, src fit.Source, w *adamWire) (fit.Result, error) {
	res, err := r.compute(ctx, src, w)
	if err != nil && !errors.As(err, new(*fit.NonFiniteError)) {
		r.comm.Abort(err)
	}
	return res, err
}

func (r *Trainer) compute(ctx context.Context, src fit.Source, w *adamWire) (fit.Result, error) {
	if err := r.comm.Err(); err != nil { // the graph with sums must not run any more
		return fit.Result{}, err
	}
	r.fill(src)
	if r.comm != nil { // the others wait for this process, so it takes the step
		if err := r.announce(ctx.Err() != nil); err != nil {
			return fit.Result{}, err
		}
		ctx = context.WithoutCancel(ctx)
	}
	if err := ctx.Err(); err != nil {
		return fit.Result{}, err
	}
	if w != nil {
		if err := driver.Upload(r.constants, []adamWire{*w}); err != nil {
			return fit.Result{}, err
		}
	}
	if err := r.enqueue(ctx, w != nil); err != nil {
		return fit.Result{}, err
	}
	if r.comm != nil {
		if err := r.comm.Wait(r.failed); err != nil {
			return fit.Result{}, err
		}
		if err := r.heard(); err != nil {
			return fit.Result{}, err
		}
	}
	var got [1]resultWire
	if err := driver.Download(got[:], r.result); err != nil {
		return fit.Result{}, err
	}
	r.norm = got[0].Norm
	res := fit.Result{Loss: got[0].Loss, GradNorm: got[0].Norm}
	switch {
	case got[0].Bad == badLoss:
		return fit.Result{Loss: res.Loss}, &fit.NonFiniteError{Step: r.step, Loss: res.Loss, Cause: "the loss is not finite"}
	case got[0].Bad != 0:
		grads, err := r.Gradients(nil)
		if err != nil {
			return res, err
		}
		params := make([]kernels.Param, len(r.trained))
		for i, v := range r.trained {
			params[i] = v.Param
		}
		return res, fit.GradientError(r.step, res.Loss, params, grads)
	}
	return res, nil
}
