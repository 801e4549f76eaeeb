package nets

import (
	"math"
	"math/rand/v2"

	"hbar/kernels"
)

// draw is the distribution of a parameter's initial values.
type draw struct {
	kind    drawKind
	scale   float64
	in, out int   // inputs and outputs of a unit, of kind xavier
	grid    []int // of kind positions
}

type drawKind uint8

const (
	constant  drawKind = iota // scale
	xavier                    // uniform on ±√(6/(in + out)) (Glorot 2010)
	uniform                   // uniform on ±scale
	normal                    // normal with deviation scale
	positions                 // sinusoids of the positions of a grid
)

var (
	zeros       = draw{}
	ones        = draw{scale: 1}
	xavierDraw  = draw{kind: xavier}
	smallNormal = draw{kind: normal, scale: 0.02}
)

// sized is d for a layer of that many inputs and outputs to a unit.
func (d draw) sized(in, out int) draw {
	d.in, d.out = in, out
	return d
}

func (d draw) fill(dst []float32, seed uint64, i int) {
	r := rand.New(kernels.NewSource(seed, kernels.StreamInit, uint64(i)))
	switch d.kind {
	case constant:
		for j := range dst {
			dst[j] = float32(d.scale)
		}
	case xavier, uniform:
		bound := d.scale
		if d.kind == xavier {
			bound = math.Sqrt(6 / float64(d.in+d.out))
		}
		for j := range dst {
			dst[j] = float32(bound * (2*r.Float64() - 1))
		}
	case normal:
		for j := range dst {
			dst[j] = float32(d.scale * r.NormFloat64())
		}
	case positions:
		encodePositions(dst, d.grid)
	}
}

// Initialise draws the weights as each architecture's authors do. Parameter i comes from sample i of the stream StreamInit
// of seed.
//
//	MLP    PyTorch's nn.Linear: uniform on ±1/√inputs
//	U-Net  Ho 2020 (arXiv:2006.11239, its code): Xavier uniform, biases zero; the last convolution of each residual block, the
//	       last layer of each attention and conv_out zero, so that a new network returns 0
//	DiT    Peebles and Xie 2023 (arXiv:2212.09748): Xavier uniform, N(0, 0.02²) for the embeddings of time and label; all
//	       modulations and the final layer zero, so that a new network returns 0
func (n *Network) Initialise(seed uint64) {
	n.Weights = make([][]float32, len(n.Params))
	for i, p := range n.Params {
		n.Weights[i] = make([]float32, p.Size())
		p.init.fill(n.Weights[i], seed, i)
	}
}
