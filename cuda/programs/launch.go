//go:build gpu && cgo

package programs

import (
	"fmt"

	"hbar/cuda/driver"
	"hbar/kernels/gpu"
)

// Kernels are the modules of a device's program kernels, loaded when first asked for.
type Kernels struct {
	d       *driver.Device
	modules map[string]*driver.Module
	kernels map[string]*driver.Kernel
}

// NewKernels returns the kernels for a device.
func NewKernels(d *driver.Device) *Kernels {
	return &Kernels{d: d, modules: map[string]*driver.Module{}, kernels: map[string]*driver.Kernel{}}
}

var images = map[string]*[]byte{
	"elements": &gpu.NetElements, "norms": &gpu.NetNorms, "products": &gpu.NetProducts, "products_wgmma": &gpu.NetProductsWarpgroups, "weights_wgmma": &gpu.NetWeightsWarpgroups,
	"attention": &gpu.NetAttention, "strips": &gpu.NetAttentionStrips, "inputs": &gpu.NetInputs, "steps": &gpu.NetSteps, "scan": &gpu.NetScan, "peak": &gpu.NetPeak,
}

// find returns a kernel of a module, with threads and bytes of shared memory of a block.
func (k *Kernels) find(module, name string, threads, shared int) (*driver.Kernel, error) {
	if f := k.kernels[name]; f != nil {
		return f, nil
	}
	m := k.modules[module]
	if m == nil {
		var err error
		if m, err = k.d.Load(*images[module]); err != nil {
			return nil, fmt.Errorf("cuda: kernels of %s: %w", module, err)
		}
		k.modules[module] = m
	}
	f, err := m.Kernel(name, threads, shared)
	if err != nil {
		return nil, err
	}
	k.kernels[name] = f
	return f, nil
}

// Close unloads the modules.
func (k *Kernels) Close() (err error) {
	for _, m := range k.modules {
		if e := m.Unload(); err == nil {
			err = e
		}
	}
	clear(k.modules)
	clear(k.kernels)
	return err
}

// launch enqueues a kernel on a grid of blocks. Its error is kept for the end of the pass.
func (x *Executor) launch(k *driver.Kernel, grid int, a *driver.Args) {
	if x.err == nil && grid > 0 {
		x.err = k.Launch(grid, a)
	}
}

// blocks is the number of blocks for a loop over count elements: as many as keep the device busy, the kernel's loop does the rest.
func (x *Executor) blocks(k *driver.Kernel, count int) int {
	return min((count+k.Block()-1)/k.Block(), 32*x.d.Multiprocessors)
}

// each enqueues a kernel over count elements.
func (x *Executor) each(k *driver.Kernel, count int, a *driver.Args) {
	x.launch(k, x.blocks(k, count), a)
}

// kernel binds a kernel for x.
func (x *Executor) kernel(module, name string, threads, shared int) (*driver.Kernel, error) {
	return x.k.find(module, name, threads, shared)
}
