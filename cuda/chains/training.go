//go:build gpu && cgo

package chains

import (
	"errors"
	"fmt"

	"hbar/cuda/driver"
	"hbar/cuda/exec"
	"hbar/kernels"
	"hbar/kernels/gpu"
	"hbar/kernels/simd"
)

// fusedLayer and fusedNet have the layouts of FusedLayer and FusedNet of kernels/gpu/train_fused.cu.
type fusedLayer struct {
	Forward, Weights, Bias, X, Dz, Slope uint64
	N, K, Ldn, Ldk                       int32
}

type fusedNet struct {
	Layers, Act, Residual, Slab int32
	Layer                       [maxLayers + 1]fusedLayer
}

// maxColumns is the most units of a layer, or columns of the network's input, that the fused pass takes.
const maxColumns = 512

// TrainingPass returns the function that makes the fused pass of a network, or nil if the pass does not take the network.
func TrainingPass(p *kernels.ChainTraining) exec.MakePass {
	if fusable(p) != nil {
		return nil
	}
	return newRowsPass
}

// fusable returns an error that says why the fused pass does not take a network, nil if it does.
func fusable(p *kernels.ChainTraining) error {
	hidden := len(p.Forward) - 1
	if hidden < 1 || hidden > maxLayers {
		return fmt.Errorf("%d hidden layers; the fused pass takes 1 to %d", hidden, maxLayers)
	}
	if p.D > maxD {
		return fmt.Errorf("%d dimensions; the fused pass takes up to %d", p.D, maxD)
	}
	act, residual := p.Forward[0].Act, hidden > 1 && p.Forward[1].Add >= 0
	for i, in := range p.Forward {
		last := i == hidden
		switch {
		case in.Src != i || in.Dst != i+1:
			return fmt.Errorf("instruction %d is not the next layer of a chain", i)
		case p.Widths[i] > maxColumns:
			return fmt.Errorf("%d columns; the fused pass takes up to %d", p.Widths[i], maxColumns)
		case !last && (in.Act != act || act == simd.Identity), last && in.Act != simd.Identity:
			return fmt.Errorf("layer %d has activation %v", i, in.Act)
		case in.Add >= 0 && (i == 0 || last || in.Add != in.Src), i > 0 && !last && (in.Add >= 0) != residual:
			return fmt.Errorf("layer %d has a residual connection of another kind", i)
		}
	}
	return nil
}

// RowsPass is the pass of a training step in one launch, kernels/gpu/train_fused.cu.
type RowsPass struct {
	d      *driver.Device
	l      *exec.Layout
	net    fusedNet
	module *driver.Module
	byRows map[int]*driver.Kernel
	buffer *driver.Buffer // inputs, gradients and slopes of all layers
	// BlockRows is the number of rows of a block, 4, 8 or 16; 0 chooses by the batch.
	BlockRows int
}

func newRowsPass(d *driver.Device, p *kernels.ChainTraining, l *exec.Layout, param, copied *driver.Buffer) (exec.Pass, error) {
	f := &RowsPass{d: d, l: l, byRows: map[int]*driver.Kernel{}}
	f.net.Layers, f.net.Act = int32(len(l.Layers)), int32(p.Forward[0].Act)
	if len(l.Layers) > 2 && p.Forward[1].Add >= 0 {
		f.net.Residual = 1
	}
	for i, q := range l.Layers {
		f.net.Slab = max(f.net.Slab, int32(q.LDN), int32(q.LDK))
		f.net.Layer[i] = fusedLayer{Forward: copied.At(q.Copy), Weights: param.At(q.W), Bias: param.At(q.B),
			N: int32(q.N), K: int32(q.K), Ldn: int32(q.LDN), Ldk: int32(q.LDK)}
	}
	var err error
	if f.module, err = d.Load(gpu.TrainFused); err != nil {
		return nil, err
	}
	const threads = 512
	for _, r := range []int{4, 8, 16} {
		if shared := f.shared(r, p.D); shared <= d.SharedPerBlock {
			if f.byRows[r], err = f.module.Kernel(fmt.Sprintf("train_rows_%d", r), threads, shared); err != nil {
				return nil, errors.Join(err, f.Close())
			}
		}
	}
	return f, nil
}

// shared is the shared memory of a block of r rows, as train_rows_body divides it.
func (f *RowsPass) shared(r, d int) int {
	const warps, chunk = 16, 128
	ld := r
	if r > 4 {
		ld += 4
	}
	slab := int(f.net.Slab)
	n := 4*(2*slab*ld+warps*r*chunk+maxD*r+r) + 8*(maxD*r+kernels.Coefs*r+r)
	if f.net.Residual != 0 {
		n += 4 * r * slab
	}
	return n
}

// choose returns the number of rows of a block. Fewer rows make more blocks, each of which reads all weights; there are as few rows as
// the bandwidth of L2 allows.
func (f *RowsPass) choose(n int) int {
	sms := f.d.Multiprocessors
	r := 16
	switch {
	case f.BlockRows != 0:
		r = f.BlockRows
	case n <= 4*sms/2:
		r = 4
	case n <= 8*sms:
		r = 8
	}
	for r > 4 && f.byRows[r] == nil {
		r /= 2
	}
	return r
}

func (f *RowsPass) Resize(n int) error {
	floats := 0
	for _, q := range f.l.Layers {
		floats += n * (q.LDK + 2*q.LDN)
	}
	b, err := f.d.Alloc(4 * floats)
	if err != nil {
		return fmt.Errorf("%w, for batches of %d rows", err, n)
	}
	if err := f.buffer.Free(); err != nil {
		return errors.Join(err, b.Free())
	}
	f.buffer = b
	at := 0
	take := func(ld int) uint64 {
		at += n * ld
		return b.At(at - n*ld)
	}
	for i, q := range f.l.Layers {
		l := &f.net.Layer[i]
		l.X, l.Dz, l.Slope = take(q.LDK), take(q.LDN), take(q.LDN)
	}
	return nil
}

func (f *RowsPass) X(layer int) uint64  { return f.net.Layer[layer].X }
func (f *RowsPass) DZ(layer int) uint64 { return f.net.Layer[layer].Dz }

func (f *RowsPass) Input() *driver.Buffer { return f.Activation(0) }

func (f *RowsPass) Activation(layer int) *driver.Buffer {
	at := int(f.X(layer) - f.buffer.Address())
	return f.buffer.View(at, f.buffer.Size()-at)
}

func (f *RowsPass) Launch(a exec.DrawArgs, control, rowLoss *driver.Buffer, n int, reached func(layer int) error) error {
	r := f.choose(n)
	args := driver.Pack(driver.Pack(new(driver.Args), f.net), a).Buf(control).Buf(rowLoss).I32(n).F32(exec.LossScale(int(a.Batch), int(a.D)))
	if err := f.byRows[r].Launch((n+r-1)/r, args); err != nil || reached == nil {
		return err
	}
	for i := len(f.l.Layers) - 1; i >= 0; i-- {
		if err := reached(i); err != nil {
			return err
		}
	}
	return nil
}

func (f *RowsPass) Close() error {
	err := f.buffer.Free()
	if f.module != nil {
		err = errors.Join(err, f.module.Unload())
		f.module = nil
	}
	return err
}
