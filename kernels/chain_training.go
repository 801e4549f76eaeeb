package kernels

// ChainTraining is a Chain with the gradient of its loss
//
//	loss = 1/(n·D) Σ_i w_i |net_i − target_i|²      (mean over the n samples of a batch and the D coordinates)
//
// as the graph's differentiation lowers to. Gradient buffers hold one row per sample; the loss writes buffer LossGrad
// (∂loss/∂Output), the instructions in Backward write each other buffer once, in order.
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
