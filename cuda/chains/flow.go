//go:build gpu && cgo

package chains

import (
	"context"
	"errors"
	"fmt"
	"math"

	"hbar/cuda/driver"
	"hbar/kernels"
	"hbar/kernels/gpu"
	"hbar/kernels/simd"
)

// Flow integrates the probability flow and its divergence on a device: kernels/gpu/flow_split_wgmma.cu or flow_split.cu on tensor
// cores for hidden layers of up to 128 units, kernels/gpu/flow_fp32.cu for others. Its Run computes what infer.Engine's Flow does,
// with the same accuracy.
type Flow struct {
	*chain
	p      *kernels.Chain
	split  *split    // of flow_split
	groups *Sampler  // of flow_split_wgmma, which takes the parameters as the sampler has them; if both are nil: flow_fp32
	saved  []float64 // what the last batch started from
	pairs  bool      // of its kernels only those whose warpgroups work alone
	plain  *Flow     // the float32 kernel, for samples that exceed the range of f16; made when it is needed
}

// NewFlow packs a network and uploads it. It returns an error for a network that the fused kernels do not take: more than 32
// dimensions, hidden layers wider than 256 units or of unequal widths.
func NewFlow(d *driver.Device, p *kernels.Chain) (*Flow, error) {
	halves, err := inHalves(d, p)
	if err != nil {
		return nil, err
	}
	return newFlow(d, p, tensorCores{halves: halves, warpgroups: true})
}

// newFlow is NewFlow with a choice of kernels.
func newFlow(d *driver.Device, p *kernels.Chain, use tensorCores) (f *Flow, err error) {
	f = &Flow{p: p}
	if use.halves && use.warpgroups {
		if f.groups, err = warpgroupParameters(d, p, (*Sampler).flowBlock); err != nil {
			return nil, err
		}
	}
	if f.groups != nil {
		if err := f.openWarpgroups(); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return f, nil
	}
	if use.halves {
		f.chain, f.split, err = newSplit(d, p, gpu.FlowSplit, "flow_split")
	} else {
		f.chain, err = newChain(d, p, gpu.FlowFP32, "flow_fp32")
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// openWarpgroups loads the kernels on warpgroup products.
func (f *Flow) openWarpgroups() (err error) {
	f.chain = &chain{d: f.groups.d, net: f.groups.net}
	if f.module, err = f.d.Load(gpu.FlowSplitWarpgroups); err != nil {
		return err
	}
	f.kernel, err = f.warpgroupKernel("split", "", 0)
	return err
}

// flowBlock is the shape of a block of the flow's kernels on warpgroup products: threads, and bytes of shared memory for the network and its inputs, which
// SamplerShared of kernels/gpu/flow_wgmma.cuh describes.
func (s *Sampler) flowBlock() (threads, shared int) {
	threads, _, _ = s.warpgroupBlock(2)
	w, d, layers, heads := int(s.net.Width), int(s.net.D), int(s.net.Hidden)-1, (int(s.net.D)+7)/8
	return threads, 4 * (layers*w*w + heads*(8*w+8) + layers*w + d*w + maxLayers + threads/32*16*d)
}

// warpgroupKernel is a kernel on warpgroup products with so many bytes of shared memory beside those of the network and its inputs.
func (f *Flow) warpgroupKernel(kind, suffix string, more int) (*driver.Kernel, error) {
	threads, shared := f.groups.flowBlock()
	return f.module.Kernel(fmt.Sprintf("flow_%s_wgmma_w%d_%s%s", kind, f.net.Width, f.groups.activation(), suffix), threads, shared+more)
}

// Close frees the network's memory.
func (f *Flow) Close() error {
	err := errors.Join(f.split.close(), f.chain.close())
	if f.groups != nil {
		err = errors.Join(err, f.groups.Close())
	}
	if f.plain != nil {
		err = errors.Join(err, f.plain.Close())
		f.plain = nil
	}
	return err
}

// flowStageWire has the layout of struct FlowStage of kernels/gpu/flow.cuh, and flowWire that of Flow.
type flowStageWire struct{ Cin, State, Net, Drift float64 }

type flowWire struct {
	N, K, Stages, Steps, Estimate, Tangents, Group, Components, Numbers, Held int32
	Tol                                                                       float64
}

// The number of samples on the device at a time is as large as its memory allows, between these limits.
const minFlowBatch, maxFlowBatch = 1024, 1 << 20

// Run integrates the n samples x (n×D, in place) and their integrals div (n×K, in place) over the steps of a table, as
// infer.Engine.Flow does. If the device has too little memory for all samples they run in batches, which does not change the
// results. progress, unless nil, receives how much of the work is done, in samples. After an error x, div and est hold the results
// of the batches that were finished, and the other samples are unchanged.
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
	if err := r.tile(); err != nil {
		return err
	}
	return inBatches(n, minFlowBatch, maxFlowBatch, progress, func(lo, hi int, progress func(int)) error {
		part := probes
		if probes != nil {
			part = probes[lo*k*d : hi*k*d]
		}
		return r.inRange(x[lo*d:hi*d], div[lo*k:hi*k], est[lo:hi], part, progress)
	})
}

// flowGroup chooses the number of rows of a sample in one pass through the network, a divisor of 12: its value and some tangents. It
// is the one with the fewest rows in all passes that so many tangents take; each pass computes the value again.
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
	kernel      *driver.Kernel
	k, tangents int
	group       int // rows of a sample in one pass through the network
	samples     int // of a tile
	tiles       int // of a block at a time
	numbers     int // of the states that a warp or team has
	scratch     int // numbers in device memory for a tile
	held        int // Held of flowWire
}

// tile chooses how samples are laid out in tiles.
func (r *flowRun) tile() (err error) {
	s, c := r.table.Stages(), int(r.net.D)+r.k
	r.kernel, r.held = r.Flow.kernel, r.sharedWords
	switch {
	case r.groups != nil:
		return r.warpgroupTile(s, c)
	case r.split != nil:
		r.group, r.samples, r.tiles = splitTiles, splitTile, r.kernel.Block()/splitTeam
		r.numbers = r.samples * c
		r.scratch = (s + 4) * r.numbers
	default:
		r.group = flowGroup(r.tangents)
		r.samples, r.tiles = chainRows/r.group, r.warps()
		r.numbers = r.samples * c
		r.scratch = (s+3)*r.numbers + r.samples*r.tangents
	}
	return nil
}

// warpgroupTile chooses between the kernels on warpgroup products for so many stages and components of a state. With two tangents or more, three
// warpgroups take 64 samples together, if there is room for the slopes that they exchange; else a warpgroup takes 32 samples and a tangent of each.
func (r *flowRun) warpgroupTile(stages, components int) (err error) {
	const groups, warps = 3, 4 // of a block, of a warpgroup
	_, r.held = r.groups.flowBlock()
	numbers := warpgroupTile * components
	more := 4*groups*warpgroupTile*int(r.net.D) + 2*4*warpgroupTile*int(r.net.Width) + 8*(stages+4)*numbers // outputs, slopes, states
	if r.net.Width == maxWarpgroupWidth && r.net.Act != int32(simd.GELU) && r.tangents > 1 && !r.pairs && r.held+more <= r.d.SharedPerBlock {
		r.group, r.samples, r.tiles, r.numbers = groups, warpgroupTile, 1, numbers
		residual := ""
		if r.net.Residual != 0 {
			residual = "_residual"
		}
		r.kernel, err = r.warpgroupKernel("triple", residual, more)
		return err
	}
	r.group, r.samples, r.tiles = 2, warpgroupTile/2, r.kernel.Block()/(32*warps)
	r.numbers = r.samples / warps * components
	r.scratch = warps * (stages + 4) * r.numbers
	if states := 8 * r.tiles * r.scratch; r.held+states <= r.d.SharedPerBlock {
		r.scratch = 0
		r.kernel, err = r.warpgroupKernel("split", "", states)
	} else {
		r.held = 0
	}
	return err
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

// inRange is batch, with one correction: samples that are not finite, because an activation exceeded the range of f16, are computed
// again by the plain kernel.
func (r *flowRun) inRange(x, div, est []float64, probes []float32, progress func(done int)) error {
	if r.split == nil && r.groups == nil {
		return r.batch(x, div, est, probes, progress)
	}
	d, k := int(r.net.D), r.k
	x0, div0, est0 := r.save(x, div, est)
	if err := r.batch(x, div, est, probes, progress); err != nil {
		return err
	}
	if finite64(x...) && finite64(div...) && finite64(est...) {
		return nil
	}
	var again []int
	for i, e := range est {
		if !finite64(e) || !finite64(x[i*d:(i+1)*d]...) || !finite64(div[i*k:(i+1)*k]...) {
			again = append(again, i)
		}
	}
	err := r.repeat(again, x, div, est, x0, div0, est0, probes)
	if err != nil {
		copy(x, x0)
		copy(div, div0)
		copy(est, est0)
	}
	return err
}

// save copies what a batch starts from.
func (f *Flow) save(x, div, est []float64) (x0, div0, est0 []float64) {
	f.saved = append(append(append(f.saved[:0], x...), div...), est...)
	d, e := len(x), len(x)+len(div)
	return f.saved[:d:d], f.saved[d:e:e], f.saved[e:]
}

// repeat computes some samples by the plain kernel.
func (r *flowRun) repeat(again []int, x, div, est, x0, div0, est0 []float64, probes []float32) (err error) {
	if r.plain == nil {
		if r.plain, err = newFlow(r.d, r.p, tensorCores{}); err != nil {
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
		if !(math.Abs(x) <= math.MaxFloat64) { // or NaN
			return false
		}
	}
	return true
}

// batch integrates samples that are on the device at the same time. x, div and est change only if there is no error.
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
	if r.scratch > 0 {
		if ds, err = r.d.Alloc(8 * grid * r.tiles * r.scratch); err != nil {
			return err
		}
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
		Components: int32(d + r.k), Numbers: int32(r.numbers), Held: int32(r.held), Tol: 1}
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
		h, at := r.coefficients(steps, bias)
		if err := errors.Join(driver.Upload(dh, h), driver.Upload(dg, at), driver.Upload(db, bias[:len(at)*w])); err != nil {
			return err
		}
		wire.Steps = int32(len(steps))
		a := new(driver.Args)
		switch {
		case r.groups != nil:
			driver.Pack(driver.Pack(driver.Pack(a, r.net.netHeader), *r.groups.split), wire).U64(r.groups.layers()).Buf(r.groups.blob)
		case r.split != nil:
			driver.Pack(driver.Pack(a, r.split.header), wire).Buf(r.blob).Buf(r.split.words)
		default:
			driver.Pack(driver.Pack(a, r.net.netHeader), wire).Buf(r.blob)
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

// coefficients are the lengths of the steps and the coefficients of their stages. The biases of the network at the times of the stages,
// Width numbers each, are written to bias.
func (r *flowRun) coefficients(steps []kernels.FlowStep, bias []float32) (h []float64, at []flowStageWire) {
	w := int(r.net.Width)
	for _, s := range steps {
		h = append(h, s.H)
		for _, g := range s.Stages {
			b := bias[len(at)*w : (len(at)+1)*w]
			r.net.bias(b, g.Tau, 1)
			if r.groups != nil {
				toLaneOrder(b)
			}
			at = append(at, flowStageWire{Cin: g.Cin, State: g.State, Net: g.Net, Drift: g.Drift})
		}
	}
	return h, at
}
