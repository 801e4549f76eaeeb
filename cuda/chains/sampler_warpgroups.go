//go:build gpu && cgo

package chains

import (
	"fmt"

	"hbar/cuda/driver"
	"hbar/cuda/exec"
	"hbar/kernels"
	"hbar/kernels/gpu"
	"hbar/kernels/simd"
)

const (
	warpgroupTile     = 64  // samples of a warpgroup
	maxWarpgroupWidth = 128 // units of a layer that the kernels on warpgroup products take
)

// warpgroupScales has the layout of struct Scales of kernels/gpu/sampler_wgmma.cuh.
type warpgroupScales struct {
	Layer       [maxLayers]float32
	Head, Input float32
}

// warpgroupBlock is the shape of a block of sampler_f16_wgmma.cu (one part) or sampler_split_wgmma.cu (two parts, hi and lo): threads, bytes of
// shared memory, words of the image of the network in it, which struct Image of sampler_wgmma.cuh describes.
func (s *Sampler) warpgroupBlock(parts int) (threads, shared, words int) {
	w, d, hidden := int(s.net.Width), int(s.net.D), int(s.net.Hidden)
	threads = 384 // the launch bounds of the kernels
	if w == 64 {
		threads = 512
	}
	panels, outputs := (d+15)/16, (d+3)/4
	words = panels*32*w + (hidden-1)*parts*w*w/2 + outputs*(4*w+4) + hidden*w + maxLayers + 4
	behind := threads / 32 * w // the warps' biases of the first layer
	if d <= 2 {
		behind += 4 * threads // and normals of four steps
	}
	return threads, 4 * (words + behind), words
}

// warpgroups reports whether the kernels on warpgroup products, kernels/gpu/sampler_*_wgmma.cu, take the network on this device. Machine code for sm_90a
// runs on devices of compute capability 9.0 and on no later ones.
func (s *Sampler) warpgroups(parts int) bool {
	_, shared, _ := s.warpgroupBlock(parts)
	return s.d.Major == 9 && s.d.Minor == 0 && s.net.Width <= maxWarpgroupWidth && shared <= s.d.SharedPerBlock
}

func (s *Sampler) warpgroupsF16() bool   { return s.warpgroups(1) }
func (s *Sampler) warpgroupsSplit() bool { return s.warpgroups(2) }

func (s *Sampler) openF16Warpgroups() error {
	scales := warpgroupScales{Head: 1, Input: 1}
	if s.net.Act == int32(simd.SiLU) {
		s.scale = 0.5 // silu(2u) = u + u tanh u
	}
	for i := range scales.Layer {
		scales.Layer[i] = s.scale
	}
	// The first layer's weights are halves too. Those that would exceed the range of halves are divided by what its inputs are multiplied by.
	if f := powerOfTwo(s.net.firstWeights()); f < 1 {
		scales.Layer[0] *= f
		scales.Input = 1 / f
	}
	return s.openWarpgroups(gpu.SamplerF16Warpgroups, "f16", 1, scales)
}

func (s *Sampler) openSplitWarpgroups() error {
	s.scaleSplit()
	scales := warpgroupScales{Layer: s.split.W, Head: s.split.W[0], Input: 1}
	scales.Layer[0] = powerOfTwo(s.net.firstWeights())
	return s.openWarpgroups(gpu.SamplerSplitWarpgroups, "split", 2, scales)
}

// firstWeights are the first layer's weights of the sample's coordinates.
func (n *net) firstWeights() []float32 { return n.blob[n.W[0] : n.W[0]+n.D*n.Width] }

// openWarpgroups loads an image of kernels, chooses one and has the network packed.
func (s *Sampler) openWarpgroups(image []byte, kind string, parts int, scales warpgroupScales) (err error) {
	s.tile, s.laneOrder = warpgroupTile, true
	if s.module, err = s.d.Load(image); err != nil {
		return err
	}
	threads, shared, words := s.warpgroupBlock(parts)
	if s.kernel, err = s.module.Kernel(fmt.Sprintf("sampler_%s_wgmma_w%d_%s_%s%s", kind, s.net.Width, s.activation(), s.dims(), s.residual()), threads, shared); err != nil {
		return err
	}
	pack, err := s.module.Kernel(fmt.Sprintf("pack_%s_wgmma_w%d", kind, s.net.Width), 256, 0)
	if err != nil {
		return err
	}
	if s.frags, err = s.d.Alloc(4 * words); err != nil {
		return err
	}
	return pack.Launch((words+255)/256, driver.Pack(driver.Pack(new(driver.Args), s.net.netHeader), scales).Buf(s.blob).Buf(s.frags))
}

// layers is where the panels of the layers after the first begin on the device.
func (s *Sampler) layers() uint64 {
	return s.frags.At((int(s.net.D) + 15) / 16 * 32 * int(s.net.Width))
}

// residual is the part of a kernel's name that says whether it adds a layer's input to its output.
func (s *Sampler) residual() string {
	if s.net.Residual != 0 {
		return "_residual"
	}
	return ""
}

// warpgroupParameters packs a network for the flow and the path integral on warpgroup products, which take the parameters as the sampler in
// float32's accuracy has them; block gives the shape of their blocks. It is nil if the device or the network does not allow such products.
func warpgroupParameters(d *driver.Device, p *kernels.Chain, block func(*Sampler) (threads, shared int)) (*Sampler, error) {
	n, err := newNet(p)
	if err != nil {
		return nil, err
	}
	s := &Sampler{d: d, net: n}
	if _, shared := block(s); !s.warpgroupsSplit() || shared > d.SharedPerBlock {
		return nil, nil
	}
	return newSampler(d, n, exec.FP32, tensorCores{halves: true, warpgroups: true})
}

// activation is the activation's part of a kernel's name.
func (s *Sampler) activation() string {
	switch simd.Act(s.net.Act) {
	case simd.SiLU:
		return "silu"
	case simd.GELU:
		return "gelu"
	}
	return "tanh"
}

// dims is the part of a kernel's name that says how many dimensions it takes.
func (s *Sampler) dims() string {
	if s.net.D <= 2 {
		return "d2"
	}
	return "d32"
}

// toLaneOrder puts a vector of units into the order of lane_unit of kernels/gpu/sampler_wgmma.cuh: slot 16 k + 4 q + i holds unit
// 16 k + 2 q + i%2 + 8 (i/2).
func toLaneOrder(v []float32) {
	var part [16]float32
	for lo := 0; lo < len(v); lo += 16 {
		copy(part[:], v[lo:lo+16])
		for slot := range part {
			q, i := slot/4, slot%4
			v[lo+slot] = part[2*q+i%2+8*(i/2)]
		}
	}
}
