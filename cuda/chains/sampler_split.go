//go:build gpu && cgo

package chains

import (
	"fmt"
	"math"

	"hbar/cuda/driver"
	"hbar/cuda/exec"
	"hbar/kernels"
	"hbar/kernels/gpu"
)

// splitScale has the layout of struct SplitScale of kernels/gpu/halves.cuh.
type splitScale struct{ W [maxLayers]float32 }

// splitWarps is the warps of a block, of 16 samples each.
const splitWarps = 8

// splitShared is the words of layers 1.., and the bytes of shared memory that a block needs.
func (s *Sampler) splitShared() (words, bytes int) {
	w, d, layers := int(s.net.Width), int(s.net.D), int(s.net.Hidden)
	words = (layers - 1) * w * w
	heads := (d + 7) / 8
	return words, 4 * (words + heads*(8*w+8) + maxLayers + (layers-1)*w + d*w + splitWarps*16*d)
}

// splits reports whether the kernels of sampler_split.cu take the network: its weights in halves fit in shared memory.
func (s *Sampler) splits() bool {
	_, bytes := s.splitShared()
	return s.net.Width <= maxSplitWidth && bytes <= s.d.SharedPerBlock
}

// scaleSplit chooses the powers of two that weights are multiplied by.
func (s *Sampler) scaleSplit() {
	n, w := s.net, int(s.net.Width)
	s.split = &splitScale{}
	for i := range s.split.W {
		s.split.W[i] = 1
	}
	s.split.W[0] = powerOfTwo(n.blob[n.Head : int(n.Head)+w*int(n.D)])
	for l := 1; l < int(n.Hidden); l++ {
		s.split.W[l] = powerOfTwo(n.blob[n.W[l] : int(n.W[l])+w*w])
	}
}

func (s *Sampler) openSplit() (err error) {
	s.tile = 16
	s.scaleSplit()
	if s.module, err = s.d.Load(gpu.SamplerSplit); err != nil {
		return err
	}
	words, bytes := s.splitShared()
	if s.kernel, err = s.module.Kernel(fmt.Sprintf("sampler_split_w%d_%s", s.net.Width, s.dims()), 32*splitWarps, bytes); err != nil {
		return err
	}
	return s.packSplit(fmt.Sprintf("sampler_split_pack_w%d", s.net.Width), words)
}

// packSplit has a kernel pack the hidden layers after the first in words of two halves.
func (s *Sampler) packSplit(name string, words int) (err error) {
	if s.frags, err = s.d.Alloc(max(16, 4*words)); err != nil || words == 0 {
		return err
	}
	k, err := s.module.Kernel(name, 256, 0)
	if err != nil {
		return err
	}
	return k.Launch((words/2+255)/256, driver.Pack(driver.Pack(new(driver.Args), s.net.netHeader), *s.split).Buf(s.blob).Buf(s.frags))
}

// inRange is batch, with one correction: samples that are not finite are computed again by the plain kernel, whose range is that of
// float32. So a sample still does not depend on the others.
func (t *trajectory) inRange(x, m []float32, no kernels.Noise, progress func(done int)) error {
	s := t.s
	if s.split == nil {
		return t.batch(x, m, no, progress)
	}
	x0, m0 := append([]float32(nil), x...), append([]float32(nil), m...)
	if m == nil {
		m0 = nil
	}
	if err := t.batch(x, m, no, progress); err != nil || finite(x) && finite(m) {
		return err
	}
	if s.plain == nil {
		var err error
		if s.plain, err = newSampler(s.d, s.net, exec.FP32, tensorCores{}); err != nil {
			return err
		}
	}
	again := *t
	again.s = s.plain
	if err := again.batch(x0, m0, no, func(int) {}); err != nil {
		copy(x, x0) // the states from before batch
		copy(m, m0)
		return err
	}
	d := int(s.net.D)
	for i := 0; i < len(x); i += d {
		if !finite(x[i:i+d]) || m != nil && !finite(m[i:i+d]) {
			copy(x[i:i+d], x0[i:])
			if m != nil {
				copy(m[i:i+d], m0[i:])
			}
		}
	}
	return nil
}

func finite(x []float32) bool {
	for _, v := range x {
		if v := float64(v); math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}
