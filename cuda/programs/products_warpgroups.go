//go:build gpu && cgo

package programs

import (
	"slices"

	"hbar/cuda/driver"
	"hbar/cuda/exec"
	"hbar/program"
)

// These mirror structs of kernels/gpu/net_products_wgmma.cu.
type packWire struct {
	W, To                     uint64
	SN, ST, SK                int64
	N, Channels, Taps, Chunks int32
}

type packedProductWire struct {
	P       productWire
	Weights uint64
}

type packedConvProductWire struct {
	P       convProductWire
	Weights uint64
}

const (
	warpgroupTile    = 128  // rows and columns of a tile
	warpgroupSlice   = 64   // steps of k of a slice
	warpgroupChunks  = 1024 // chunks of 16 bytes of a slice of weights
	warpgroupThreads = 256
	warpgroupShared  = 2 * (16*warpgroupChunks + 4*warpgroupTile*warpgroupSlice)
)

// packing is weights in bf16, in the order in which products read them. They are packed when they have changed, not before each product: parameters at the
// beginning of stage Constants, inputs at that of Steps, and others right after the instruction that makes them. Products of the same weights in the
// same order share a packing.
type packing struct {
	weights        packedWeights
	pack           *driver.Kernel
	chunks, offset int // offset: in the memory of values that all samples share
}

// packedWeights are those of n columns, of a sum over taps and channels. Weights of a column, a tap and a channel are sn, st and sk numbers apart.
type packedWeights struct {
	of                program.ID
	n, channels, taps int
	sn, st, sk        int
}

// packing finds or makes the packing of weights.
func (x *Executor) packing(w packedWeights) (*packing, error) {
	for x.values[w.of].view != nil { // another shape of a value, since products take no others
		w.of = x.values[w.of].view.Of
	}
	if i := slices.IndexFunc(x.packings, func(p *packing) bool { return p.weights == w }); i >= 0 {
		return x.packings[i], nil
	}
	k, err := x.kernel("products_wgmma", "net_pack_weights", 256, 0)
	if err != nil {
		return nil, err
	}
	halves := (w.channels + warpgroupSlice/2 - 1) / (warpgroupSlice / 2) * w.taps
	p := &packing{weights: w, pack: k, chunks: (w.n + warpgroupTile - 1) / warpgroupTile * ((halves + 1) / 2) * warpgroupChunks}
	x.packings = append(x.packings, p)
	if x.values[w.of].Role != program.Derived {
		return p, nil
	}
	i := slices.IndexFunc(x.steps, func(s step) bool { return slices.Contains(s.Out, w.of) })
	made := x.steps[i].run
	x.steps[i].run = func() {
		made()
		p.run(x)
	}
	return p, nil
}

// run enqueues the packing.
func (p *packing) run(x *Executor) {
	w := p.weights
	v := packWire{W: x.get(w.of), To: x.shared.At(p.offset), SN: int64(w.sn), ST: int64(w.st), SK: int64(w.sk),
		N: int32(w.n), Channels: int32(w.channels), Taps: int32(w.taps), Chunks: int32(p.chunks)}
	x.each(p.pack, p.chunks, driver.Pack(&driver.Args{}, v))
}

// packGiven enqueues the packing of what no instruction makes: parameters, or inputs.
func (x *Executor) packGiven(role program.Role) {
	for _, p := range x.packings {
		if x.values[p.weights.of].Role == role {
			p.run(x)
		}
	}
}

// packed is a product with packed weights on warpgroup products.
type packed struct {
	*packing
	kernel *driver.Kernel
}

// packed binds a product of a kind with weights, for so many rows to a sample; nil where net_products.cu does it. Which of the two depends on precision,
// device and shapes alone, so that the batch changes no bit of the result.
func (x *Executor) packed(kind string, rows int, w packedWeights) (*packed, error) {
	if x.precision != exec.BF16 || x.d.Major != 9 || x.d.Minor != 0 || x.d.SharedPerBlock < warpgroupShared {
		return nil, nil
	}
	if rows < 16 || w.n < 96 || w.channels*w.taps < warpgroupSlice || kind != alongProduct && w.channels%(warpgroupSlice/2) != 0 {
		return nil, nil
	}
	p, err := x.packing(w)
	if err != nil {
		return nil, err
	}
	k, err := x.kernel("products_wgmma", "net_"+kind+"_bf16_wgmma", warpgroupThreads, warpgroupShared)
	return &packed{p, k}, err
}

// at is where the weights are.
func (p *packed) at(x *Executor) uint64 { return x.shared.At(p.offset) }

// run enqueues the product of m rows.
func (p *packed) run(x *Executor, m int, a *driver.Args) {
	x.launch(p.kernel, (m+warpgroupTile-1)/warpgroupTile*((p.weights.n+warpgroupTile-1)/warpgroupTile), a)
}
