//go:build gpu && cgo

package programs

import (
	"hbar/cuda/driver"
	"hbar/cuda/exec"
	"hbar/program"
)

// Of net_weights_wgmma.cu.
const (
	weightRows    = 128 // of a tile
	weightColumns = 256
	weightShared  = 4 * 2 * warpgroupSlice * (weightRows + weightColumns)
)

// weightsOnWarpgroups reports whether the gradient of weights, of a dense layer or of a convolution, runs on warpgroups. It depends on precision, device and shapes
// alone, so that the batch changes no bit of the result.
func (x *Executor) weightsOnWarpgroups(in program.Instr) bool {
	w := x.shape(in.Out[0])
	return x.precision == exec.BF16 && warpgroups(x.d, x.precision) && x.d.SharedPerBlock >= weightShared && x.rows(in.In[0]) >= 16 && w[0] >= 96 && w[0]%4 == 0 && program.Size(w) >= 96*w[0] && lastDim(w)%8 == 0
}

// weights binds the kernel of such a gradient, here or in net_products.cu. run enqueues the sums of so many parts, and a part has group samples.
func (x *Executor) weights(kind string, in program.Instr) (run func(parts int, a *driver.Args), group int, err error) {
	w, rows := x.shape(in.Out[0]), x.rows(in.In[0])
	m, n := w[0], program.Size(w)/w[0]
	if !x.weightsOnWarpgroups(in) {
		p, err := x.products(kind)
		return func(parts int, a *driver.Args) { p.run(x, m, n, parts, a) }, partSamples(m, n, rows), err
	}
	name := "net_" + kind + "_bf16_wgmma"
	if x.half(in.In[1]) {
		name = "net_" + kind + "_halves_wgmma"
	}
	k, err := x.kernel("weights_wgmma", name, warpgroupThreads, weightShared)
	tiles := weightTiles(m, n)
	return func(parts int, a *driver.Args) { x.launch(k, parts*tiles, a) }, weightPartSamples(tiles, rows), err
}

// weightTiles is the number of tiles of a result of m×n numbers.
func weightTiles(m, n int) int {
	return (m + weightRows - 1) / weightRows * ((n + weightColumns - 1) / weightColumns)
}

// weightPartSamples is partSamples for these tiles: about as many samples as the result has tiles, so that some hundred samples are about as many blocks, and at
// least 512 rows, if 16 samples have them, so that reading and writing the parts takes little of the time. Parts of several samples have at most 65536 rows, because tensor cores
// may cut off what they add to a long sum.
func weightPartSamples(tiles, rows int) int {
	g := 1
	for g < samplesTogether && (2*g <= tiles && 2*g*rows <= 1<<16 || g*rows < 512) {
		g *= 2
	}
	return g
}
