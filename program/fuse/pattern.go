package fuse

// Pattern is a pattern that only some back ends have a kernel for.
type Pattern int

const (
	// KeepSlopes has dense layers store the derivatives of their activations for the backward pass (Layer.Slope), and joins the
	// products with them to the cotangents (DenseInputTimes).
	KeepSlopes Pattern = iota
	// KeepProbabilities has attentions store their matrices of probabilities for the backward pass (KeptAttention), which then has four
	// products in place of five and no exponentials, if the matrices of a sample are not too large.
	KeepProbabilities
)
