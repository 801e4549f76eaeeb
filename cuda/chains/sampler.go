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

// Sampler takes samples through step tables on a device, by the fused kernels of kernels/gpu/sampler_*.cu.
// Its Trajectory computes what infer.Engine's does, with the same random numbers.
type Sampler struct {
	d         *driver.Device
	net       *net
	precision exec.Precision
	module    *driver.Module
	kernel    *driver.Kernel
	tile      int     // samples of a tile, which a warp takes, or a warpgroup
	laneOrder bool    // vectors of units have the order of lane_unit of kernels/gpu/sampler_wgmma.cuh
	scale     float32 // of all weights and biases before an activation
	split     *splitScale
	plain     *Sampler // the float32 kernel, for samples that exceed the range of f16; made when it is needed
	blob      *driver.Buffer
	frags     *driver.Buffer
}

// NewSampler packs a network, uploads it and chooses the kernel. It returns an error for a network that the fused kernels do not
// take: more than 32 dimensions, hidden layers wider than 256 units or of unequal widths.
func NewSampler(d *driver.Device, p *kernels.Chain, precision exec.Precision) (*Sampler, error) {
	n, err := newNet(p)
	if err != nil {
		return nil, err
	}
	return newSampler(d, n, precision, tensorCores{halves: true, warpgroups: true})
}

// Plain reports whether the sampler multiplies in plain float32, without tensor cores.
func (s *Sampler) Plain() bool { return s.precision == exec.FP32 && s.split == nil }

// tensorCores says what a sampler may use of them.
type tensorCores struct {
	halves     bool // float32 by pairs of halves
	warpgroups bool // products of warpgroups, on devices that have them
}

// newSampler is NewSampler with a choice of kernels. What the device, or its shared memory, cannot run is not used.
func newSampler(d *driver.Device, n *net, precision exec.Precision, use tensorCores) (*Sampler, error) {
	s := &Sampler{d: d, net: n, precision: precision, scale: 1}
	var err error
	if s.blob, err = driver.NewBuffer(d, n.blob); err == nil {
		switch {
		case precision == exec.F16 && use.warpgroups && s.warpgroupsF16():
			err = s.openF16Warpgroups()
		case precision == exec.F16:
			err = s.openF16()
		case use.halves && use.warpgroups && s.warpgroupsSplit():
			err = s.openSplitWarpgroups()
		case use.halves && s.splits():
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
	s.tile = 16
	if s.module, err = s.d.Load(gpu.SamplerFP32); err != nil {
		return err
	}
	s.kernel, err = s.module.Kernel("sampler_fp32_"+s.suffix(shared), 32*warps, weights+warps*warp)
	return err
}

func (s *Sampler) openF16() (err error) {
	const warps = 8
	w, d, layers := int(s.net.Width), int(s.net.D), int(s.net.Hidden)
	s.tile = 32
	if w == 256 {
		s.tile = 16
	}
	if s.net.Act == int32(simd.SiLU) {
		s.scale = 0.5 // silu(2u) = u + u tanh u
	}
	kt, heads := w/16, (d+7)/8
	words := (layers - 1) * w * w / 2
	fixed := 4 * (heads*(kt*128+8) + (layers-1)*w + d*w)
	warp := 4 * s.tile * d
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
	return s.packF16(fmt.Sprintf("pack_f16_w%d", w), words)
}

// packF16 has a kernel pack the hidden layers after the first in words of two halves.
func (s *Sampler) packF16(name string, words int) (err error) {
	if s.frags, err = s.d.Alloc(max(16, 4*words)); err != nil {
		return err
	}
	if words == 0 { // one hidden layer: nothing to pack
		return nil
	}
	k, err := s.module.Kernel(name, 256, 0)
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

// Trajectory takes the n samples x (n×D, in place) and their memory m (n×D, in place; nil stands for zeros that are not
// returned) through the rows of a step table. If the device has too little memory for all samples they run in batches, which
// does not change the results. progress, unless nil, receives how much of the work is done, in samples.
// After an error x and m hold the results of the batches that were finished, and the other samples are unchanged.
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
	// launchRows is the number of table rows of one launch. The context is checked between launches.
	launchRows = 256
	// The number of samples on the device at a time is as large as its memory allows, between these limits.
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

// batch runs samples that are on the device at the same time. x and m change only if there is no error.
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

// run enqueues the rows for n samples x with memory m on the device. While one launch runs the next one is enqueued.
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
	var pending [2]*driver.Event // of the last two launches: the host prepares one while the device runs the other
	defer func() { err = errors.Join(err, pending[0].Close(), pending[1].Close()) }()
	for i := range pending {
		if pending[i], err = s.d.NewEvent(); err != nil {
			return err
		}
	}
	bias := make([]float32, chunk*w)
	share := func(rows int) int { return int(int64(n) * int64(rows) / int64(len(t.rows))) }
	for lo, k := 0, 0; lo < len(t.rows); lo, k = lo+chunk, k+1 {
		hi := min(len(t.rows), lo+chunk)
		for i, r := range t.rows[lo:hi] {
			b := bias[i*w : (i+1)*w]
			s.net.bias(b, r.Tau, s.scale)
			if s.laneOrder {
				toLaneOrder(b)
			}
		}
		if err := pending[k%2].Wait(); err != nil {
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
		if err := pending[k%2].Record(); err != nil {
			return err
		}
	}
	return nil
}

// Enqueue is Trajectory of samples x and memory m that are on the device, n×D numbers each; m may be nil. It may return before the
// device has finished; work that is enqueued later runs after it. After an error the numbers are arbitrary.
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
	case s.laneOrder:
		a.Buf(s.frags)
	case s.precision == exec.F16:
		a.Buf(s.frags).Buf(s.blob)
	case s.split != nil:
		driver.Pack(a, *s.split).Buf(s.frags).Buf(s.blob)
	default:
		a.I32(len(s.net.blob)).Buf(s.blob)
	}
	a.Buf(bias)
	if s.precision == exec.F16 && !s.laneOrder {
		a.F32(s.scale)
	}
	a.Buf(rows).I32(nrows).Buf(x).Buf(m).I32(n).U64(no.Seed).U32(no.Stream).U64(no.Sample0)
	// Tiles are dealt out to the blocks one by one: few samples keep all multiprocessors busy too.
	return s.kernel.Launch(min((n+s.tile-1)/s.tile, s.d.Multiprocessors), a)
}
