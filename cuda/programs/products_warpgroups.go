//go:build gpu && cgo

package programs

import (
	"hbar/cuda/driver"
	"hbar/cuda/exec"
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

// packed is a product with weights on warpgroup products: their weights are packed to bf16 before each product, since they may have changed.
type packed struct {
	pack, kernel              *driver.Kernel
	n, channels, taps, chunks int
}

// packed binds a product of a kind with weights of n columns, a sum over taps and channels, for so many rows to a sample; nil where net_products.cu
// does it. Which of the two depends on precision, device and shapes alone, so that the batch changes no bit of the result.
func (x *Executor) packed(kind string, rows, n, channels, taps int) (*packed, error) {
	if x.precision != exec.BF16 || x.d.Major != 9 || x.d.Minor != 0 || x.d.SharedPerBlock < warpgroupShared {
		return nil, nil
	}
	if rows < 16 || n < 96 || channels*taps < warpgroupSlice || kind != alongProduct && channels%(warpgroupSlice/2) != 0 {
		return nil, nil
	}
	p := &packed{n: n, channels: channels, taps: taps}
	halves := (channels + warpgroupSlice/2 - 1) / (warpgroupSlice / 2) * taps
	p.chunks = (n + warpgroupTile - 1) / warpgroupTile * ((halves + 1) / 2) * warpgroupChunks
	x.reserve(0, 4*p.chunks)
	var err error
	if p.pack, err = x.kernel("products_wgmma", "net_pack_weights", 256, 0); err != nil {
		return nil, err
	}
	p.kernel, err = x.kernel("products_wgmma", "net_"+kind+"_bf16_wgmma", warpgroupThreads, warpgroupShared)
	return p, err
}

// weights enqueues the packing of weights, of which those of a column, a tap and a channel are at sn, st and sk, and returns where they are.
func (p *packed) weights(x *Executor, w uint64, sn, st, sk int) uint64 {
	v := packWire{W: w, To: x.scratch.Address(), SN: int64(sn), ST: int64(st), SK: int64(sk),
		N: int32(p.n), Channels: int32(p.channels), Taps: int32(p.taps), Chunks: int32(p.chunks)}
	x.each(p.pack, p.chunks, driver.Pack(&driver.Args{}, v))
	return v.To
}

// run enqueues the product of m rows.
func (p *packed) run(x *Executor, m int, a *driver.Args) {
	x.launch(p.kernel, (m+warpgroupTile-1)/warpgroupTile*((p.n+warpgroupTile-1)/warpgroupTile), a)
}
