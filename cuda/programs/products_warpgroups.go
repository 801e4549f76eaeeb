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
	Plain, F16                int32
}

type packedWire struct{ Weights, Halves uint64 }

type packedProductWire struct {
	P    productWire
	With packedWire
}

type packedConvProductWire struct {
	P    convProductWire
	With packedWire
}

const (
	warpgroupTile    = 128  // rows and columns of a tile
	warpgroupSlice   = 64   // steps of k of a slice
	warpgroupChunks  = 1024 // chunks of 16 bytes of a slice of weights
	warpgroupThreads = 256
	warpgroupShared  = 2 * (16*warpgroupChunks + 4*warpgroupTile*warpgroupSlice)
	halvesShared     = 3 * 2 * 16 * warpgroupChunks // of products whose first operand is halves in memory
)

// packing is weights in halves, in the order in which products read them. They are packed when they have changed, not before each product: parameters at the
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
	plain             bool // in the order of memory, for a first operand that is halves there
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
	if w.plain {
		v.Plain = 1
	}
	if x.precision == exec.F16 {
		v.F16 = 1
	}
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
	if !x.packs(kind, rows, w) {
		return nil, nil
	}
	p, err := x.packing(w)
	if err != nil {
		return nil, err
	}
	name, shared := "net_"+kind+"_"+arithmetic[x.precision]+"_wgmma", warpgroupShared
	if w.plain {
		name, shared = "net_"+kind+"_halves_wgmma", halvesShared
		if x.precision == exec.F16 {
			name = "net_" + kind + "_halves_f16_wgmma"
		}
	}
	k, err := x.kernel("products_wgmma", name, warpgroupThreads, shared)
	return &packed{p, k}, err
}

// packs reports whether a product runs on warpgroups.
func (x *Executor) packs(kind string, rows int, w packedWeights) bool {
	if x.precision == exec.F16 && w.turned() {
		return false
	}
	return warpgroups(x.d, x.precision) && rows >= 16 && w.n >= 96 && w.channels*w.taps >= warpgroupSlice && (kind == alongProduct || w.channels%(warpgroupSlice/2) == 0)
}

// turned says that weights of neighbouring columns are neighbours, as in cotangents of inputs.
func (w packedWeights) turned() bool { return w.sn == 1 }

// denseWeights are those of a dense layer, [n][k], and convWeights those of a convolution, [n][KH][KW][channels], as they lie.
func denseWeights(of program.ID, w []int) packedWeights {
	return packedWeights{of: of, n: w[0], channels: w[1], taps: 1, sn: w[1], sk: 1}
}
func convWeights(of program.ID, w []int) packedWeights {
	return packedWeights{of: of, n: w[0], channels: w[3], taps: w[1] * w[2], sn: w[1] * w[2] * w[3], st: w[3], sk: 1}
}

// after is the weights in the order that goes with the first operand.
func (w packedWeights) after(x *Executor, first program.ID) packedWeights {
	w.plain = x.half(first)
	return w
}

// with is where the weights are, and the result if it is halves in memory.
func (p *packed) with(x *Executor, out program.ID) packedWire {
	w := packedWire{Weights: x.shared.At(p.offset)}
	if x.half(out) {
		w.Halves = x.get(out)
	}
	return w
}

// run enqueues the product of m rows.
func (p *packed) run(x *Executor, m int, a *driver.Args) {
	x.launch(p.kernel, (m+warpgroupTile-1)/warpgroupTile*((p.weights.n+warpgroupTile-1)/warpgroupTile), a)
}
