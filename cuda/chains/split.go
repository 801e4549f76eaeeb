//go:build gpu && cgo

package chains

import (
	"errors"
	"fmt"
	"math"

	"hbar/cuda/driver"
	"hbar/kernels"
	"hbar/kernels/gpu"
)

const (
	// Of kernels/gpu/split.cuh: threads of a team, rows of a tile, tiles of a team.
	splitTeam, splitTile, splitTiles = 128, 16, 3
	splitTeams                       = 4 // of a block, at most
	maxSplitWidth                    = 128
)

// splitWire mirrors struct SplitNet of kernels/gpu/split.cuh.
type splitWire struct {
	D, Hidden, Act, Residual, Team int32
	Scale                          [maxLayers]float32
}

// split is a network's hidden layers in halves: words[i] of a layer is two weights, times a power of two, rounded to f16, and
// the same of what rounding left.
type split struct {
	header splitWire
	words  *driver.Buffer
}

// newSplit packs a network for the kernels of an image that multiply in halves on tensor cores, name_w64_shared and so on;
// the chain's blob has what stays in float32.
func newSplit(d *driver.Device, p *kernels.Chain, image []byte, name string) (*chain, *split, error) {
	n, err := newNet(p)
	if err != nil {
		return nil, nil, err
	}
	if err := takesSplit(d, n); err != nil {
		return nil, nil, err
	}
	c, s := &chain{d: d, net: n}, &split{header: splitWire{D: n.D, Hidden: n.Hidden, Act: n.Act, Residual: n.Residual}}
	if err := s.open(c, image, name); err != nil {
		return nil, nil, errors.Join(err, s.close(), c.close())
	}
	return c, s, nil
}

// splitMemory is the words of all hidden layers, and the bytes of shared memory that a team needs: for its activations, or
// later four parts of each output.
func splitMemory(n *net) (words, team int) {
	w := int(n.Width)
	return (int(n.Hidden) - 1) * w * w, 4 * splitTile * splitTiles * max(w, 4*int(n.D))
}

// inHalves reports whether there are kernels in halves for a program; its error is that there are no fused ones at all.
func inHalves(d *driver.Device, p *kernels.Chain) (bool, error) {
	n, err := newNet(p)
	return err == nil && takesSplit(d, n) == nil, err
}

// takesSplit says why there is no kernel for a network.
func takesSplit(d *driver.Device, n *net) error {
	words, team := splitMemory(n)
	switch {
	case n.Width > maxSplitWidth:
		return fmt.Errorf("cuda: products in halves of layers of %d units; there are kernels for up to %d", n.Width, maxSplitWidth)
	case n.Width < maxSplitWidth && 4*words+splitTeams*team > d.SharedPerBlock:
		return fmt.Errorf("cuda: products in halves of %d layers of %d units; %s has no room for them in shared memory", n.Hidden, n.Width, d.Name)
	}
	return nil
}

func (s *split) open(c *chain, image []byte, name string) (err error) {
	n, w := c.net, int(c.net.Width)
	if c.blob, err = driver.NewBuffer(c.d, n.plain()); err != nil {
		return err
	}
	if c.module, err = c.d.Load(image); err != nil {
		return err
	}
	for l := 1; l < int(n.Hidden); l++ {
		s.header.Scale[l] = powerOfTwo(n.blob[n.W[l] : int(n.W[l])+w*w])
	}
	words, team := splitMemory(n)
	s.header.Team = int32(team / 4)
	if s.words, err = c.d.Alloc(max(16, 4*words)); err != nil {
		return err
	}
	if words > 0 {
		if err := s.pack(c, words); err != nil {
			return err
		}
	}
	memory := "shared"
	c.sharedWords = words
	if 4*words+splitTeams*team > c.d.SharedPerBlock {
		memory, c.sharedWords = "stream", 0
	}
	teams := min(splitTeams, (c.d.SharedPerBlock-4*c.sharedWords)/team)
	c.kernel, err = c.module.Kernel(fmt.Sprintf("%s_w%d_%s", name, w, memory), splitTeam*teams, 4*c.sharedWords+teams*team)
	return err
}

// pack fills words.
func (s *split) pack(c *chain, words int) (err error) {
	m, err := c.d.Load(gpu.SplitPack)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.d.Synchronize(), m.Unload()) }()
	k, err := m.Kernel(fmt.Sprintf("split_pack_w%d", c.net.Width), 256, 0)
	if err != nil {
		return err
	}
	blob, err := driver.NewBuffer(c.d, c.net.blob)
	if err != nil {
		return err
	}
	err = k.Launch((words/2+255)/256, driver.Pack(driver.Pack(new(driver.Args), c.net.netHeader), s.header).Buf(blob).Buf(s.words))
	return errors.Join(err, blob.Free())
}

// close frees the network's memory; a nil split has none.
func (s *split) close() error {
	if s == nil {
		return nil
	}
	return s.words.Free()
}

// plain holds the parameters that stay in float32, units in the order of the network: the first layer's weights, the biases of the
// other layers, the head.
func (n *net) plain() []float32 {
	w, d := int(n.Width), int(n.D)
	var blob []float32
	for i := range d {
		for u := range w {
			blob = append(blob, n.blob[int(n.W[0])+i*w+unitSlot(u)])
		}
	}
	for l := 1; l < int(n.Hidden); l++ {
		blob = append(blob, n.blob[n.B[l]:int(n.B[l])+w]...)
	}
	return append(blob, n.blob[n.Head:int(n.Head)+w*d+d]...)
}

// powerOfTwo is the factor that brings the largest of some weights to between 2¹³ and 2¹⁴. The largest f16 is below 2¹⁶, and numbers
// below 2⁻¹⁴ have fewer digits.
func powerOfTwo(w []float32) float32 {
	largest := 0.0
	for _, v := range w {
		largest = max(largest, math.Abs(float64(v)))
	}
	if largest == 0 {
		return 1
	}
	_, e := math.Frexp(largest)
	return float32(math.Ldexp(1, min(max(14-e, -100), 100)))
}
