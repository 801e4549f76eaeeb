package learn

import (
	"math"
	"sync/atomic"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// tileRows is the number of rows that pass through the network together. Products take rows in blocks of 5 and 6; a
// panel of 128 inputs (8 KB) and a tile of 128 units stay in a 32 KB first-level cache.
const tileRows = 32

// Trainer holds a network's parameters, its optimiser's state and the memory of a step. Use it from one goroutine.
type Trainer struct {
	prog *kernels.Training
	opt  Options
	step int64 // steps taken

	batch, rows       int // rows of a batch, and for how many there is memory
	fwd, grad         []buffer
	layers            []*layer
	byWeight          []*layer // indexed by parameter
	param, m, v, ema  []float32
	g                 []float32 // the gradient, laid out as param
	pieces            []piece   // of the second and third phase
	workers           []*worker
	pool              *pool
	next              [3]atomic.Int32 // tasks handed out, by phase
	source            Source
	update            bool
	adam              simd.AdamStep
	tileLoss          []float64 // by tile
	pieceSum          []float64 // squared norm of the gradient, by piece
	tileErr           []error
	pieceBad          []bool
	lossSum, gradNorm float64
	err               error
}

// piece is a panel of a layer.
type piece struct {
	l     *layer
	x, dz int // buffers of its gradient
	p     int
}

// worker is one goroutine's memory.
type worker struct {
	id        int
	tile      Tile
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

// Result of a step.
type Result struct {
	Loss float64 // mean over the batch and the D coordinates, before the update
	// GradNorm is the norm of the gradient over all parameters, before clipping; 0 unless Options.Clip or Norm.
	GradNorm float64
}

// New returns a Trainer of p that starts from the parameters p.Params[i].Data, which it copies. Close it when done.
func New(p *kernels.Training, opt Options) (*Trainer, error) {
	opt, err := opt.defaults()
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

// SetBatch changes the number of rows of the batches to come.
func (t *Trainer) SetBatch(n int) {
	t.batch = n
	tiles := (n + tileRows - 1) / tileRows
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
		t.tileLoss = make([]float64, tiles)
		t.tileErr = make([]error, tiles)
	}
}

// Close ends the worker goroutines.
func (t *Trainer) Close() { t.pool.close() }

// Steps is the number of steps taken.
func (t *Trainer) Steps() int64 { return t.step }

// Step takes one step of Adam with learning rate lr on the batch that src draws for step Steps(). A loss or gradient
// that is not finite is a *NonFiniteError; then nothing has changed.
func (t *Trainer) Step(src Source, lr float64) (Result, error) {
	s := float64(t.step + 1)
	t.adam = simd.AdamStep{
		LR: float32(lr), Beta1: float32(t.opt.Beta1), Beta2: float32(t.opt.Beta2), Eps: float32(t.opt.Eps),
		Decay: float32(t.opt.Decay), Scale: 1,
		C1:  float32(1 / (1 - math.Pow(t.opt.Beta1, s))),
		C2:  float32(1 / (1 - math.Pow(t.opt.Beta2, s))),
		EMA: float32(min(t.opt.EMA, s/(9+s))),
	}
	return t.do(src, true)
}

// Gradient computes the loss and the gradient of the batch that src draws for step Steps(), and changes no parameter.
func (t *Trainer) Gradient(src Source) (Result, error) { return t.do(src, false) }

func (t *Trainer) do(src Source, update bool) (Result, error) {
	t.source, t.update, t.err = src, update, nil
	for i := range t.next {
		t.next[i].Store(0)
	}
	t.pool.run()
	if t.err != nil {
		return Result{Loss: t.lossSum}, t.err
	}
	if update {
		t.step++
	}
	return Result{t.lossSum, t.gradNorm}, nil
}

// work is a worker's part of a step.
func (t *Trainer) work(id int) {
	w := t.workers[id]
	tiles := (t.batch + tileRows - 1) / tileRows
	for i := t.take(0); i < tiles; i = t.take(0) {
		lo := i * tileRows
		t.tileLoss[i], t.tileErr[i] = w.runTile(t, lo, min(lo+tileRows, t.batch))
	}
	t.pool.sync.wait()
	loss := 0.0
	for _, v := range t.tileLoss[:tiles] {
		loss += v
	}
	loss /= float64(t.batch) * float64(t.prog.D)
	if id == 0 {
		t.lossSum = loss
	}
	if !finite(loss) {
		if id == 0 {
			t.err = t.lossError(loss, tiles)
		}
		return
	}

	for i := t.take(1); i < len(t.pieces); i = t.take(1) {
		t.pieceSum[i], t.pieceBad[i] = w.paramGrad(t, &t.pieces[i])
	}
	t.pool.sync.wait()
	sum, bad := 0.0, false
	for i, v := range t.pieceSum {
		sum += v
		bad = bad || t.pieceBad[i]
	}
	if id == 0 {
		t.gradNorm = math.Sqrt(sum)
	}
	if bad {
		if id == 0 {
			t.err = t.gradError(loss)
		}
		return
	}
	if !t.update {
		return
	}

	w.adam = t.adam
	if norm := math.Sqrt(sum); t.opt.Clip > 0 && norm > t.opt.Clip {
		w.adam.Scale = float32(t.opt.Clip / norm)
	}
	for i := t.take(2); i < len(t.pieces); i = t.take(2) {
		q := &t.pieces[i]
		lo, hi := q.l.panel(q.p)
		var ema []float32
		if t.ema != nil {
			ema = t.ema[lo:hi]
		}
		t.opt.Impl.Adam(t.param[lo:hi], t.m[lo:hi], t.v[lo:hi], t.g[lo:hi], ema, &w.adam)
		w.refresh(t, q.l, q.p)
	}
}

func (t *Trainer) take(phase int) int { return int(t.next[phase].Add(1) - 1) }

func finite(x float64) bool { return x-x == 0 }
