package exec

import (
	"fmt"
	"slices"
	"strings"
)

// Precision is the arithmetic of a network on the device.
type Precision int

const (
	// FP32 is float32's accuracy throughout.
	FP32 Precision = iota
	// F16 multiplies the hidden layers of a chain of dense layers in half precision on tensor cores with float32 accumulators; the
	// state, the first and the last layer stay in float32. Relative error about 2·10⁻⁴ an evaluation. In other networks it rounds the factors of dense
	// layers, convolutions and attention to 11 bits, and those from 65520 on in size to infinity; all other products are as in TF32. It is for sampling.
	F16
	// TF32 rounds the factors of products to 11 bits, in networks that are no chains.
	TF32
	// BF16 rounds the factors of products to 8 bits, in networks that are no chains.
	BF16
)

var names = [...]string{FP32: "fp32", F16: "f16", TF32: "tf32", BF16: "bf16"}

// PrecisionNames are those that ParsePrecision reads.
func PrecisionNames() []string { return slices.Clone(names[:]) }

// ParsePrecision reads the name of a precision.
func ParsePrecision(s string) (Precision, error) {
	if i := slices.Index(names[:], s); i >= 0 {
		return Precision(i), nil
	}
	return 0, fmt.Errorf("cuda: precision %q unknown; have %s", s, strings.Join(names[:], ", "))
}

func (p Precision) String() string { return names[p] }

// OfChains is an error for a precision that chains of dense layers are not computed in.
func (p Precision) OfChains() error {
	if p == FP32 || p == F16 {
		return nil
	}
	return fmt.Errorf("cuda: %v is for networks of convolutions and attention; chains of dense layers have fp32 and f16", p)
}

// OfTraining is an error for a precision that other networks are not trained in.
func (p Precision) OfTraining() error {
	if p != F16 {
		return nil
	}
	return fmt.Errorf("cuda: networks of convolutions and attention are not trained in f16, whose range is too small for gradients; they train in fp32, tf32 and bf16")
}

// Halves reports whether products have factors of 16 bits.
func (p Precision) Halves() bool { return p == F16 || p == BF16 }
