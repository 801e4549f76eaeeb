//go:build gpu && cgo

package chains

import (
	"context"
	"errors"
	"fmt"
	"math"
	"unsafe"

	"hbar/cuda/driver"
	"hbar/kernels"
	"hbar/kernels/gpu"
	"hbar/kernels/simd"
)

// Taylor integrates paths, and the WKB expansion along them, over the steps of a table on a device, for networks in one or two
// dimensions: kernels/gpu/taylor.cu. Its Run computes what infer.Engine's Taylor does.
type Taylor struct {
	d       *driver.Device
	net     *net
	module  *driver.Module
	kernels map[string]*driver.Kernel
	blob    *driver.Buffer
}

// NewTaylor packs a network and uploads it. It returns an error for a network that the fused kernels do not take.
func NewTaylor(d *driver.Device, p *kernels.Chain) (*Taylor, error) {
	n, err := newNet(p)
	if err != nil {
		return nil, err
	}
	if n.D > MaxTaylorDim {
		return nil, fmt.Errorf("cuda: Taylor expansion in %d dimensions; the fused kernels take 1 and 2", n.D)
	}
	t := &Taylor{d: d, net: n, kernels: make(map[string]*driver.Kernel)}
	if t.blob, err = driver.NewBuffer(d, n.taylorBlob()); err == nil {
		t.module, err = d.Load(gpu.Taylor)
	}
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// Close frees the network's memory.
func (t *Taylor) Close() error {
	err := t.blob.Free()
	if t.module != nil {
		err = errors.Join(err, t.module.Unload())
		t.module = nil
	}
	return err
}

// MaxTaylorDim is the number of dimensions that the kernels are written for.
const MaxTaylorDim = 2

// taylorBlob is the network in the layout of kernels/gpu/taylor.cu. A one-dimensional network gets a second coordinate, which it ignores.
func (n *net) taylorBlob() []float32 {
	w, d, hidden := int(n.Width), int(n.D), int(n.Hidden)
	blob := make([]float32, 4*w+4+(hidden-1)*w*(1+w))
	first, head, biases, weights := blob, blob[2*w:], blob[4*w+4:], blob[4*w+4+(hidden-1)*w:]
	for i := range d {
		for u := range w {
			first[i*w+u] = n.blob[int(n.W[0])+i*w+unitSlot(u)]
			head[i*w+u] = n.blob[int(n.Head)+u*d+i]
		}
		head[2*w+i] = n.blob[int(n.Head)+w*d+i]
	}
	for l := 1; l < hidden; l++ {
		from := n.blob[n.W[l]:]
		copy(biases[(l-1)*w:l*w], n.blob[n.B[l]:])
		for u := range w {
			for k := range w {
				// lane 4 (u mod 8) + k mod 4 of the fragment of 16 units and 8 inputs, its numbers (u, k) by (u+8, k), then k+4
				lane, number := u%8*4+k%4, u/8%2+k/4%2*2
				weights[(l-1)*w*w+((u/16*(w/8)+k/8)*32+lane)*4+number] = from[k*w+unitSlot(u)]
			}
		}
	}
	return blob
}

// bias64 is bias in float64, for features in float64.
func (n *net) bias64(dst []float64, tau float64) {
	f := []float64{tau}
	if n.time.Freqs != nil {
		h := len(n.time.Freqs)
		f = make([]float64, 2*h)
		for i, freq := range n.time.Freqs {
			turn := float64(freq) * tau
			f[i], f[h+i] = math.Sincos(2 * math.Pi * (turn - math.Round(turn)))
		}
	}
	for u := range dst {
		dst[u] = float64(n.b0[u])
		for j, v := range f {
			dst[u] += float64(n.wt[u*len(f)+j]) * v
		}
	}
}

// taylorKernels are the kernels for each order of the expansion, the best first: samples of a block and tiles of eight
// columns of the slab of activations.
var taylorKernels = []struct {
	name           string
	order          int
	float32        bool
	samples, tiles int
}{
	{"taylor_f64_path_s64", 0, false, 64, 8},
	{"taylor_f64_path_s16", 0, false, 16, 2},
	{"taylor_f64_order1_s8", 1, false, 8, 10},
	{"taylor_f64_order1_s4", 1, false, 4, 5},
	{"taylor_f64_order2_s4", 2, false, 4, 11},
	{"taylor_f64_order2_s1", 2, false, 1, 3},
	{"taylor_f32_order1_s8", 1, true, 8, 10},
	{"taylor_f32_order2_s4", 2, true, 4, 11},
}

// kernel chooses the first kernel that the device has shared memory for.
func (t *Taylor) kernel(table *kernels.TaylorTable) (k *driver.Kernel, samples int, err error) {
	state := kernels.NewTaylorState(2, table.Order)
	numbers, degree := state.Width, state.DegL
	least := 0
	for _, c := range taylorKernels {
		if c.order != table.Order || c.float32 != (table.Float32 && c.order > 0) {
			continue
		}
		element := 8
		if c.float32 {
			element = 4
		}
		doubles := (len(table.A)+5)*c.samples*numbers + 2*c.samples*simd.NJet(2, degree+1) + c.samples + 12
		shared := 8*(doubles+doubles%2) + element*(1+int(t.net.Residual))*int(t.net.Width)*(8*c.tiles+4)
		if least = shared; shared > t.d.SharedPerBlock {
			continue
		}
		key := fmt.Sprint(c.name, " ", shared) // what depends on the number of stages
		if k, ok := t.kernels[key]; ok {
			return k, c.samples, nil
		}
		k, err := t.module.Kernel(c.name, 2*int(t.net.Width), shared)
		if err == nil {
			t.kernels[key] = k
		}
		return k, c.samples, err
	}
	return nil, 0, fmt.Errorf("cuda: %w: order %d and width %d need %s of shared memory a block; %s has %s",
		kernels.ErrNoTaylor, table.Order, t.net.Width, driver.FormatSize(int64(least)), t.d.Name, driver.FormatSize(int64(t.d.SharedPerBlock)))
}

// taylorStageWire has the layout of struct TaylorStage of kernels/gpu/taylor.cu, and taylorMethodWire that of TaylorMethod.
type taylorStageWire struct{ H, Cin, ScoreState, ScoreNet, Drift, HalfDiffusion float64 }

type taylorMethodWire struct {
	Table          uint64
	Stages, Second int32
	Counted        float64
}

// method is the table's method in one array, for states of the kernels' two dimensions.
func (t *Taylor) method(table *kernels.TaylorTable, plane []int) (method []float64, counted float64) {
	s := len(table.A)
	method = make([]float64, s*s+3*s+kernels.NewTaylorState(2, table.Order).Width)
	for i, a := range table.A {
		copy(method[i*s:], a)
	}
	copy(method[s*s:], table.B)
	copy(method[s*s+s:], table.E)
	copy(method[s*s+2*s:], table.E3)
	if table.E != nil {
		for i, w := range table.Weights {
			method[s*s+3*s+plane[i]] = w / table.Tol
			if w != 0 {
				counted++
			}
		}
	}
	return method, max(1, counted)
}

// plane maps the numbers of a state in d dimensions to their positions in a state in two dimensions. A polynomial in x becomes one in x
// and y without y.
func plane(d, order int) []int {
	from, to := kernels.NewTaylorState(d, order), kernels.NewTaylorState(2, order)
	at := make([]int, from.Width)
	for i := range d {
		at[i] = i
	}
	poly := func(from, to, degree int) {
		if degree < 0 {
			return
		}
		for k, alpha := range simd.JetIndex(d, degree) {
			at[from+k] = to + simd.JetPos(append(alpha, make([]int, 2-d)...)...)
		}
	}
	poly(from.LogQ, to.LogQ, from.DegL)
	poly(from.L1, to.L1, from.Deg1)
	for i := range from.Width - from.DivTerm {
		at[from.DivTerm+i] = to.DivTerm + i
	}
	return at
}

const (
	// taylorSteps is the largest number of steps of one launch, taylorMACs the approximate number of its multiply-adds. A launch
	// takes well below a second on an H200. The context is checked between launches.
	taylorSteps = 64
	taylorMACs  = 1e12
	// The number of samples on the device at a time is as large as its memory allows, between these limits.
	minTaylorBatch, maxTaylorBatch = 256, 1 << 20
)

// Run integrates the n states y (n×TaylorState.Width, in place) over a table and writes the largest error norms to est (n, may
// be nil). If the device has too little memory for all samples they run in batches, which does not change the results. progress,
// unless nil, receives how much of the work is done, in samples. The error is kernels.ErrNoTaylor if the device has too
// little shared memory for the network. After an error y and est hold the results of the batches that were finished, and the
// other samples are unchanged.
func (t *Taylor) Run(ctx context.Context, y, est []float64, table *kernels.TaylorTable, progress func(done int)) (err error) {
	state := kernels.NewTaylorState(int(t.net.D), table.Order)
	if err := table.Validate(state.Width); err != nil {
		return err
	}
	n := len(y) / state.Width
	if len(y) != n*state.Width || est != nil && len(est) != n {
		return fmt.Errorf("cuda: Taylor: y has %d elements and est %d; want a multiple of the state's %d, and one a sample", len(y), len(est), state.Width)
	}
	k, samples, err := t.kernel(table)
	if err != nil {
		return err
	}
	if n == 0 || len(table.Steps) == 0 {
		clear(est)
		return nil
	}
	r := taylorRun{Taylor: t, ctx: ctx, table: table, state: state, plane: plane(state.D, table.Order), kernel: k, samples: samples}
	method, counted := t.method(table, r.plane)
	buf, err := driver.NewBuffer(t.d, method)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, buf.Free()) }()
	r.method = taylorMethodWire{Table: buf.Address(), Stages: int32(len(table.A)), Counted: counted}
	if table.E3 != nil {
		r.method.Second = 1
	}
	return inBatches(n, minTaylorBatch, maxTaylorBatch, progress, func(lo, hi int, progress func(int)) error {
		var part []float64
		if est != nil {
			part = est[lo:hi]
		}
		return r.batch(y[lo*state.Width:hi*state.Width], part, progress)
	})
}

// taylorRun is one call of Run.
type taylorRun struct {
	*Taylor
	ctx     context.Context
	table   *kernels.TaylorTable
	state   kernels.TaylorState
	plane   []int
	kernel  *driver.Kernel
	samples int // of a block
	method  taylorMethodWire
}

// batch integrates samples that are on the device at the same time. y and est change only if there is no error.
func (r *taylorRun) batch(y, est []float64, progress func(done int)) (err error) {
	n, w := len(y)/r.state.Width, int(r.net.Width)
	width := kernels.NewTaylorState(2, r.table.Order).Width
	states := make([]float64, n*width)
	for i := range n {
		for c, to := range r.plane {
			states[i*width+to] = y[i*r.state.Width+c]
		}
	}
	var dy, de, db, ds *driver.Buffer
	defer func() { err = errors.Join(err, dy.Free(), de.Free(), db.Free(), ds.Free()) }()
	if dy, err = driver.NewBuffer(r.d, states); err != nil {
		return err
	}
	worst := make([]float64, n)
	if de, err = driver.NewBuffer(r.d, worst); err != nil {
		return err
	}
	stages := len(r.table.A)
	macs := float64(n*stages*simd.NJet(2, r.state.DegL+1)) * float64(w*w*max(1, int(r.net.Hidden)-1))
	chunk := max(1, min(len(r.table.Steps), taylorSteps, int(taylorMACs/macs)))
	if db, err = r.d.Alloc(8 * chunk * stages * w); err != nil {
		return err
	}
	if ds, err = r.d.Alloc(chunk * stages * int(unsafe.Sizeof(taylorStageWire{}))); err != nil {
		return err
	}
	bias := make([]float64, chunk*stages*w)
	for lo := 0; lo < len(r.table.Steps); lo += chunk {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		steps := r.table.Steps[lo:min(len(r.table.Steps), lo+chunk)]
		var wire []taylorStageWire
		for _, s := range steps {
			for _, g := range s.Stages {
				r.net.bias64(bias[len(wire)*w:(len(wire)+1)*w], g.Tau)
				wire = append(wire, taylorStageWire{H: s.H, Cin: g.Cin, ScoreState: g.ScoreState, ScoreNet: g.ScoreNet, Drift: g.Drift, HalfDiffusion: g.HalfDiffusion})
			}
		}
		if err := errors.Join(driver.Upload(db, bias[:len(wire)*w]), driver.Upload(ds, wire)); err != nil {
			return err
		}
		a := driver.Pack(new(driver.Args), r.net.netHeader).Buf(r.blob).Buf(db).Buf(ds).I32(len(steps))
		driver.Pack(a, r.method).Buf(dy).Buf(de).I32(n)
		if err := r.kernel.Launch((n+r.samples-1)/r.samples, a); err != nil {
			return err
		}
		if err := r.d.Synchronize(); err != nil {
			return err
		}
		progress(int(int64(n) * int64(lo+len(steps)) / int64(len(r.table.Steps))))
	}
	if err := errors.Join(driver.Download(states, dy), driver.Download(worst, de)); err != nil {
		return err
	}
	for i := range n {
		for c, at := range r.plane {
			y[i*r.state.Width+c] = states[i*width+at]
		}
	}
	copy(est, worst)
	return nil
}
