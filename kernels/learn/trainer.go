package learn

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/kernels/simd"
)

// Rows pass through the network in tiles: first large ones, for which products are faster, and small ones at the end, so that workers
// finish at about the same time. Tiles are made of whole chunks, over which the loss is summed, so results do not depend on
// the tiles.
const (
	chunkRows = 16
	leastTile = 2 // chunks
	mostTile  = 8
	tileRows  = mostTile * chunkRows
)

// Trainer holds a network's parameters, its optimiser's state and the memory of a step. Use it from one goroutine.
type Trainer struct {
	prog *kernels.ChainTraining
	opt  fit.Options
	step int64 // steps taken

	batch, rows       int // rows that are computed here, and for how many there is memory
	first, total      int // the first of them in a batch of so many
	fwd, grad         []buffer
	layers            []*layer
	byWeight          []*layer // indexed by parameter
	param, m, v, ema  []float32
	g                 []float32 // the gradient, laid out as param
	pieces            []piece   // tasks of the second and third phase
	sumSquare         []float64 // of the gradient, by piece id
	bad               []bool    // not finite, by piece id
	workers           []*worker
	pool              *pool
	queues            [3]queues // the tasks of the three phases: chunks, pieces, pieces
	source            fit.Source
	ended             <-chan struct{} // of Run's context
	halted            [2]atomic.Bool  // a worker saw that in this phase
	phases            phases
	adam              simd.AdamStep
	chunkLoss         []float64 // sum of the weighted squared errors, by chunk
	chunkErr          []error
	lossSum, gradNorm float64
	err               error
}

// worker is one goroutine's memory.
type worker struct {
	id        int
	tile      fit.Tile
	fwd, grad [][]float32 // buffers that live for a tile
	slope     [][]float32 // f′, by forward buffer
	x, target []float32
	weight    []float32
	tau       []float64
	features  []float32
	product   simd.Product[float32]
	adam      simd.AdamStep
	check     []float32 // 16 sums
}

// New returns a Trainer of p that starts from the parameters p.Params[i].Data, which it copies. Close it when done.
func New(p *kernels.ChainTraining, opt fit.Options) (*Trainer, error) {
	opt, err := opt.WithDefaults()
	if err != nil {
		return nil, err
	}
	t := &Trainer{prog: p, opt: opt}
	if err := t.plan(p); err != nil {
		return nil, err
	}
	t.byWeight = make([]*layer, len(p.Params))
	for _, l := range t.layers {
		t.byWeight[l.w] = l
	}
	t.planPieces()
	for i := range t.queues {
		t.queues[i] = newQueues(opt.Workers)
	}
	for id := range opt.Workers {
		t.workers = append(t.workers, t.newWorker(id))
	}
	t.SetBatch(opt.Batch)
	init := make([][]float32, len(p.Params))
	for i, q := range p.Params {
		init[i] = q.Data
	}
	if err := t.SetParams(init); err != nil {
		return nil, err
	}
	t.pool = newPool(opt.Workers, t.work)
	return t, nil
}

func (t *Trainer) newWorker(id int) *worker {
	p := t.prog
	w := &worker{id: id, x: aligned(tileRows * p.D), target: aligned(tileRows * p.D), weight: aligned(tileRows),
		tau: make([]float64, tileRows), check: aligned(lanes), features: aligned(tileRows * p.Time.Width()),
		fwd: make([][]float32, len(t.fwd)), grad: make([][]float32, len(t.grad)), slope: make([][]float32, len(t.fwd))}
	for i := range t.fwd {
		if !t.fwd[i].kept {
			w.fwd[i] = t.fwd[i].alloc(tileRows)
		}
	}
	for i := range t.grad {
		if !t.grad[i].kept {
			w.grad[i] = t.grad[i].alloc(tileRows)
		}
	}
	for _, l := range t.layers {
		if l.act != simd.Identity {
			w.slope[l.dst] = aligned(tileRows * t.fwd[l.dst].ld)
		}
	}
	return w
}

// SetNorm changes fit.Options.Norm for the steps to come: sums of squares of all gradients cost some percent of a step.
func (t *Trainer) SetNorm(on bool) { t.opt.Norm = on }

// SetBatch changes the number of rows of the batches to come, at least 1. Memory grows with the largest.
func (t *Trainer) SetBatch(n int) {
	if n < 1 {
		panic(fmt.Sprintf("learn: SetBatch(%d): a batch has at least one row", n))
	}
	t.SetRows(0, n, n)
}

// SetRows says that the calls to come are about rows [lo, lo+n) of batches of total rows. Memory grows with n.
func (t *Trainer) SetRows(lo, n, total int) {
	if n < 1 || lo < 0 || lo+n > total {
		panic(fmt.Sprintf("learn: SetRows(%d, %d, %d)", lo, n, total))
	}
	t.batch, t.first, t.total = n, lo, total
	chunks := (n + chunkRows - 1) / chunkRows
	if n > t.rows {
		t.rows = n
		for i := range t.fwd {
			if t.fwd[i].kept {
				t.fwd[i].batch = t.fwd[i].alloc(n)
			}
		}
		for i := range t.grad {
			if t.grad[i].kept {
				t.grad[i].batch = t.grad[i].alloc(n)
			}
		}
		t.chunkLoss = make([]float64, chunks)
		t.chunkErr = make([]error, chunks)
	}
}

// Close ends the worker goroutines.
func (t *Trainer) Close() { t.pool.close() }

// Steps is the number of steps taken.
func (t *Trainer) Steps() int64 { return t.step }

// Step takes one step of Adam with learning rate lr on the batch that src draws for step Steps(). A loss or gradient
// that is not finite is a *fit.NonFiniteError; then nothing has changed.
func (t *Trainer) Step(src fit.Source, lr float64) (fit.Result, error) {
	t.adam = t.opt.Adam(t.step, lr)
	return t.do(src, all)
}

// errHalted is the error of a step that was abandoned because the context of Run ended. Nothing has changed.
var errHalted = errors.New("learn: the step was abandoned")

// halt reports whether Run's context has ended. The first two phases of a step check it between tasks, so that Run returns soon
// even when batches are large.
func (t *Trainer) halt(phase int) bool {
	select {
	case <-t.ended:
		t.halted[phase].Store(true)
		return true
	default:
		return false
	}
}

// Run takes a step for each learning rate, on the batches that src draws, until ctx ends, which is no error. It returns the
// number of steps taken, with their losses in losses, and the last one's result; that alone has a gradient's norm, unless
// gradients are clipped.
func (t *Trainer) Run(ctx context.Context, src fit.Source, lrs, losses []float64) (taken int, last fit.Result, err error) {
	for i, lr := range lrs {
		if ctx.Err() != nil {
			break
		}
		t.SetNorm(i == len(lrs)-1)
		t.ended = ctx.Done()
		result, err := t.Step(src, lr)
		t.ended = nil
		if errors.Is(err, errHalted) {
			break
		}
		if last = result; err != nil {
			return i, last, err
		}
		losses[i] = last.Loss
		taken++
	}
	return taken, last, nil
}

// Gradient computes the loss and the gradient of the batch that src draws for step Steps(), and changes no parameter.
func (t *Trainer) Gradient(src fit.Source) (fit.Result, error) { return t.do(src, sums|check) }

// phases are parts of a step.
type phases int

const (
	sums   phases = 1 << iota // the loss and the gradient of the rows
	check                     // whether these are finite, and the norm
	update                    // Adam
	all    = sums | check | update
)

func (t *Trainer) do(src fit.Source, p phases) (fit.Result, error) {
	if t.pool.stop {
		return fit.Result{}, errors.New("learn: the trainer is closed")
	}
	t.source, t.phases, t.err = src, p, nil
	t.halted[0].Store(false)
	t.halted[1].Store(false)
	for i, n := range [...]int{t.chunks(), len(t.pieces), len(t.pieces)} {
		t.queues[i].reset(n)
	}
	t.pool.run()
	if t.err != nil {
		return fit.Result{Loss: t.lossSum}, t.err
	}
	if p&update != 0 {
		t.step++
	}
	return fit.Result{Loss: t.lossSum, GradNorm: t.gradNorm}, nil
}

// work is a worker's part of a step.
func (t *Trainer) work(id int) {
	w := t.workers[id]
	if t.phases&sums != 0 && !t.workSums(w) {
		return
	}
	if t.phases&(check|update) == 0 {
		return
	}
	if t.phases&sums == 0 { // the gradient has come from elsewhere
		for lo, hi := t.queues[1].take(id, 1, 1); lo < hi; lo, hi = t.queues[1].take(id, 1, 1) {
			w.checkGrad(t, &t.pieces[lo])
		}
	}
	t.pool.sync.wait()
	if t.gaveUp(id, 1) {
		return
	}
	sum, bad := 0.0, false
	for id, v := range t.sumSquare {
		sum += v
		bad = bad || t.bad[id]
	}
	if id == 0 {
		t.gradNorm = math.Sqrt(sum)
	}
	if bad {
		if id == 0 {
			t.err = t.gradError(t.lossSum)
		}
		return
	}
	if t.phases&update == 0 {
		return
	}

	w.adam = t.adam
	if norm := math.Sqrt(sum); t.opt.Clip > 0 && norm > t.opt.Clip {
		w.adam.Scale = float32(t.opt.Clip / norm)
	}
	for lo, hi := t.queues[2].take(id, 1, 1); lo < hi; lo, hi = t.queues[2].take(id, 1, 1) {
		w.update(t, &t.pieces[lo])
	}
}

// workSums is a worker's part of the sums over rows; it returns false where the step ends with them.
func (t *Trainer) workSums(w *worker) bool {
	id := w.id
	for lo, hi := t.queues[0].take(id, leastTile, mostTile); lo < hi && !t.halt(0); lo, hi = t.queues[0].take(id, leastTile, mostTile) {
		w.runTile(t, lo*chunkRows, min(hi*chunkRows, t.batch))
	}
	t.pool.sync.wait()
	if t.gaveUp(id, 0) {
		return false
	}
	if t.phases&check != 0 {
		loss := t.meanLoss(t.chunkLoss[:t.chunks()])
		if id == 0 {
			t.lossSum = loss
		}
		if !finite(loss) {
			if id == 0 {
				t.err = t.lossError(loss)
			}
			return false
		}
	}
	for lo, hi := t.queues[1].take(id, 1, 1); lo < hi && !t.halt(1); lo, hi = t.queues[1].take(id, 1, 1) {
		w.paramGrad(t, &t.pieces[lo])
		if t.phases&check != 0 {
			w.checkGrad(t, &t.pieces[lo])
		}
	}
	return true
}

// meanLoss is the loss of a batch whose chunks have these sums.
func (t *Trainer) meanLoss(chunks []float64) float64 {
	loss := 0.0
	for _, v := range chunks {
		loss += v
	}
	return loss / (float64(t.total) * float64(t.prog.D))
}

// gaveUp reports, behind the barrier that ends a phase, whether a worker halted in it: the same to all of them, which is why each
// phase has a flag of its own.
func (t *Trainer) gaveUp(id, phase int) bool {
	halted := t.halted[phase].Load()
	if halted && id == 0 {
		t.err = errHalted
	}
	return halted
}

func (t *Trainer) chunks() int { return (t.batch + chunkRows - 1) / chunkRows }

func finite(x float64) bool { return x-x == 0 }
