package loglik

import (
	"fmt"
	"math"
)

// plainLimit is the size from which on a number is written with an exponent.
const plainLimit = 1e7

// Fixed writes a figure of a table in nats: five decimals, or six digits and an exponent where that would be long.
func Fixed(v float64) string {
	if math.Abs(v) < plainLimit || math.IsNaN(v) {
		return fmt.Sprintf("%.5f", v)
	}
	return fmt.Sprintf("%.6g", v)
}

// Signed is Fixed with a sign.
func Signed(v float64) string {
	if v >= 0 {
		return "+" + Fixed(v)
	}
	return Fixed(v)
}

// InDataUnits is the mean NLL in data units, in nats.
func (s Summary) InDataUnits() string {
	if s.DataUnits == nil {
		return "NaN"
	}
	return Fixed(s.DataUnits.NLLNats.Value)
}
