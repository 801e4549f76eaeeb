//go:build gpu && cgo

package chains

import (
	"context"
	"errors"
	"fmt"
	"unsafe"

	"hbar/cuda/driver"
	"hbar/cuda/exec"
	"hbar/kernels"
	"hbar/kernels/gpu"
	"hbar/kernels/simd"
)

// Sampler carries samples through step tables on a device: the fused kernels of kernels/gpu/sampler_*.cu.
// Its Trajectory computes what infer.Engine's does, with the same random numbers.
type Sampler struct {
	d         *driver.Device
	net       *net
	precision exec.Precision
	module    *driver.Module
	kernel    *driver.Kernel
	warpTile  int     // samples of a warp
	scale     float32 // of all weights and biases before an activation
	split     *splitScale
	plain     *Sampler // instead of a split one, for samples that pass its range; made when there is one
	blob      *driver.Buffer
	frags     *driver.Buffer
}

// NewSampler packs a program, uploads it and chooses the kernel. It fails, saying why, for a program that the fused
// kernels do not take: more than 32 dimensions, hidden layers wider than 256 units, unequal hidden layers.
func NewSampler(d *driver.Device, p *kernels.Chain, precision exec.Precision) (*Sampler, error) {
	n, err := newNet(p)
	if err != nil {
		return nil, err
	}
	return newSampler(d, n, precision, true)
}

// newSampler is NewSampler; split allows products on tensor cores in float32, where their range and shared memory do.
func newSampler(d *driver.Device, n *net, precision exec.Precision, split bool) (*Sampler, error) {
	s := &Sampler{d: d, net: n, precision: precision, scale: 1}
	var err error
	if s.blob, err = driver.NewBuffer(d, n.blob); err == nil {
		switch {
		case precision == exec.F16:
			err = s.openF16()
		case split && s.splits():
			err = s.openSplit()
		default:
			err = s.openFP32()
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// suffix names a kernel's limits: where the weights lie, and how many dimensions it takes.
func (s *Sampler) suffix(shared bool) string {
	switch {
	case !shared:
		return "stream"
	case s.net.D <= 2:
		return "shared_d2"
	}
	return "shared_d32"
}

func (s *Sampler) openFP32() (err error) {
	const slab = 20
	slabs := 1
	if s.net.Width > 128 {
		slabs = 2
	}
	warp := 4 * slab * (slabs*int(s.net.Width) + int(s.net.D))
	weights := 4 * len(s.net.blob)
	shared := weights+4*warp <= s.d.SharedPerBlock // with fewer than 4 warps, L2 serves better
	if !shared {
		weights = 0
	}
	warps := min(8, (s.d.SharedPerBlock-weights)/warp)
	s.warpTile = 16
	if s.module, err = s.d.Load(gpu.SamplerFP32); err != nil {
		return err
	}
	s.kernel, err = s.module.Kernel("sampler_fp32_"+s.suffix(shared), 32*warps, weights+warps*warp)
	return err
}

func (s *Sampler) openF16() (err error) {
	const warps = 8
	w, d, layers := int(s.net.Width), int(s.net.D), int(s.net.Hidden)
	s.warpTile = 32
	if w == 256 {
		s.warpTile = 16
	}
	if s.net.Act == int32(simd.SiLU) {
		s.scale = 0.5 // silu(2u) = u + u tanh u
	}
	kt, heads := w/16, (d+7)/8
	words := (layers - 1) * kt * kt * 128
	fixed := 4 * (heads*(kt*128+8) + (layers-1)*w + d*w)
	warp := 4 * s.warpTile * d
	shared := w <= 128 && fixed+4*words+warps*warp <= s.d.SharedPerBlock
	if shared {
		fixed += 4 * words
	}
	if s.module, err = s.d.Load(gpu.SamplerF16); err != nil {
		return err
	}
	if s.kernel, err = s.module.Kernel(fmt.Sprintf("sampler_f16_w%d_%s", w, s.suffix(shared)), 32*warps, fixed+warps*warp); err != nil {
		return err
	}
	if s.frags, err = s.d.Alloc(max(16, 4*words)); err != nil {
		return err
	}
	if words == 0 { // one hidden layer: nothing to pack
		return nil
	}
	k, err := s.module.Kernel(fmt.Sprintf("pack_f16_w%d", w), 256, 0)
	if err != nil {
		return err
	}
	return k.Launch((words+255)/256, driver.Pack(new(driver.Args), s.net.netHeader).Buf(s.blob).Buf(s.frags).F32(s.scale))
}

// Close frees the sampler's memory.
func (s *Sampler) Close() error {
	err := errors.Join(s.blob.Free(), s.frags.Free())
	if s.plain != nil {
		err = errors.Join(err, s.plain.Close())
		s.plain = nil
	}
	if s.module != nil {
		err = errors.Join(err, s.module.Unload())
		s.module = nil
	}
	return err
}

// Trajectory carries the n samples x (n×D, in place) and their memory m (n×D, in place; nil stands for zeros that are not
// returned) through the rows of a step table. When the device has no room for all samples they go in batches; the
// numbers do not depend on it. progress, unless nil, is told how much of the work is done, in samples.
// On an error the batches that were finished are in x and m, the others as they were.
func (s *Sampler) Trajectory(ctx context.Context, x, m []float32, rows []kernels.Row, no kernels.Noise, progress func(done int)) error {
	d := int(s.net.D)
	if len(x)%d != 0 {
		return fmt.Errorf("cuda: x has %d elements; want a multiple of D = %d", len(x), d)
	}
	if m != nil && len(m) != len(x) {
		return fmt.Errorf("cuda: m has %d elements; want %d, as x", len(m), len(x))
	}
	wire, err := exec.WireRows(rows)
	if err != nil || len(rows) == 0 {
		return err
	}
	t := trajectory{s: s, ctx: ctx, rows: rows, wire: wire, memory: kernels.UsesMemory(rows)}
	return inBatches(len(x)/d, minBatch, maxBatch, progress, func(lo, hi int, progress func(int)) error {
		part := no
		part.Sample0 += uint64(lo)
		var mem []float32
		if m != nil {
			mem = m[lo*d : hi*d]
		}
		return t.inRange(x[lo*d:hi*d], mem, part, progress)
	})
}

const (
	// launchRows is the number of table rows of one launch: between launches the context is looked at.
	launchRows = 256
	// The samples on the device at a time: as many as it has room for between these.
	minBatch, maxBatch = 1024, 1 << 24
)

// trajectory is one call of Trajectory.
type trajectory struct {
	s      *Sampler
	ctx    context.Context
	rows   []kernels.Row
	wire   []exec.RowWire
	memory bool // the rows use it
}

// batch carries samples that are on the device all at once. x and m change only when all went well.
func (t *trajectory) batch(x, m []float32, no kernels.Noise, progress func(done int)) (err error) {
	s, n := t.s, len(x)/int(t.s.net.D)
	var dx, dm *driver.Buffer
	defer func() { err = errors.Join(err, dx.Free(), dm.Free()) }()
	if dx, err = driver.NewBuffer(s.d, x); err != nil {
		return err
	}
	if t.memory {
		start := m
		if m == nil {
			start = make([]float32, len(x))
		}
		if dm, err = driver.NewBuffer(s.d, start); err != nil {
			return err
		}
	}
	if err := t.run(dx, dm, n, no, progress); err != nil {
		return err
	}
	if m != nil && dm != nil {
		if err := driver.Download(m, dm); err != nil {
			return err
		}
	}
	if err := driver.Download(x, dx); err != nil {
		return err
	}
	progress(n)
	return nil
}

// run enqueues the rows for n samples x with memory m on the device, a launch ahead of what it has heard to be done.
func (t *trajectory) run(x, m *driver.Buffer, n int, no kernels.Noise, progress func(done int)) (err error) {
	s, w := t.s, int(t.s.net.Width)
	var db, dr *driver.Buffer
	defer func() { err = errors.Join(err, db.Free(), dr.Free()) }()
	chunk := min(launchRows, len(t.rows))
	if db, err = s.d.Alloc(4 * chunk * w); err != nil {
		return err
	}
	if dr, err = s.d.Alloc(chunk * int(unsafe.Sizeof(exec.RowWire{}))); err != nil {
		return err
	}
	var flying [2]*driver.Event // of the last launches: the host prepares one while the device is at another
	defer func() { err = errors.Join(err, flying[0].Close(), flying[1].Close()) }()
	for i := range flying {
		if flying[i], err = s.d.NewEvent(); err != nil {
			return err
		}
	}
	bias := make([]float32, chunk*w)
	share := func(rows int) int { return int(int64(n) * int64(rows) / int64(len(t.rows))) }
	for lo, k := 0, 0; lo < len(t.rows); lo, k = lo+chunk, k+1 {
		hi := min(len(t.rows), lo+chunk)
		for i, r := range t.rows[lo:hi] {
			s.net.bias(bias[i*w:(i+1)*w], r.T, s.scale)
		}
		if err := flying[k%2].Wait(); err != nil {
			return err
		}
		if k > 1 {
			progress(share(lo - chunk))
		}
		if err := t.ctx.Err(); err != nil {
			return err
		}
		if err := driver.Upload(db, bias[:(hi-lo)*w]); err != nil {
			return err
		}
		if err := driver.Upload(dr, t.wire[lo:hi]); err != nil {
			return err
		}
		if err := s.launch(db, dr, hi-lo, x, m, n, no); err != nil {
			return err
		}
		if err := flying[k%2].Record(); err != nil {
			return err
		}
	}
	return nil
}

// Enqueue is Trajectory of samples x and memory m that are on the device, n×D numbers each; m may be nil. It may return before the
// device is done, in order with what is enqueued next; after an error the numbers are arbitrary.
func (s *Sampler) Enqueue(ctx context.Context, x, m *driver.Buffer, rows []kernels.Row, no kernels.Noise) (err error) {
	wire, err := exec.WireRows(rows)
	if err != nil || len(rows) == 0 {
		return err
	}
	t := trajectory{s: s, ctx: ctx, rows: rows, wire: wire, memory: kernels.UsesMemory(rows)}
	switch {
	case t.memory && m == nil:
		if m, err = s.d.Alloc(x.Size()); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, m.Free()) }()
		if err := m.Zero(); err != nil {
			return err
		}
	case !t.memory:
		m = nil
	}
	return t.run(x, m, x.Size()/(4*int(s.net.D)), no, func(int) {})
}

// launch enqueues rows of the table for n samples.
func (s *Sampler) launch(bias, rows *driver.Buffer, nrows int, x, m *driver.Buffer, n int, no kernels.Noise) error {
	a := driver.Pack(new(driver.Args), s.net.netHeader)
	switch {
	case s.precision == exec.F16:
		a.Buf(s.frags).Buf(s.blob)
	case s.split != nil:
		driver.Pack(a, *s.split).Buf(s.frags).Buf(s.blob)
	default:
		a.I32(len(s.net.blob)).Buf(s.blob)
	}
	a.Buf(bias)
	if s.precision == exec.F16 {
		a.F32(s.scale)
	}
	a.Buf(rows).I32(nrows).Buf(x).Buf(m).I32(n).U64(no.Seed).U32(no.Stream).U64(no.Sample0)
	perBlock := s.warpTile * s.kernel.Block() / 32
	return s.kernel.Launch(min((n+perBlock-1)/perBlock, s.d.Multiprocessors), a)
}
