//go:build gpu && cgo

package cuda

import (
	"fmt"

	"hbar/kernels"
)

// paramTile mirrors struct ParamTile of kernels/gpu/train.cu: tileUnits × tileInputs weights of a layer.
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

// trainLayer is a dense layer of n units with k inputs and where it lies in the flat vectors of parameters, gradients, moments
// and averages: its weights [n][ldk], then its biases. Row strides are multiples of 4, so that rows are read 16 bytes at a
// time; what is beyond n and k stays zero.
type trainLayer struct {
	weight, bias int // parameters of the program
	n, k         int
	ldn, ldk     int
	w, b         int // offsets
	copy         int // offset in the transposed copy of the weights [k][ldn]; −1 for none
	x, dz        int // forward and gradient buffers of the program
}

// paramLayout is the flat vectors of a program.
type paramLayout struct {
	params []kernels.Param
	layers []trainLayer
	size   int // of a vector
	copies int // of the transposed copies
}

// round4 is the next multiple of 4.
func round4(n int) int { return (n + 3) &^ 3 }

func newParamLayout(p *kernels.ChainTraining, copies bool) (*paramLayout, error) {
	l := &paramLayout{params: p.Params}
	grad := map[int]kernels.BackInstr{} // by weight
	for _, in := range p.Backward {
		if in.Op == kernels.BackParams {
			grad[in.W] = in
		}
	}
	for _, in := range p.Forward {
		w := p.Params[in.W]
		q := trainLayer{weight: in.W, bias: in.B, n: w.Rows, k: w.Cols, ldn: round4(w.Rows), ldk: round4(w.Cols), copy: -1,
			x: grad[in.W].X, dz: grad[in.W].Src}
		q.w = l.size
		q.b = q.w + q.n*q.ldk
		l.size = q.b + q.ldn
		if copies {
			q.copy = l.copies
			l.copies += q.k * q.ldn
		}
		l.layers = append(l.layers, q)
	}
	if l.size > 1<<31-1 {
		return nil, fmt.Errorf("cuda: a network of %d parameters; training takes up to 2^31 − 1", l.size)
	}
	return l, nil
}

// tiles cuts the parameters; x and dz are the addresses of the layers' inputs, 0 where the weights' gradients are made
// elsewhere, and of the gradients of their sums.
func (l *paramLayout) tiles(x, dz func(layer int) uint64) []paramTile {
	var out []paramTile
	for i, q := range l.layers {
		px, pdz := x(i), dz(i)
		for o := 0; o < q.n; o += tileUnits {
			for k := 0; k < q.k; k += tileInputs {
				t := paramTile{X: px + 4*uint64(k), Dz: pdz + 4*uint64(o), Ldk: int32(q.ldk), Ldn: int32(q.ldn),
					K: int32(min(tileInputs, q.k-k)), N: int32(min(tileUnits, q.n-o)), W: int32(q.w + o*q.ldk + k), B: -1, Copy: -1}
				if px == 0 {
					t.X = 0
				}
				if k == 0 {
					t.B = int32(q.b + o)
				}
				if q.copy >= 0 {
					t.Copy = int64(q.copy + k*q.ldn + o)
				}
				out = append(out, t)
			}
		}
	}
	return out
}

// pack converts from the natural layout of parameters.
func (l *paramLayout) pack(dst []float32, src [][]float32) {
	for _, q := range l.layers {
		for o := range q.n {
			copy(dst[q.w+o*q.ldk:][:q.k], src[q.weight][o*q.k:])
		}
		copy(dst[q.b:][:q.n], src[q.bias])
	}
}

// unpack converts to the natural layout; dst is made if nil.
func (l *paramLayout) unpack(dst [][]float32, src []float32) [][]float32 {
	if dst == nil {
		dst = make([][]float32, len(l.params))
		for i, q := range l.params {
			dst[i] = make([]float32, q.Rows*q.Cols)
		}
	}
	for _, q := range l.layers {
		for o := range q.n {
			copy(dst[q.weight][o*q.k:][:q.k], src[q.w+o*q.ldk:])
		}
		copy(dst[q.bias][:q.n], src[q.b:])
	}
	return dst
}
