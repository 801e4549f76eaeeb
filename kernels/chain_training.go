package kernels

import "fmt"

// ChainTraining is a Chain with the gradient of its loss
//
//	loss = 1/(n·D) Σ_i w_i |net_i − target_i|²      (mean over the n samples of a batch and the D coordinates)
//
// as package graph derives it. Gradient buffers hold one row for each sample. The loss writes buffer LossGrad (∂loss/∂Output);
// the instructions in Backward write each of the other buffers once, in order.
type ChainTraining struct {
	Chain
	GradWidths []int // width of each gradient buffer
	LossGrad   int
	Backward   []BackInstr
}

// BackOp says what a backward instruction does.
type BackOp uint8

const (
	// BackInput: Dst = Src W (∂loss/∂input of a dense layer from ∂loss/∂its sum), plus the rows of Add unless Add < 0,
	// all times f′ of forward buffer Act's activation unless Act < 0.
	BackInput BackOp = iota
	// BackAct: Dst = Src · f′ of forward buffer Act's activation.
	BackAct
	// BackParams: the gradients of W and B from Src and the layer's input, forward buffer X: Srcᵀ X and the column
	// sums of Src.
	BackParams
)

// BackInstr is one instruction of the backward pass. Dst, Src and Add index GradWidths, X and Act index Widths, W and B
// index Params.
type BackInstr struct {
	Op            BackOp
	Dst, Src, Add int
	X, Act        int
	W, B          int
}

// Validate reports the first thing that executors of a ChainTraining do not run. Chain.Validate checks the embedded chain.
func (p *ChainTraining) Validate() error {
	used := make([]int, len(p.Params))
	first := make([]bool, len(p.Params)) // weights of layers on the network's input
	for _, in := range p.Forward {
		if in.Op != OpDense {
			return fmt.Errorf("kernels: forward instruction %d unknown; have dense (%d)", in.Op, OpDense)
		}
		if in.W == in.B {
			return fmt.Errorf("kernels: a dense layer has parameter %d as weight and bias", in.W)
		}
		used[in.W]++
		used[in.B]++
		first[in.W] = in.Src == 0
		w, b := p.Params[in.W], p.Params[in.B]
		if w.Rows != p.Widths[in.Dst] || w.Cols != p.Widths[in.Src] || b.Rows != w.Rows || b.Cols != 1 {
			return fmt.Errorf("kernels: %s [%d, %d] and %s [%d, %d] do not map %d units to %d", w.Name, w.Rows, w.Cols, b.Name, b.Rows, b.Cols, p.Widths[in.Src], p.Widths[in.Dst])
		}
	}
	for i, q := range p.Params {
		if used[i] != 1 {
			return fmt.Errorf("kernels: %s is used by %d layers; a parameter belongs to one", q.Name, used[i])
		}
		if len(q.Data) != q.Rows*q.Cols {
			return fmt.Errorf("kernels: %s has %d values; its shape is [%d, %d]", q.Name, len(q.Data), q.Rows, q.Cols)
		}
	}
	graded := make([]int, len(p.Params))
	for _, in := range p.Backward {
		switch in.Op {
		case BackAct:
		case BackInput:
			if first[in.W] {
				return fmt.Errorf("kernels: the gradient of the network's input, through %s, is not made here", p.Params[in.W].Name)
			}
		case BackParams:
			graded[in.W]++
			graded[in.B]++
		default:
			return fmt.Errorf("kernels: backward instruction %d unknown; have input (%d), act (%d), params (%d)", in.Op, BackInput, BackAct, BackParams)
		}
	}
	for i, n := range graded {
		if n != 1 {
			return fmt.Errorf("kernels: %s has %d gradients in the program; it must have one", p.Params[i].Name, n)
		}
	}
	return nil
}
