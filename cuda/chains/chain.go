//go:build gpu && cgo

package chains

import (
	"errors"
	"fmt"

	"hbar/cuda/driver"
	"hbar/kernels"
)

// chainRows is the number of rows that a warp takes through the network at a time: ROWS of kernels/gpu/chain.cuh.
const chainRows = 24

// chain is a network on a device for the kernels that are built on kernels/gpu/chain.cuh.
type chain struct {
	d           *driver.Device
	net         *net
	module      *driver.Module
	kernel      *driver.Kernel
	blob        *driver.Buffer
	sharedWords int // words of the network in shared memory
}

// newChain packs a network, uploads it and chooses the kernel name_shared or name_stream of an image. The weights are in shared
// memory if it has room for them and four warps, else they are read through the caches.
func newChain(d *driver.Device, p *kernels.Chain, image []byte, name string) (*chain, error) {
	n, err := newNet(p)
	if err != nil {
		return nil, err
	}
	c := &chain{d: d, net: n}
	if err := c.open(image, name); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *chain) open(image []byte, name string) (err error) {
	if c.blob, err = driver.NewBuffer(c.d, c.net.blob); err != nil {
		return err
	}
	if c.module, err = c.d.Load(image); err != nil {
		return err
	}
	slabs := 1
	if c.net.Width > 128 || c.net.Residual != 0 {
		slabs = 2
	}
	warp, weights, memory := 4*slabs*int(c.net.Width)*chainRows, 4*int(c.net.Head), "shared"
	if weights+4*warp > c.d.SharedPerBlock {
		weights, memory = 0, "stream"
	}
	warps := min(8, (c.d.SharedPerBlock-weights)/warp)
	c.sharedWords = weights / 4
	c.kernel, err = c.module.Kernel(fmt.Sprintf("%s_%s", name, memory), 32*warps, weights+warps*warp)
	return err
}

func (c *chain) close() error {
	err := c.blob.Free()
	if c.module != nil {
		err = errors.Join(err, c.module.Unload())
		c.module = nil
	}
	return err
}

// warps is the number of warps of a block.
func (c *chain) warps() int { return c.kernel.Block() / 32 }

// macs is the approximate number of multiply-adds of a row.
func (c *chain) macs() float64 {
	w := float64(c.net.Width)
	return w * (w*float64(c.net.Hidden-1) + 2*float64(c.net.D))
}

// launchMACs is the approximate number of multiply-adds of one launch, which takes well below a second on an H200. The context is
// checked between launches.
const launchMACs = 1e12

// free releases buffers.
func free(bufs ...*driver.Buffer) (err error) {
	for _, b := range bufs {
		err = errors.Join(err, b.Free())
	}
	return err
}
