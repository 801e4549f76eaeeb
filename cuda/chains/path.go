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

// Path weighs paths on a device: kernels/gpu/path_split.cu on tensor cores for hidden layers of up to 128 units,
// kernels/gpu/path_fp32.cu for others. Its Weights computes what infer.Engine's PathWeights does, with the same random
// numbers and as accurately.
type Path struct {
	*chain
	p     *kernels.Chain
	split *split // nil: path_fp32
	plain *Path  // instead of a split one, for paths that pass its range; made when there is one
}

// NewPath packs a program and uploads it. It fails, saying why, for a program that the fused kernels do not take; see
// NewFlow.
func NewPath(d *driver.Device, p *kernels.Chain) (*Path, error) {
	halves, err := inHalves(d, p)
	if err != nil {
		return nil, err
	}
	return newPath(d, p, halves)
}

func newPath(d *driver.Device, p *kernels.Chain, halves bool) (q *Path, err error) {
	q = &Path{p: p}
	if halves {
		q.chain, q.split, err = newSplit(d, p, gpu.PathSplit, "path_split")
	} else {
		q.chain, err = newChain(d, p, gpu.PathFP32, "path_fp32")
	}
	if err != nil {
		return nil, err
	}
	return q, nil
}

// Close frees the network's memory.
func (p *Path) Close() error {
	err := errors.Join(p.split.close(), p.chain.close())
	if p.plain != nil {
		err = errors.Join(err, p.plain.Close())
		p.plain = nil
	}
	return err
}

// pathRowWire mirrors struct PathRow of kernels/gpu/path.cuh.
type pathRowWire struct {
	Cin, A, B, C             float32
	E, F, InvC, InvC2, LogC  float64
	Step                     uint32
	Weigh, Propose, Reserved int32
}

// The paths on the device at a time: as many as it has room for between these.
const minPathBatch, maxPathBatch = 1024, 1 << 22

// Weights proposes a path from each row x_0 of x (n×D, overwritten with the end states) and adds its log weight to logw
// (n), as infer.Engine.PathWeights does. When the device has no room for all paths they go in batches; the numbers do not
// depend on it. progress, unless nil, is told how much of the work is done, in paths. On an error the batches that were
// finished are in x and logw, the others as they were.
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
		r.wire = append(r.wire, pathRowWire{Cin: float32(rows[k].Cin), A: s.CA, B: s.CB, C: s.CC,
			E: s.E, F: s.F, InvC: s.InvC, InvC2: s.InvC2, LogC: s.LogC, Step: s.Step, Weigh: s.Weigh, Propose: s.Propose})
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

// inRange is batch, but paths whose weights products in halves do not bring back finite, because an activation passes their
// range, are those of the plain kernel.
func (r *pathRun) inRange(x []float32, logw []float64, no kernels.Noise, progress func(done int)) error {
	if r.split == nil {
		return r.batch(x, logw, no, progress)
	}
	d, x0, logw0 := int(r.net.D), slices.Clone(x), slices.Clone(logw)
	if err := r.batch(x, logw, no, progress); err != nil {
		return err
	}
	for lo := 0; lo < len(logw); lo += minPathBatch { // random numbers are those of neighbours: all of a block
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
		if r.plain, err = newPath(r.d, r.p, false); err != nil {
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

// batch carries paths that are on the device all at once. x and logw change only when all went well.
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
			r.net.bias(bias[i*w:(i+1)*w], row.T, 1)
		}
		if err := errors.Join(driver.Upload(dr, r.wire[lo:hi]), driver.Upload(db, bias[:(hi-lo)*w])); err != nil {
			return err
		}
		var a *driver.Args
		tile := chainRows
		if r.split != nil {
			a, tile = driver.Pack(new(driver.Args), r.split.header).I32(r.held).Buf(r.blob).Buf(r.split.words), splitTile*splitTiles
		} else {
			a = driver.Pack(new(driver.Args), r.net.netHeader).Buf(r.blob)
		}
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
