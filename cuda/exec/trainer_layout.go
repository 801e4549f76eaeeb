//go:build gpu && cgo

package exec

import (
	"fmt"

	"hbar/kernels"
)

// paramTile has the layout of struct ParamTile of kernels/gpu/train.cu: tileUnits × tileInputs weights of a layer.
type paramTile struct {
	X, Dz    uint64
	Ldk, Ldn int32
	K, N     int32
	W, B     int32
	Copy     int64
}

const (
	tileUnits  = 16
	tileInputs = 32
)

// Layer is a dense layer of N units with K inputs, and its position in the flat vectors of parameters, gradients, moments and
// averages: its weights [N][LDK], then its biases. Row strides are multiples of 4, so that rows can be read 16 bytes at a time;
// the padding beyond N and K stays zero.
type Layer struct {
	weight, bias int // parameters of the program
	N, K         int
	LDN, LDK     int
	W, B         int // offsets
	Copy         int // offset in the transposed copy of the weights [K][LDN]; −1 for none
	x, dz        int // forward and gradient buffers of the program
}

// Layout describes the flat vectors of a network.
type Layout struct {
	params []kernels.Param
	Layers []Layer
	size   int // of a vector
	copies int // of the transposed copies
}

// round4 is the next multiple of 4.
func round4(n int) int { return (n + 3) &^ 3 }

func newParamLayout(p *kernels.ChainTraining, copies bool) (*Layout, error) {
	l := &Layout{params: p.Params}
	grad := map[int]kernels.BackInstr{} // by weight
	for _, in := range p.Backward {
		if in.Op == kernels.BackParams {
			grad[in.W] = in
		}
	}
	for _, in := range p.Forward {
		w := p.Params[in.W]
		q := Layer{weight: in.W, bias: in.B, N: w.Rows, K: w.Cols, LDN: round4(w.Rows), LDK: round4(w.Cols), Copy: -1,
			x: grad[in.W].X, dz: grad[in.W].Src}
		q.W = l.size
		q.B = q.W + q.N*q.LDK
		l.size = q.B + q.LDN
		if copies {
			q.Copy = l.copies
			l.copies += q.K * q.LDN
		}
		l.Layers = append(l.Layers, q)
	}
	if l.size > 1<<31-1 {
		return nil, fmt.Errorf("cuda: a network of %d parameters; training takes up to 2^31 − 1", l.size)
	}
	return l, nil
}

// tiles cuts the parameters into tiles. x and dz return the addresses of a layer's input and of the gradient of its sums; x returns 0
// if the gradient of the weights is computed elsewhere.
func (l *Layout) tiles(x, dz func(layer int) uint64) []paramTile {
	var out []paramTile
	for i, q := range l.Layers {
		px, pdz := x(i), dz(i)
		for o := 0; o < q.N; o += tileUnits {
			for k := 0; k < q.K; k += tileInputs {
				t := paramTile{X: px + 4*uint64(k), Dz: pdz + 4*uint64(o), Ldk: int32(q.LDK), Ldn: int32(q.LDN),
					K: int32(min(tileInputs, q.K-k)), N: int32(min(tileUnits, q.N-o)), W: int32(q.W + o*q.LDK + k), B: -1, Copy: -1}
				if px == 0 {
					t.X = 0
				}
				if k == 0 {
					t.B = int32(q.B + o)
				}
				if q.Copy >= 0 {
					t.Copy = int64(q.Copy + k*q.LDN + o)
				}
				out = append(out, t)
			}
		}
	}
	return out
}

// tiles is the number of the layer's tiles.
func (q *Layer) tiles() int {
	return (q.N + tileUnits - 1) / tileUnits * ((q.K + tileInputs - 1) / tileInputs)
}

// pack converts from the natural layout of parameters.
func (l *Layout) pack(dst []float32, src [][]float32) {
	for _, q := range l.Layers {
		for o := range q.N {
			copy(dst[q.W+o*q.LDK:][:q.K], src[q.weight][o*q.K:])
		}
		copy(dst[q.B:][:q.N], src[q.bias])
	}
}

// unpack converts to the natural layout; dst is made if nil.
func (l *Layout) unpack(dst [][]float32, src []float32) [][]float32 {
	if dst == nil {
		dst = make([][]float32, len(l.params))
		for i, q := range l.params {
			dst[i] = make([]float32, q.Rows*q.Cols)
		}
	}
	for _, q := range l.Layers {
		for o := range q.N {
			copy(dst[q.weight][o*q.K:][:q.K], src[q.W+o*q.LDK:])
		}
		copy(dst[q.bias][:q.N], src[q.B:])
	}
	return dst
}
