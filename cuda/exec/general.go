//go:build gpu && cgo

package exec

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"hbar/cuda/driver"
	"hbar/kernels"
	"hbar/kernels/gpu"
	"hbar/kernels/simd"
)

// General runs any chain of dense layers on a device, layer by layer: each layer is one product over all rows of a batch. It computes
// what infer.Engine computes. Arguments are slices in the host's memory. Samples run in batches that fit in the device's memory;
// every sum has the same order in any batch, so the results do not depend on the batches. The methods may be called
// concurrently; one runs at a time.
//
// In precision F16, Trajectory multiplies the layers behind the first on tensor cores in half precision. All other methods compute
// as in FP32, because half precision has too few digits for a density.
type General struct {
	d         *driver.Device
	p         *kernels.Chain // its parameters are copies
	precision Precision
	mu        sync.Mutex
	closed    bool
	opened    bool
	modules   []*driver.Module
	kernels   map[string]*driver.Kernel
	net32     *layers[float32]
	net64     *layers[float64] // made at the first use
	net16     *halves          // nil: precision FP32, or wide
	wide      *wide            // nil: the network or the device is not for it
	wideFrom  int              // see there; 0: never
	freqs     *driver.Buffer   // of the time feature; nil for the time itself
	slots     []int            // which scratch array holds each buffer of the network, in evaluations without a backward pass
	slotWidth []int
	sumsInput bool // a layer adds buffer 0, so its rows must have the time features and not only the coordinates
	space     workspace
	batch     map[string]int // rows of a batch, for the methods that found too little memory for maxRows
	blas      *driver.BLAS   // nil: there is no cuBLAS, or no layer is wide enough for it
	blasRows  int            // see libraryRows
	blasWidth int
}

// NewGeneral uploads a network. It takes every network that infer.New takes.
func NewGeneral(d *driver.Device, p *kernels.Chain, precision Precision) (*General, error) {
	g, err := PrepareGeneral(d, p, precision)
	if err != nil {
		return nil, err
	}
	if err := g.Open(); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// PrepareGeneral is NewGeneral, but uses no memory of the device before Open or the first call of a method.
func PrepareGeneral(d *driver.Device, p *kernels.Chain, precision Precision) (*General, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if err := precision.OfChains(); err != nil {
		return nil, err
	}
	if precision == F16 {
		if err := takesF16(p); err != nil {
			return nil, err
		}
	}
	q := *p
	q.Params = slices.Clone(p.Params)
	for i := range q.Params {
		q.Params[i].Data = slices.Clone(p.Params[i].Data)
	}
	g := &General{d: d, p: &q, precision: precision, kernels: map[string]*driver.Kernel{}, batch: map[string]int{}, space: workspace{d: d, buffers: map[slot]*driver.Buffer{}},
		blasRows: libraryRows, blasWidth: libraryWidth, wideFrom: wideFrom}
	g.plan()
	for _, ins := range p.Forward {
		g.sumsInput = g.sumsInput || ins.Add == 0
	}
	return g, nil
}

// open makes what is not there yet: it is called again after an error.
func (g *General) open() (err error) {
	if f := g.p.Time.Freqs; f != nil && g.freqs == nil {
		if g.freqs, err = driver.NewBuffer(g.d, f); err != nil {
			return err
		}
	}
	for _, image := range [][]byte{gpu.Dense, gpu.Rows, gpu.Steps, gpu.DenseF16}[len(g.modules):] {
		m, err := g.d.Load(image)
		if err != nil {
			return err
		}
		g.modules = append(g.modules, m)
	}
	if err := g.lookUp(); err != nil {
		return err
	}
	if g.net32 == nil {
		if g.net32, err = newLayers[float32](g); err != nil {
			return err
		}
	}
	switch {
	case g.wide != nil || g.net16 != nil:
	case g.Wide():
		if g.wide, err = newWide(g, map[Precision]int{FP32: 2, F16: 1}[g.precision]); err != nil {
			return err
		}
	case g.precision == F16:
		if g.net16, err = newHalves(g); err != nil {
			return err
		}
	}
	for _, ins := range g.p.Forward {
		if g.blas == nil && ins.Src != 0 && min(g.p.Widths[ins.Src], g.p.Widths[ins.Dst]) >= g.blasWidth {
			if g.blas, err = driver.OpenBLAS(g.d); err != nil {
				return err
			}
		}
	}
	return nil
}

// Open uploads the network, unless a method has done so.
func (g *General) Open() error { return g.do(func() error { return nil }) }

// Chain is the network, with parameters of its own.
func (g *General) Chain() *kernels.Chain { return g.p }

// Lend calls fn while no other method runs, for other executors of the same network on the same device.
func (g *General) Lend(fn func() error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return g.errClosed()
	}
	return fn()
}

// Dim is the number of dimensions D of a sample.
func (g *General) Dim() int { return g.p.D }

// do calls fn while no other method runs.
func (g *General) do(fn func() error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return g.errClosed()
	}
	if !g.opened {
		if err := g.open(); err != nil {
			return err
		}
		g.opened = true
	}
	return fn()
}

func (g *General) errClosed() error { return fmt.Errorf("cuda: the engine of %s is closed", g.d) }

// do64 calls fn with the network in float64.
func (g *General) do64(fn func(n *layers[float64]) error) error {
	return g.do(func() (err error) {
		if g.net64 == nil {
			if g.net64, err = newLayers[float64](g); err != nil {
				return err
			}
		}
		return fn(g.net64)
	})
}

// Close frees the memory on the device. The methods then return errors.
func (g *General) Close() error { return g.CloseAfter(func() error { return nil }) }

// CloseAfter calls fn and closes, unless the engine is closed.
func (g *General) CloseAfter(fn func() error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	return errors.Join(fn(), g.close())
}

func (g *General) close() error {
	g.closed = true
	err := g.space.release()
	err = errors.Join(err, g.freqs.Free(), g.net32.free(), g.net64.free(), g.net16.free(), g.wide.free(), g.blas.Close())
	g.blas = nil
	for _, m := range g.modules {
		err = errors.Join(err, m.Unload())
	}
	g.modules = nil
	return err
}

// plan gives each buffer a scratch array, reusing those of buffers that are no longer read.
func (g *General) plan() {
	last := make([]int, len(g.p.Widths)) // the last instruction that reads a buffer
	for i, ins := range g.p.Forward {
		last[ins.Src] = i
		if ins.Add >= 0 {
			last[ins.Add] = i
		}
	}
	last[g.p.Output] = len(g.p.Forward)
	g.slots = make([]int, len(g.p.Widths))
	var until []int // the last instruction that reads what a scratch array holds
	for i, ins := range g.p.Forward {
		s := slices.IndexFunc(until, func(read int) bool { return read < i })
		if s < 0 {
			s = len(until)
			until, g.slotWidth = append(until, 0), append(g.slotWidth, 0)
		}
		g.slots[ins.Dst], until[s] = s, max(last[ins.Dst], i)
		g.slotWidth[s] = max(g.slotWidth[s], g.p.Widths[ins.Dst])
	}
}

const (
	// maxRows is the number of rows that pass through the network at a time. With so many, every multiprocessor has several
	// tiles of every layer. While the device has too little memory it is halved, down to minRows.
	maxRows = 1 << 17
	minRows = 256
)

// batches calls run for consecutive parts of n samples, with rows rows for each sample. If the device is out of memory, all scratch
// memory is freed and the part is halved, for later calls too. So run must allocate all its memory before it changes anything
// of the caller's.
func (g *General) batches(ctx context.Context, call string, n, rows int, run func(lo, hi int) error) error {
	least := max(1, minRows/rows)
	for lo := 0; lo < n; {
		if err := ctx.Err(); err != nil {
			return err
		}
		size, halved := g.batch[call]
		if !halved {
			size = maxRows
		}
		part := min(max(least, size/rows), n-lo)
		err := run(lo, lo+part)
		var full *driver.Error
		if errors.As(err, &full) && full.OutOfMemory() {
			if err := g.space.release(); err != nil {
				return err
			}
			if part > least {
				g.batch[call] = max(least, part/2) * rows
				continue
			}
			return fmt.Errorf("cuda: %s: no room for a batch of %d samples, %d rows each, of a network of %d buffers with %d columns in all: %w",
				call, part, rows, len(g.p.Widths), sum(g.p.Widths), err)
		}
		if err != nil {
			return err
		}
		lo += part
	}
	return nil
}

func sum(v []int) (s int) {
	for _, x := range v {
		s += x
	}
	return s
}

// samples checks a batch x (n×d) and its times (1 or n), and returns n.
func samples(call string, d, x int, tau []float64) (int, error) {
	if x%d != 0 {
		return 0, fmt.Errorf("cuda: %s: x has %d elements, want a multiple of D = %d", call, x, d)
	}
	n := x / d
	if len(tau) != 1 && len(tau) != n {
		return 0, fmt.Errorf("cuda: %s: %d times for %d samples, want 1 or %d", call, len(tau), n, n)
	}
	for i, t := range tau {
		if math.IsNaN(t) || math.IsInf(t, 0) {
			return 0, fmt.Errorf("cuda: %s: time %d is %g, want a finite number", call, i, t)
		}
	}
	return n, nil
}

// length checks the length of an argument unless it is nil.
func length[T any](call, name string, s []T, want int) error {
	if s != nil && len(s) != want {
		return fmt.Errorf("cuda: %s: %s has %d elements, want %d", call, name, len(s), want)
	}
	return nil
}

// part is s[lo:hi], or nil of nil.
func part[T any](s []T, lo, hi int) []T {
	if s == nil {
		return nil
	}
	return s[lo:hi]
}

// workspace is scratch memory, by its use. It grows and is kept between calls.
type workspace struct {
	d       *driver.Device
	buffers map[slot]*driver.Buffer
}

// slot names scratch memory: its use, and which of several.
type slot struct {
	use string
	i   int
}

// bytes returns the memory of a slot, at least bytes bytes. Its contents are arbitrary.
func (w *workspace) bytes(s slot, bytes int) (*driver.Buffer, error) {
	b := w.buffers[s]
	if b != nil && b.Size() >= bytes {
		return b, nil
	}
	delete(w.buffers, s)
	if err := b.Free(); err != nil {
		return nil, err
	}
	b, err := w.d.Alloc(max(bytes, 16))
	if err != nil {
		return nil, err
	}
	w.buffers[s] = b
	return b, nil
}

func (w *workspace) release() (err error) {
	for _, b := range w.buffers {
		err = errors.Join(err, b.Free())
	}
	clear(w.buffers)
	return err
}

// bytesOfEach is the size of an F.
func bytesOfEach[F simd.Float]() int {
	var z F
	if _, ok := any(z).(float32); ok {
		return 4
	}
	return 8
}
