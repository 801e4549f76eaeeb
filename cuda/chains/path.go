//go:build gpu && cgo

package chains

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"hbar/cuda/driver"
	"hbar/cuda/exec"
	"hbar/kernels"
	"hbar/kernels/gpu"
)

// Path weighs paths on a device: kernels/gpu/path_split_wgmma.cu or path_split.cu on tensor cores for hidden layers of up to 128 units,
// kernels/gpu/path_fp32.cu for others. Its Weights computes what infer.Engine's PathWeights does, with the same random
// numbers and the same accuracy.
type Path struct {
	*chain
	p      *kernels.Chain
	split  *split   // of path_split
	groups *Sampler // of path_split_wgmma, which takes the parameters as the sampler has them; if both are nil: path_fp32
	plain  *Path    // the float32 kernel, for paths that exceed the range of f16; made when it is needed
}

// NewPath packs a network and uploads it. It returns an error for a network that the fused kernels do not take; see NewFlow.
func NewPath(d *driver.Device, p *kernels.Chain) (*Path, error) {
	halves, err := inHalves(d, p)
	if err != nil {
		return nil, err
	}
	return newPath(d, p, tensorCores{halves: halves, warpgroups: true})
}

// newPath is NewPath with a choice of kernels.
func newPath(d *driver.Device, p *kernels.Chain, use tensorCores) (q *Path, err error) {
	q = &Path{p: p}
	if use.halves && use.warpgroups {
		if q.groups, err = warpgroupParameters(d, p, (*Sampler).pathBlock); err != nil {
			return nil, err
		}
	}
	if q.groups != nil {
		if err := q.openWarpgroups(); err != nil {
			return nil, errors.Join(err, q.Close())
		}
		return q, nil
	}
	if use.halves {
		q.chain, q.split, err = newSplit(d, p, gpu.PathSplit, "path_split")
	} else {
		q.chain, err = newChain(d, p, gpu.PathFP32, "path_fp32")
	}
	if err != nil {
		return nil, err
	}
	return q, nil
}

// openWarpgroups chooses the kernel on warpgroup products.
func (p *Path) openWarpgroups() (err error) {
	p.chain = &chain{d: p.groups.d, net: p.groups.net}
	if p.module, err = p.d.Load(gpu.PathSplitWarpgroups); err != nil {
		return err
	}
	threads, shared := p.groups.pathBlock()
	p.kernel, err = p.module.Kernel(fmt.Sprintf("path_split_wgmma_w%d_%s%s", p.net.Width, p.groups.activation(), p.groups.residual()), threads, shared)
	return err
}

// pathBlock is the shape of a block of path_split_wgmma.cu: threads, and bytes of shared memory with the coordinates of each warp's 16 paths.
func (s *Sampler) pathBlock() (threads, shared int) {
	threads, shared, _ = s.warpgroupBlock(2)
	return threads, shared + threads/32*16*4*int(s.net.D)
}

// Close frees the network's memory.
func (p *Path) Close() error {
	err := errors.Join(p.split.close(), p.chain.close())
	if p.groups != nil {
		err = errors.Join(err, p.groups.Close())
	}
	if p.plain != nil {
		err = errors.Join(err, p.plain.Close())
		p.plain = nil
	}
	return err
}

// pathRowWire has the layout of struct PathRow of kernels/gpu/path.cuh.
type pathRowWire struct {
	Cin, A, B, C             float32
	E, F, InvC, InvC2, LogC  float64
	Step                     uint32
	Weigh, Propose, Reserved int32
}

// The number of paths on the device at a time is as large as its memory allows, between these limits.
const minPathBatch, maxPathBatch = 1024, 1 << 22

// Weights proposes a path from each row x_0 of x (n×D, overwritten with the end states) and adds its log weight to logw
// (n), as infer.Engine.PathWeights does. If the device has too little memory for all paths they run in batches, which does
// not change the results. progress, unless nil, receives how much of the work is done, in paths. After an error x and logw hold the
// results of the batches that were finished, and the other samples are unchanged.
func (p *Path) Weights(ctx context.Context, x []float32, logw []float64, rows []kernels.PathRow, no kernels.Noise, progress func(done int)) error {
	d := int(p.net.D)
	n := len(logw)
	switch {
	case len(x) != n*d:
		return fmt.Errorf("cuda: PathWeights: %d coordinates for the weights of %d paths; want n·D = %d", len(x), n, n*d)
	case len(rows) < 2:
		return fmt.Errorf("cuda: PathWeights: a path of %d states; want at least 2", len(rows))
	}
	steps, err := exec.WirePath(rows, d)
	if err != nil {
		return err
	}
	r := pathRun{Path: p, ctx: ctx, rows: rows}
	for k, s := range steps {
		r.wire = append(r.wire, pathRowWire{Cin: float32(rows[k].Cin), A: s.State32, B: s.Net32, C: s.Noise32,
			E: s.ReverseState, F: s.ReverseNet, InvC: s.InvNoise, InvC2: s.ReversePrecision, LogC: s.LogNorm, Step: s.Step, Weigh: s.Weigh, Propose: s.Propose})
	}
	return inBatches(n, minPathBatch, maxPathBatch, progress, func(lo, hi int, progress func(int)) error {
		part := no
		part.Sample0 += uint64(lo)
		return r.inRange(x[lo*d:hi*d], logw[lo:hi], part, progress)
	})
}

// pathRun is one call of Weights.
type pathRun struct {
	*Path
	ctx  context.Context
	rows []kernels.PathRow
	wire []pathRowWire
}

// inRange is batch, with one correction: paths whose weights are not finite, because an activation exceeded the range of f16, are
// computed again by the plain kernel.
func (r *pathRun) inRange(x []float32, logw []float64, no kernels.Noise, progress func(done int)) error {
	if r.split == nil && r.groups == nil {
		return r.batch(x, logw, no, progress)
	}
	d, x0, logw0 := int(r.net.D), slices.Clone(x), slices.Clone(logw)
	if err := r.batch(x, logw, no, progress); err != nil {
		return err
	}
	for lo := 0; lo < len(logw); lo += minPathBatch { // random numbers follow from the first sample of a call: whole blocks are repeated
		hi := min(len(logw), lo+minPathBatch)
		if finite64(logw[lo:hi]...) {
			continue
		}
		if err := r.repeat(x[lo*d:hi*d], x0[lo*d:hi*d], logw[lo:hi], logw0[lo:hi], no, lo); err != nil {
			copy(x, x0)
			copy(logw, logw0)
			return err
		}
	}
	return nil
}

// repeat computes the paths of a block that are not finite by the plain kernel.
func (r *pathRun) repeat(x, x0 []float32, logw, logw0 []float64, no kernels.Noise, at int) (err error) {
	if r.plain == nil {
		if r.plain, err = newPath(r.d, r.p, tensorCores{}); err != nil {
			return err
		}
	}
	d, xs, ws := int(r.net.D), slices.Clone(x0), slices.Clone(logw0)
	no.Sample0 += uint64(at)
	if err := r.plain.Weights(r.ctx, xs, ws, r.rows, no, nil); err != nil {
		return err
	}
	for i, w := range logw {
		if !finite64(w) {
			logw[i] = ws[i]
			copy(x[i*d:(i+1)*d], xs[i*d:])
		}
	}
	return nil
}

// parameters packs what a kernel needs of the network; tile is the number of paths that a warp, team or warpgroup takes.
func (p *Path) parameters() (a *driver.Args, tile int) {
	a = new(driver.Args)
	switch {
	case p.groups != nil:
		return driver.Pack(a, p.net.netHeader).Buf(p.groups.frags), warpgroupTile
	case p.split != nil:
		return driver.Pack(a, p.split.header).I32(p.sharedWords).Buf(p.blob).Buf(p.split.words), splitTile * splitTiles
	}
	return driver.Pack(a, p.net.netHeader).Buf(p.blob), chainRows
}

// batch runs paths that are on the device at the same time. x and logw change only if there is no error.
func (r *pathRun) batch(x []float32, logw []float64, no kernels.Noise, progress func(done int)) (err error) {
	n, w := len(logw), int(r.net.Width)
	chunk := max(1, min(len(r.rows), launchRows, int(launchMACs/(float64(n)*r.macs()))))
	var dx, dp, dz, dw, dr, db *driver.Buffer
	defer func() { err = errors.Join(err, free(dx, dp, dz, dw, dr, db)) }()
	if dx, err = driver.NewBuffer(r.d, x); err != nil {
		return err
	}
	if dp, err = r.d.Alloc(4 * len(x)); err != nil {
		return err
	}
	if dw, err = driver.NewBuffer(r.d, logw); err != nil {
		return err
	}
	if dz, err = driver.NewBuffer(r.d, make([]float64, n)); err != nil {
		return err
	}
	if dr, err = r.d.Alloc(chunk * int(unsafe.Sizeof(pathRowWire{}))); err != nil {
		return err
	}
	if db, err = r.d.Alloc(4 * chunk * w); err != nil {
		return err
	}
	bias := make([]float32, chunk*w)
	for lo := 0; lo < len(r.rows); lo += chunk {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		hi := min(len(r.rows), lo+chunk)
		for i, row := range r.rows[lo:hi] {
			b := bias[i*w : (i+1)*w]
			r.net.bias(b, row.Tau, 1)
			if r.groups != nil {
				toLaneOrder(b)
			}
		}
		if err := errors.Join(driver.Upload(dr, r.wire[lo:hi]), driver.Upload(db, bias[:(hi-lo)*w])); err != nil {
			return err
		}
		a, tile := r.parameters()
		a.Buf(db).Buf(dr).I32(hi - lo).Buf(dx).Buf(dp).Buf(dz).Buf(dw).I32(n).U64(no.Seed).U32(no.Stream).U64(no.Sample0)
		if err := r.kernel.Launch(min((n+tile-1)/tile, r.d.Multiprocessors), a); err != nil {
			return err
		}
		if err := r.d.Synchronize(); err != nil {
			return err
		}
		progress(int(int64(n) * int64(hi) / int64(len(r.rows))))
	}
	return errors.Join(driver.Download(x, dx), driver.Download(logw, dw))
}
