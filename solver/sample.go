package solver

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"time"

	"hbar/kernels"
)

// Integrator is a Model that runs a step table by itself, fused and in float32. Its rows carry its own prediction type.
type Integrator interface {
	Model
	Prediction() Prediction
	// Integrate takes the n states x (n×D) through the rows, in place. m (n×D, in place) is the rows' memory; nil stands
	// for zeros that are not returned. progress, unless nil, is called from time to time with the amount of work that is
	// done, in samples (n at the end); calls may come from any goroutine, one at a time.
	Integrate(ctx context.Context, x, m []float32, rows []kernels.Row, no kernels.Noise, progress func(done int)) error
}

// Options say what to sample. The zero value of everything but N works: the probability-flow ODE in 1000 Euler steps.
type Options struct {
	TableOptions
	N    int    // number of samples
	Seed uint64 // of all random numbers
	// First numbers the first sample: a sample depends on Seed and its number alone, so [0, 2n) is [0, n) and [n, 2n).
	First uint64
	// Chunk is the number of samples in memory at a time; 0 chooses it by D. It does not change the samples.
	Chunk int
	// Record lists times at which to keep the states; each is moved to the nearest time of the grid.
	Record []float64
	// Overlap delivers a chunk, in another goroutine, while the next one is computed: for models that compute elsewhere than
	// on this machine's CPU. It takes memory for two chunks.
	Overlap bool
	// Reference runs the plain loop in float64 on Model.Score even if the model is an Integrator.
	Reference bool
	// Progress, unless nil, is called from time to time with the amount of work that is done, in samples (N at the end). Calls
	// come from any goroutine, one at a time, and must return quickly.
	Progress func(done int)
}

// Chunk is a run of finished samples. Its slices are valid during the call that delivers it.
type Chunk struct {
	Start  int         // position of its first sample in the run, 0 … N−1
	N, D   int         // samples, dimensions
	X      []float64   // n×D at Tmin, or with Denoise the posterior means there
	States [][]float64 // n×D at each of Result.Recorded
}

// Result says what a run did.
type Result struct {
	Samples     int       // delivered
	Evaluations int       // of the network, for each sample
	Recorded    []float64 // the times of the recorded states, in the order of Options.Record
	Table       *Table
	// NonFinite counts samples that are NaN or infinite at Tmin. They are delivered like all others: leaving them out would
	// bias what is computed from the rest. FirstNonFinite is the position of the first, −1 if there is none.
	NonFinite, FirstNonFinite int
}

// Sample draws N samples of the reverse process: x(Tmax) ~ N(0, PriorStd² I), then the table's rows down to Tmin. It
// delivers them in chunks, so memory does not grow with N. The same seed gives the same samples for any Chunk and any
// number of threads. An Integrator runs fused in float32; any other model in a plain float64 loop over the same rows and
// the same normals.
//
// An error from deliver stops the run. On an error, the context's included, the result says what was delivered before it.
func Sample(ctx context.Context, model Model, s Schedule, o Options, deliver func(Chunk) error) (Result, error) {
	r := Result{FirstNonFinite: -1}
	if o.N < 0 || o.Chunk < 0 {
		return r, fmt.Errorf("solver: N = %d, Chunk = %d; neither may be negative", o.N, o.Chunk)
	}
	if uint64(o.N) > 0 && o.First+uint64(o.N)-1 < o.First {
		return r, fmt.Errorf("solver: samples %d and on: %d of them pass 2⁶⁴", o.First, o.N)
	}
	run := run{ctx: ctx, model: model, o: o, d: model.Dim(), prior: s.PriorStd()}
	var p Prediction
	if b := BlocksOf(s); b != nil {
		run.blocks = &blockRun{s: b, denoise: Lift(model, b).Denoise}
	} else if in, ok := model.(Integrator); ok && !o.Reference {
		run.fused, p = in, in.Prediction()
	}
	var err error
	if r.Table, err = NewTableContext(ctx, s, p, o.TableOptions); err != nil {
		return r, err
	}
	r.Evaluations = r.Table.Evaluations()
	if err := run.plan(r.Table, o.Record); err != nil {
		return r, err
	}
	for _, k := range run.steps {
		r.Recorded = append(r.Recorded, r.Table.Times[k])
	}
	size := o.Chunk
	if size == 0 {
		size = defaultChunk(run.d)
	}
	size = min(size, max(o.N, 1))
	run.allocate(size)
	pace := pace{most: size, size: size}
	if o.Chunk == 0 {
		pace.size = min(firstChunk*runtime.GOMAXPROCS(0), size)
	}
	out := delivery{overlap: o.Overlap, deliver: func(c Chunk) error { return r.deliver(c, deliver) }}
	for start := 0; start < o.N; {
		began := time.Now()
		c, err := run.chunk(start, min(pace.size, o.N-start))
		if delivered := out.wait(); delivered != nil { // the chunk before
			err = delivered
		}
		if err != nil {
			return r, err
		}
		if err := out.start(c); err != nil {
			return r, err
		}
		if o.Overlap {
			run.swapBuffers()
		}
		start += c.N
		if o.Chunk == 0 {
			pace.took(time.Since(began))
		}
	}
	err = out.wait()
	return r, err
}

// deliver counts the samples of a chunk and passes it to the caller's function.
func (r *Result) deliver(c Chunk, deliver func(Chunk) error) error {
	for i := range c.N {
		if !finiteRowOf(c.X[i*c.D : (i+1)*c.D]) {
			if r.NonFinite == 0 {
				r.FirstNonFinite = c.Start + i
			}
			r.NonFinite++
		}
	}
	if err := deliver(c); err != nil {
		return err
	}
	r.Samples += c.N
	return nil
}

func finiteRowOf(x []float64) bool {
	for _, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}

// run is the work of one Sample call.
type run struct {
	ctx   context.Context
	model Model
	fused Integrator // nil: the reference loop
	// blocks, unless nil, runs a schedule of matrices: x and the states are then the coordinates of the data
	blocks *blockRun
	o      Options
	d      int
	prior  float64

	table    *Table
	rows     int      // of the whole table
	segments [][2]int // the rows from and up to each stop, and on to Tmin
	stops    [][]int  // which records are taken before each segment
	steps    []int    // the step of each record

	z, x32, m32 []float32
	x, m        []float64
	states      [][]float64
	// with Options.Overlap, the memory of the chunk that is being delivered
	otherX      []float64
	otherStates [][]float64
}

// swapBuffers exchanges the memory of the chunk that is being delivered and that of the next one.
func (r *run) swapBuffers() {
	if r.otherX == nil {
		r.otherX = make([]float64, len(r.x))
		for _, s := range r.states {
			r.otherStates = append(r.otherStates, make([]float64, len(s)))
		}
	}
	r.x, r.otherX = r.otherX, r.x
	r.states, r.otherStates = r.otherStates, r.states
}

// plan cuts the table where states are recorded.
func (r *run) plan(table *Table, record []float64) error {
	r.table, r.rows = table, table.Evaluations()
	last := len(table.Times) - 1
	for _, t := range record {
		if !(t >= table.Times[last] && t <= table.Times[0]) {
			return fmt.Errorf("solver: cannot record at t = %v; the run goes from %v to %v", t, table.Times[0], table.Times[last])
		}
		best := 0
		for k, tk := range table.Times {
			if math.Abs(tk-t) < math.Abs(table.Times[best]-t) {
				best = k
			}
		}
		r.steps = append(r.steps, best)
	}
	from := 0
	for k := 0; k <= last; k++ {
		var here []int
		for i, step := range r.steps {
			if step == k {
				here = append(here, i)
			}
		}
		if here == nil && k > 0 && k < last {
			continue
		}
		if k > 0 {
			r.segments = append(r.segments, [2]int{from * table.Stride, k * table.Stride})
			from = k
		}
		r.stops = append(r.stops, here)
	}
	if done := last * table.Stride; done < r.rows { // the denoising step; states are recorded before it
		r.segments, r.stops = append(r.segments, [2]int{done, r.rows}), append(r.stops, nil)
	}
	return nil
}

func (r *run) allocate(size int) {
	n := size * r.d
	r.z, r.x = make([]float32, n), make([]float64, n)
	switch {
	case r.blocks != nil:
		r.blocks.allocate(size, r.d)
	case r.fused != nil:
		r.x32 = make([]float32, n)
		if kernels.UsesMemory(r.table.Rows) {
			r.m32 = make([]float32, n)
		}
	default:
		r.m = make([]float64, n)
	}
	r.states = make([][]float64, len(r.steps))
	for i := range r.states {
		r.states[i] = make([]float64, n)
	}
}

// chunk runs samples start … start+n−1 of the run.
func (r *run) chunk(start, n int) (Chunk, error) {
	e := n * r.d
	c := Chunk{Start: start, N: n, D: r.d, X: r.x[:e]}
	sample0 := r.o.First + uint64(start)
	if r.blocks != nil {
		r.blocks.begin(r.x[:e], n, kernels.Noise{Seed: r.o.Seed, Stream: kernels.StreamPrior, Sample0: sample0})
	} else {
		kernels.Normals(r.z, kernels.Noise{Seed: r.o.Seed, Stream: kernels.StreamPrior, Sample0: sample0}, 0, n, r.d)
		for i, z := range r.z[:e] {
			r.x[i] = r.prior * float64(z)
		}
	}
	if r.fused != nil {
		for i, v := range r.x[:e] {
			r.x32[i] = float32(v)
		}
		clear(r.m32)
	} else {
		clear(r.m)
	}
	no := kernels.Noise{Seed: r.o.Seed, Stream: kernels.StreamNoise, Sample0: sample0}
	r.record(0, e)
	before := 0
	for i, rows := range r.segments {
		count := rows[1] - rows[0]
		if err := r.integrate(n, rows[0], rows[1], no, r.progress(start, n, before, count)); err != nil {
			return c, err
		}
		before += count
		r.record(i+1, e)
	}
	for _, s := range r.states {
		c.States = append(c.States, s[:e])
	}
	return c, nil
}

func (r *run) record(stop, e int) {
	for _, i := range r.stops[stop] {
		copy(r.states[i], r.x[:e])
	}
}

// progress translates the progress of a segment of a chunk, in the chunk's samples, to that of the run.
func (r *run) progress(start, n, before, rows int) func(done int) {
	if r.o.Progress == nil {
		return nil
	}
	return func(done int) { r.o.Progress(start + (before*n+done*rows)/r.rows) }
}

// integrate runs the rows from lo to hi on the first n states.
func (r *run) integrate(n, lo, hi int, no kernels.Noise, progress func(done int)) error {
	e := n * r.d
	if r.blocks != nil {
		return r.blocks.integrate(r.ctx, r.x[:e], n, r.table.Propagators[lo:hi], no, progress)
	}
	rows := r.table.Rows[lo:hi]
	if r.fused == nil {
		return Integrate64(r.ctx, r.model, r.x[:e], r.m[:e], rows, no, progress)
	}
	var m []float32
	if r.m32 != nil {
		m = r.m32[:e]
	}
	if err := r.fused.Integrate(r.ctx, r.x32[:e], m, rows, no, progress); err != nil {
		return err
	}
	for i, v := range r.x32[:e] {
		r.x[i] = float64(v)
	}
	return nil
}

// Integrate64 is the plain loop in float64 that every Integrator is measured against: x and m (n×D) go through the rows
// of a table made for the score (Prediction{}), with the normals of no. m and progress are as in Integrator.
func Integrate64(ctx context.Context, model Model, x, m []float64, rows []kernels.Row, no kernels.Noise, progress func(done int)) error {
	d := model.Dim()
	n := len(x) / d
	if len(x) != n*d || m != nil && len(m) != len(x) {
		return fmt.Errorf("solver: x has %d elements and m %d; need equal multiples of D = %d", len(x), len(m), d)
	}
	if m == nil {
		m = make([]float64, len(x))
	}
	score := func(dst, t []float64) error { return model.Score(ctx, dst, x, t) }
	if m, ok := model.(*Network); ok {
		score = func(dst, t []float64) error { return m.ScoreFrom(ctx, dst, x, t, no.Sample0) }
	}
	s, z := make([]float64, len(x)), make([]float32, len(x))
	for k, r := range rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		if r.Cin != 1 {
			return fmt.Errorf("solver: the row at %v scales the network's input by %v: it was made for a prediction type, not for the score", r.Tau, r.Cin)
		}
		if err := score(s, []float64{r.Tau}); err != nil {
			return err
		}
		if r.Noise != 0 || r.KeepNoise != 0 {
			kernels.Normals(z, no, r.Step, n, d)
		} else {
			clear(z)
		}
		for i := range x {
			xi, mi, zi := x[i], m[i], float64(z[i])
			x[i] = r.State*xi + r.Net*s[i] + r.Memory*mi + r.Noise*zi
			m[i] = r.KeepState*xi + r.KeepNet*s[i] + r.KeepNoise*zi + r.KeepMemory*mi
		}
		if progress != nil {
			progress(n * (k + 1) / len(rows))
		}
	}
	return nil
}
