package kernels

import "hbar/kernels/simd"

// Chain is a score network of dense layers as a list of instructions over buffers. A buffer holds a row for each sample of a batch of
// any size (or several rows, for tangents and jets); Widths has the lengths of the rows.
//
// Buffer 0 is the network input: the D sample coordinates (already scaled by c_in), then the time features.
// The instructions in Forward write each buffer once, in order. Output names the buffer of width D.
type Chain struct {
	D       int         // dimensions of a sample
	Time    TimeFeature // how t enters buffer 0
	Params  []Param     // weights and biases, in checkpoint order
	Widths  []int       // width of each buffer; Widths[0] = D + Time.Width()
	Forward []Instr
	Output  int
}

// Param is one parameter as checkpoints hold it, row-major: a weight [Rows = out, Cols = in] or a bias [Rows = out, Cols = 1].
type Param struct {
	Name       string // as in the checkpoint: dense0.weight
	Rows, Cols int
	Data       []float32
}

// Op says what an instruction does.
type Op uint8

const (
	// OpDense: Dst = Act(Src Wᵀ + B), plus the rows of Add unless Add < 0 (the residual connection).
	OpDense Op = iota
)

// Instr is one instruction of a chain. W and B index Params; Dst, Src and Add index Widths.
type Instr struct {
	Op            Op
	Dst, Src, Add int
	W, B          int
	Act           simd.Act
}

// TimeFeature maps the time input c_noise(t) of a network to the columns appended to x.
//
// With Freqs nil the feature is the time itself (one column, the choice of arXiv:2403.11262). Otherwise it is the
// Gaussian Fourier embedding [sin(2π f τ), cos(2π f τ)] over all frequencies f, sines first (Tancik 2020, Song 2021).
type TimeFeature struct {
	Freqs []float32
}

// Width is the number of columns.
func (f TimeFeature) Width() int {
	if f.Freqs == nil {
		return 1
	}
	return 2 * len(f.Freqs)
}
