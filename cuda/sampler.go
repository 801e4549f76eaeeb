//go:build gpu && cgo

package cuda

import (
	"context"
	"errors"
	"fmt"

	"hbar/kernels"
	"hbar/kernels/cuda"
	"hbar/kernels/simd"
)

// launchRows is the number of table rows of one launch: between launches the context is looked at.
const launchRows = 256

// rowWire mirrors struct Row of kernels/cuda/device.cuh.
type rowWire struct {
	Cin, A, B, M, C, G, H, J, K float32
	Step                        uint32
	_                           [2]uint32
}

// Sampler carries samples through step tables on a device: the fused kernels of kernels/cuda/sampler_*.cu.
// Its Trajectory computes what infer.Engine's does, with the same random numbers.
type Sampler struct {
	d         *Device
	net       *net
	precision Precision
	module    *Module
	kernel    *Kernel
	warpTile  int // samples of a warp
	blob      *Buffer
	frags     *Buffer
	shared    bool
}

// NewSampler packs a program, uploads it and chooses the kernel. It fails, saying why, for a program that the fused
// kernels do not take: more than 32 dimensions, hidden layers wider than 256 units, unequal hidden layers.
func NewSampler(d *Device, p *kernels.Program, precision Precision) (*Sampler, error) {
	n, err := newNet(p)
	if err != nil {
		return nil, err
	}
	s := &Sampler{d: d, net: n, precision: precision}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Sampler) open() (err error) {
	if s.blob, err = s.d.Alloc(4 * len(s.net.blob)); err != nil {
		return err
	}
	if err = Upload(s.blob, s.net.blob); err != nil {
		return err
	}
	if s.precision == F16 {
		return s.openF16()
	}
	return s.openFP32()
}

func (s *Sampler) names() (act, dims string) {
	act = map[simd.Act]string{simd.SiLU: "silu", simd.GELU: "gelu", simd.Tanh: "tanh"}[s.net.act]
	if s.net.D <= 2 {
		return act, "d2"
	}
	return act, "d32"
}

func (s *Sampler) openFP32() (err error) {
	act, dims := s.names()
	const slab = 20
	slabs := 1
	if s.net.Width > 128 {
		slabs = 2
	}
	warp := 4 * slab * (slabs*int(s.net.Width) + int(s.net.D))
	weights := 4 * len(s.net.blob)
	warps, place := 8, "shared"
	s.shared = weights+4*warp <= s.d.SharedPerBlock // with fewer than 4 warps, L2 serves better
	if s.shared {
		warps = min(8, (s.d.SharedPerBlock-weights)/warp)
	} else {
		place, weights = "stream", 0
		warps = min(8, s.d.SharedPerBlock/warp)
	}
	s.warpTile = 16
	if s.module, err = s.d.Load(cuda.SamplerFP32); err != nil {
		return err
	}
	s.kernel, err = s.module.Kernel(fmt.Sprintf("sampler_fp32_%s_%s_%s", act, place, dims), 32*warps, weights+warps*warp)
	return err
}

func (s *Sampler) openF16() (err error) {
	act, dims := s.names()
	w, d, layers := int(s.net.Width), int(s.net.D), int(s.net.Hidden)
	if s.net.act != simd.SiLU {
		return fmt.Errorf("cuda: f16 takes SiLU networks, not %s; use --precision fp32", act)
	}
	kt := w / 16
	words := (layers - 1) * kt * kt * 128
	mt, warps, stage := 1, 8, 0
	switch {
	case w == 64 && dims == "d2":
		mt = 2
	case w == 128 && dims == "d2":
		warps = 12
	case w == 256:
		stage = 128 * kt
	}
	fixed := 4 * ((layers-1)*w + 2*d*w + d + d&1)
	warp := 4 * (16*mt*d + stage)
	place := "shared"
	s.shared = w <= 128 && fixed+4*words+warps*warp <= s.d.SharedPerBlock
	if s.shared {
		fixed += 4 * words
	} else {
		place = "stream"
		if w == 64 {
			return fmt.Errorf("cuda: f16 takes a 64-unit network of %d hidden layers only with shared memory for its weights; use --precision fp32", layers)
		}
	}
	s.warpTile = 16 * mt
	if s.module, err = s.d.Load(cuda.SamplerF16); err != nil {
		return err
	}
	if s.kernel, err = s.module.Kernel(fmt.Sprintf("sampler_f16_%s_w%d_%s_%s", act, w, place, dims), 32*warps, fixed+warps*warp); err != nil {
		return err
	}
	if s.frags, err = s.d.Alloc(max(16, 4*words)); err != nil {
		return err
	}
	if words == 0 { // one hidden layer: nothing to pack
		return nil
	}
	k, err := s.module.Kernel(fmt.Sprintf("pack_f16_w%d", w), 256, 0)
	if err != nil {
		return err
	}
	const half = 0.5 // silu(2u) = u + u tanh u
	return k.Launch((words+255)/256, pack(new(Args), s.net.netHeader).Buf(s.blob).Buf(s.frags).F32(half))
}

// Close frees the sampler's memory.
func (s *Sampler) Close() error {
	err := errors.Join(s.blob.Free(), s.frags.Free())
	if s.module != nil {
		err = errors.Join(err, s.module.Unload())
		s.module = nil
	}
	return err
}

// Trajectory carries the n samples x (n×D, in place) and their memory m (n×D, in place, or nil) through the rows of a step
// table. Samples are split into batches when the device has no room for all. progress, unless nil, is told the number
// of sample-rows done.
func (s *Sampler) Trajectory(ctx context.Context, x, m []float32, rows []kernels.Row, no kernels.Noise, progress func(done int)) error {
	d := int(s.net.D)
	if len(x)%d != 0 {
		return fmt.Errorf("cuda: x has %d elements; want a multiple of the dimension %d", len(x), d)
	}
	if m != nil && len(m) != len(x) {
		return fmt.Errorf("cuda: memory has %d elements; want %d, as x", len(m), len(x))
	}
	if m == nil && kernels.UsesMemory(rows) {
		return errors.New("cuda: the step table uses memory and none was given")
	}
	n := len(x) / d
	batch := min(n, 1<<24)
	for lo := 0; lo < n; {
		hi := min(n, lo+batch)
		var mm []float32
		if m != nil {
			mm = m[lo*d : hi*d]
		}
		err := s.batch(ctx, x[lo*d:hi*d], mm, rows, kernels.Noise{Seed: no.Seed, Stream: no.Stream, Sample0: no.Sample0 + uint64(lo)}, func(k int) {
			if progress != nil {
				progress(lo*len(rows) + k)
			}
		})
		var ce *Error
		if errors.As(err, &ce) && ce.OutOfMemory() && batch > 1024 {
			batch /= 2
			continue
		}
		if err != nil {
			return err
		}
		lo = hi
	}
	return ctx.Err()
}

func (s *Sampler) batch(ctx context.Context, x, m []float32, rows []kernels.Row, no kernels.Noise, progress func(int)) (err error) {
	n, w := len(x)/int(s.net.D), int(s.net.Width)
	chunk := min(launchRows, len(rows))
	if n == 0 || chunk == 0 {
		return nil
	}
	var dx, dm, db, dr *Buffer
	defer func() { err = errors.Join(err, dx.Free(), dm.Free(), db.Free(), dr.Free()) }()
	if dx, err = s.d.Alloc(4 * len(x)); err != nil {
		return err
	}
	if err = Upload(dx, x); err != nil {
		return err
	}
	if m != nil {
		if dm, err = s.d.Alloc(4 * len(m)); err != nil {
			return err
		}
		if err = Upload(dm, m); err != nil {
			return err
		}
	}
	if db, err = s.d.Alloc(4 * chunk * w); err != nil {
		return err
	}
	var rw rowWire
	if dr, err = s.d.Alloc(chunk * len(bytesOf(&rw))); err != nil {
		return err
	}
	warps := s.kernel.block / 32
	grid := min((n+s.warpTile*warps-1)/(s.warpTile*warps), s.d.Multiprocessors)
	bias, wire := make([]float32, chunk*w), make([]rowWire, chunk)
	for lo := 0; lo < len(rows); lo += chunk {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := rows[lo:min(len(rows), lo+chunk)]
		for i, r := range part {
			s.net.bias(bias[i*w:(i+1)*w], r.T)
			wire[i] = rowWire{Cin: float32(r.Cin), A: float32(r.A), B: float32(r.B), M: float32(r.M), C: float32(r.C),
				G: float32(r.G), H: float32(r.H), J: float32(r.J), K: float32(r.K), Step: r.Step}
		}
		if err := Upload(db, bias[:len(part)*w]); err != nil {
			return err
		}
		if err := Upload(dr, wire[:len(part)]); err != nil {
			return err
		}
		a := pack(new(Args), s.net.netHeader)
		if s.precision == F16 {
			a.Buf(s.frags).Buf(s.blob)
		} else {
			a.I32(len(s.net.blob)).Buf(s.blob)
		}
		a.Buf(db).Buf(dr).I32(len(part)).Buf(dx).Buf(dm).I32(n).U64(no.Seed).U32(no.Stream).U64(no.Sample0)
		if err := s.kernel.Launch(grid, a); err != nil {
			return err
		}
		if err := s.d.Synchronize(); err != nil {
			return err
		}
		progress(n * (lo + len(part)))
	}
	if m != nil {
		if err := Download(m, dm); err != nil {
			return err
		}
	}
	return Download(x, dx)
}
