package graph

// Spec describes a score network: D coordinates and a time in, D out.
//
//	input   [x, time features]                                  D + 1 or D + 2·Fourier columns
//	dense0  → Width, activation
//	dense1 … dense{Depth-1}  Width → Width, activation (with Residual: h + act(dense(h)))
//	dense{Depth}  → D
type Spec struct {
	D        int    // dimensions of a sample
	Width    int    // units of a hidden layer
	Depth    int    // hidden layers
	Act      string // "silu", "gelu" or "tanh"
	Residual bool
	// Fourier is the number of random frequencies of the Gaussian Fourier time embedding, drawn with standard deviation
	// FourierScale; 0 feeds the time itself, as arXiv:2403.11262 does.
	Fourier      int
	FourierScale float64
}
