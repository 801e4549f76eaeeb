//go:build gpu && cgo

package chains

import (
	"fmt"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// The limits of the fused kernels; kernels/gpu/device.cuh has the same.
const (
	maxLayers = 16
	maxD      = 32
	maxWidth  = 256
)

// netHeader has the layout of struct Net of kernels/gpu/device.cuh.
type netHeader struct {
	D, Width, Hidden, Act, Residual, Head int32
	W, B                                  [maxLayers]int32
}

// net is a chain of dense layers in the layout of the fused kernels: hidden layers of equal widths, padded with zeros.
type net struct {
	netHeader
	act  simd.Act
	blob []float32
	// first layer on the host: its bias and the weights of the time features make the bias of every row
	b0, wt []float32 // [width], [width][features], units in natural order
	time   kernels.TimeFeature
}

// unitSlot is where unit n of a layer is stored; see unit_slot in device.cuh.
func unitSlot(n int) int { return n&^63 + n&15*4 + n>>4&3 }

// Takes returns an error that says why the fused kernels do not take a network, nil if they do.
func Takes(p *kernels.Chain) error {
	_, err := newNet(p)
	return err
}

// newNet packs a network. The error says why the fused kernels do not take it.
func newNet(p *kernels.Chain) (*net, error) {
	hidden := len(p.Forward) - 1
	if hidden < 1 || hidden > maxLayers {
		return nil, fmt.Errorf("cuda: %d hidden layers; the fused kernels take 1 to %d", hidden, maxLayers)
	}
	if p.D > maxD {
		return nil, fmt.Errorf("cuda: %d dimensions; the fused kernels take up to %d", p.D, maxD)
	}
	units := p.Widths[p.Forward[0].Dst]
	width := (units + 63) / 64 * 64
	if width > 128 {
		width = (units + 127) / 128 * 128
	}
	if width > maxWidth {
		return nil, fmt.Errorf("cuda: width %d; the fused kernels take up to %d", units, maxWidth)
	}
	n := &net{act: p.Forward[0].Act, time: p.Time}
	n.D, n.Width, n.Hidden, n.Act = int32(p.D), int32(width), int32(hidden), int32(p.Forward[0].Act)
	for i, ins := range p.Forward {
		if ins.Op != kernels.OpDense || ins.Src != i || ins.Dst != i+1 {
			return nil, fmt.Errorf("cuda: instruction %d is not the next layer of a chain", i)
		}
		last := i == hidden
		residual := ins.Add >= 0
		switch {
		case last && (ins.Act != simd.Identity || residual):
			return nil, fmt.Errorf("cuda: the last layer has an activation or a residual connection")
		case !last && (ins.Act != n.act || ins.Act == simd.Identity):
			return nil, fmt.Errorf("cuda: hidden layers with different activations or none")
		case !last && p.Widths[ins.Dst] != units:
			return nil, fmt.Errorf("cuda: hidden layers of different widths")
		case residual && (i == 0 || ins.Add != ins.Src):
			return nil, fmt.Errorf("cuda: a residual connection that skips more than its own layer")
		}
		if i == 1 && residual {
			n.Residual = 1
		}
		if i > 1 && !last && residual != (n.Residual == 1) {
			return nil, fmt.Errorf("cuda: residual connections on some hidden layers only")
		}
		w, b := p.Params[ins.W], p.Params[ins.B]
		if last {
			n.head(w, b, units)
			continue
		}
		in := w.Cols
		if i == 0 {
			in = p.D
			n.first(w, b, units)
		}
		n.W[i] = int32(len(n.blob))
		rows := in
		if i > 0 {
			rows = width
		}
		layer := make([]float32, rows*width)
		for u := range units {
			for k := range in {
				layer[k*width+unitSlot(u)] = w.Data[u*w.Cols+k]
			}
		}
		n.blob = append(n.blob, layer...)
		n.B[i] = int32(len(n.blob))
		if i > 0 {
			bias := make([]float32, width)
			copy(bias, b.Data)
			n.blob = append(n.blob, bias...)
		}
	}
	return n, nil
}

func (n *net) first(w, b kernels.Param, units int) {
	f := n.time.Width()
	n.b0, n.wt = make([]float32, n.Width), make([]float32, int(n.Width)*f)
	copy(n.b0, b.Data)
	for u := range units {
		copy(n.wt[u*f:(u+1)*f], w.Data[u*w.Cols+w.Cols-f:(u+1)*w.Cols])
	}
}

func (n *net) head(w, b kernels.Param, units int) {
	d := int(n.D)
	n.Head = int32(len(n.blob))
	head := make([]float32, int(n.Width)*d+d)
	for o := range d {
		for u := range units {
			head[u*d+o] = w.Data[o*w.Cols+u]
		}
		head[int(n.Width)*d+o] = b.Data[o]
	}
	n.blob = append(n.blob, head...)
	for len(n.blob)%4 != 0 { // what follows in shared memory is read 16 bytes at a time
		n.blob = append(n.blob, 0)
	}
}

// bias writes the first layer's bias at network time tau (its own and the time features' part, summed in float64), scaled.
func (n *net) bias(dst []float32, tau float64, scale float32) {
	f := make([]float32, n.time.Width())
	n.time.Fill(f, tau)
	for u := range dst {
		s := float64(n.b0[u])
		for j, v := range f {
			s += float64(n.wt[u*len(f)+j]) * float64(v)
		}
		dst[u] = scale * float32(s)
	}
}
