package exec

import "fmt"

// Precision is the arithmetic of a network on the device.
type Precision int

const (
	// FP32 is float32 throughout.
	FP32 Precision = iota
	// F16 multiplies the hidden layers in half precision on tensor cores with float32 accumulators; the state, the first and
	// the last layer stay in float32. Relative error about 2·10⁻⁴ an evaluation.
	F16
)

// PrecisionNames are those that ParsePrecision reads.
func PrecisionNames() []string { return []string{FP32.String(), F16.String()} }

// ParsePrecision reads "fp32" or "f16".
func ParsePrecision(s string) (Precision, error) {
	switch s {
	case "fp32":
		return FP32, nil
	case "f16":
		return F16, nil
	}
	return 0, fmt.Errorf("cuda: precision %q unknown; have fp32, f16", s)
}

func (p Precision) String() string {
	if p == F16 {
		return "f16"
	}
	return "fp32"
}
