//go:build gpu && cgo

package chains

import (
	"context"
	"errors"
	"math"
	"slices"

	"hbar/cuda/driver"
	"hbar/kernels"
	"hbar/kernels/gpu"
)

// Flow integrates the probability flow and its divergence on a device: kernels/gpu/flow_split.cu on tensor cores for
// hidden layers of up to 128 units, kernels/gpu/flow_fp32.cu for others. Its Run computes what infer.Engine's Flow does,
// as accurately.
type Flow struct {
	*chain
	p     *kernels.Chain
	split *split // nil: flow_fp32
	plain *Flow  // instead of a split one, for samples that pass its range; made when there is one
}

// NewFlow packs a program and uploads it. It fails, saying why, for a program that the fused kernels do not take: more
// than 32 dimensions, hidden layers wider than 256 units, unequal hidden layers.
func NewFlow(d *driver.Device, p *kernels.Chain) (*Flow, error) {
	halves, err := inHalves(d, p)
	if err != nil {
		return nil, err
	}
	return newFlow(d, p, halves)
}

func newFlow(d *driver.Device, p *kernels.Chain, halves bool) (f *Flow, err error) {
	f = &Flow{p: p}
	if halves {
		f.chain, f.split, err = newSplit(d, p, gpu.FlowSplit, "flow_split")
	} else {
		f.chain, err = newChain(d, p, gpu.FlowFP32, "flow_fp32")
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Close frees the network's memory.
func (f *Flow) Close() error {
	err := errors.Join(f.split.close(), f.chain.close())
	if f.plain != nil {
		err = errors.Join(err, f.plain.Close())
		f.plain = nil
	}
	return err
}

// flowStageWire mirrors struct FlowStage of kernels/gpu/flow.cuh, flowWire Flow.
type flowStageWire struct{ Cin, U, V, W float64 }

type flowWire struct {
	N, K, Stages, Steps, Estimate, Tangents, Group, Components, Numbers, Held int32
	Tol                                                                       float64
}

// The samples on the device at a time: as many as it has room for between these.
const minFlowBatch, maxFlowBatch = 1024, 1 << 20

// Run carries the n samples x (n×D, in place) and their integrals div (n×K, in place) through the steps of a table, as
// infer.Engine.Flow does. When the device has no room for all samples they go in batches; the numbers do not depend on
// it. progress, unless nil, is told how much of the work is done, in samples. On an error the batches that were finished
// are in x, div and est, the others as they were.
func (f *Flow) Run(ctx context.Context, x, div, est []float64, probes []float32, table *kernels.FlowTable, progress func(done int)) error {
	d := int(f.net.D)
	n, k, err := table.Shape(d, x, div, est, probes)
	if err != nil || n == 0 || len(table.Steps) == 0 {
		return err
	}
	r := flowRun{Flow: f, ctx: ctx, table: table, k: k, tangents: d}
	if probes != nil {
		r.tangents = k
	}
	r.tile()
	return inBatches(n, minFlowBatch, maxFlowBatch, progress, func(lo, hi int, progress func(int)) error {
		part := probes
		if probes != nil {
			part = probes[lo*k*d : hi*k*d]
		}
		return r.inRange(x[lo*d:hi*d], div[lo*k:hi*k], est[lo:hi], part, progress)
	})
}

// flowGroup is the number of rows of a sample, a divisor of 12, with the fewest rows for so many tangents: those that one
// pass has no room for take more, each with the value again.
func flowGroup(tangents int) int {
	rows := func(g int) int { return (tangents + g - 2) / (g - 1) * g }
	best := 12
	for _, g := range []int{6, 4, 3, 2} {
		if rows(g) < rows(best) {
			best = g
		}
	}
	return best
}

// flowRun is one call of Run.
type flowRun struct {
	*Flow
	ctx         context.Context
	table       *kernels.FlowTable
	k, tangents int
	group       int // rows of a sample in one pass through the network
	samples     int // of a tile
	tiles       int // of a block at a time
	scratch     int // numbers of a tile
}

// tile decides how samples are laid out.
func (r *flowRun) tile() {
	s, c := r.table.Stages(), int(r.net.D)+r.k
	if r.split != nil {
		r.group, r.samples, r.tiles = splitTiles, splitTile, r.kernel.Block()/splitTeam
		r.scratch = (s + 4) * r.samples * c
		return
	}
	r.group = flowGroup(r.tangents)
	r.samples, r.tiles = chainRows/r.group, r.warps()
	r.scratch = (s+3)*r.samples*c + r.samples*r.tangents
}

// tableau is A, B, E and E3 with zeros for what is missing.
func (r *flowRun) tableau() []float64 {
	s := r.table.Stages()
	t := make([]float64, s*(s+3))
	for i, a := range r.table.A {
		copy(t[i*s:], a)
	}
	copy(t[s*s:], r.table.B)
	copy(t[s*(s+1):], r.table.E)
	copy(t[s*(s+2):], r.table.E3)
	return t
}

// inRange is batch, but samples that products in halves do not bring back finite, because an activation passes their range,
// are those of the plain kernel.
func (r *flowRun) inRange(x, div, est []float64, probes []float32, progress func(done int)) error {
	if r.split == nil {
		return r.batch(x, div, est, probes, progress)
	}
	d, k := int(r.net.D), r.k
	x0, div0, est0 := slices.Clone(x), slices.Clone(div), slices.Clone(est)
	if err := r.batch(x, div, est, probes, progress); err != nil {
		return err
	}
	var again []int
	for i, e := range est {
		if !finite64(e) || !finite64(x[i*d:(i+1)*d]...) || !finite64(div[i*k:(i+1)*k]...) {
			again = append(again, i)
		}
	}
	if len(again) == 0 {
		return nil
	}
	err := r.repeat(again, x, div, est, x0, div0, est0, probes)
	if err != nil {
		copy(x, x0)
		copy(div, div0)
		copy(est, est0)
	}
	return err
}

// repeat computes some samples by the plain kernel.
func (r *flowRun) repeat(again []int, x, div, est, x0, div0, est0 []float64, probes []float32) (err error) {
	if r.plain == nil {
		if r.plain, err = newFlow(r.d, r.p, false); err != nil {
			return err
		}
	}
	d, k := int(r.net.D), r.k
	var px, pd, pe []float64
	var pp []float32
	for _, i := range again {
		px, pd, pe = append(px, x0[i*d:(i+1)*d]...), append(pd, div0[i*k:(i+1)*k]...), append(pe, est0[i])
		if probes != nil {
			pp = append(pp, probes[i*k*d:(i+1)*k*d]...)
		}
	}
	if err := r.plain.Run(r.ctx, px, pd, pe, pp, r.table, nil); err != nil {
		return err
	}
	for j, i := range again {
		copy(x[i*d:(i+1)*d], px[j*d:])
		copy(div[i*k:(i+1)*k], pd[j*k:])
		est[i] = pe[j]
	}
	return nil
}

func finite64(v ...float64) bool {
	for _, x := range v {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return false
		}
	}
	return true
}

// batch carries samples that are on the device all at once. x, div and est change only when all went well.
func (r *flowRun) batch(x, div, est []float64, probes []float32, progress func(done int)) (err error) {
	n, d, w, stages := len(est), int(r.net.D), int(r.net.Width), r.table.Stages()
	grid := min((n+r.samples-1)/r.samples, r.d.Multiprocessors)
	passes := (r.tangents + r.group - 2) / (r.group - 1)
	macs := float64(n) * float64(stages*passes*r.group) * r.macs()
	chunk := max(1, min(len(r.table.Steps), int(launchMACs/macs)))

	var dx, dd, de, dp, dt, ds, dh, dg, db *driver.Buffer
	defer func() { err = errors.Join(err, free(dx, dd, de, dp, dt, ds, dh, dg, db)) }()
	if dx, err = driver.NewBuffer(r.d, x); err != nil {
		return err
	}
	if dd, err = driver.NewBuffer(r.d, div); err != nil {
		return err
	}
	if de, err = driver.NewBuffer(r.d, est); err != nil {
		return err
	}
	if probes != nil {
		if dp, err = driver.NewBuffer(r.d, probes); err != nil {
			return err
		}
	}
	if dt, err = driver.NewBuffer(r.d, r.tableau()); err != nil {
		return err
	}
	if ds, err = r.d.Alloc(8 * grid * r.tiles * r.scratch); err != nil {
		return err
	}
	if dh, err = r.d.Alloc(8 * chunk); err != nil {
		return err
	}
	if dg, err = r.d.Alloc(32 * chunk * stages); err != nil {
		return err
	}
	if db, err = r.d.Alloc(4 * chunk * stages * w); err != nil {
		return err
	}
	wire := flowWire{N: int32(n), K: int32(r.k), Stages: int32(stages), Tangents: int32(r.tangents), Group: int32(r.group),
		Components: int32(d + r.k), Numbers: int32(r.samples * (d + r.k)), Held: int32(r.held), Tol: 1}
	switch {
	case r.table.E3 != nil:
		wire.Estimate, wire.Tol = 2, r.table.Tol
	case r.table.E != nil:
		wire.Estimate, wire.Tol = 1, r.table.Tol
	}
	bias := make([]float32, chunk*stages*w)
	for lo := 0; lo < len(r.table.Steps); lo += chunk {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		steps := r.table.Steps[lo:min(len(r.table.Steps), lo+chunk)]
		var h []float64
		var at []flowStageWire
		for _, s := range steps {
			h = append(h, s.H)
			for _, g := range s.Stages {
				r.net.bias(bias[len(at)*w:(len(at)+1)*w], g.T, 1)
				at = append(at, flowStageWire{Cin: g.Cin, U: g.U, V: g.V, W: g.W})
			}
		}
		if err := errors.Join(driver.Upload(dh, h), driver.Upload(dg, at), driver.Upload(db, bias[:len(at)*w])); err != nil {
			return err
		}
		wire.Steps = int32(len(steps))
		var a *driver.Args
		if r.split != nil {
			a = driver.Pack(driver.Pack(new(driver.Args), r.split.header), wire).Buf(r.blob).Buf(r.split.words)
		} else {
			a = driver.Pack(driver.Pack(new(driver.Args), r.net.netHeader), wire).Buf(r.blob)
		}
		a.Buf(db).Buf(dh).Buf(dg).Buf(dt).Buf(dx).Buf(dd).Buf(de).Buf(dp).Buf(ds)
		if err := r.kernel.Launch(grid, a); err != nil {
			return err
		}
		if err := r.d.Synchronize(); err != nil {
			return err
		}
		progress(int(int64(n) * int64(lo+len(steps)) / int64(len(r.table.Steps))))
	}
	return errors.Join(driver.Download(x, dx), driver.Download(div, dd), driver.Download(est, de))
}
