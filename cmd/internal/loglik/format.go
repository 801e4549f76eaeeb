package loglik

import (
	"fmt"
	"math"
)

// plainLimit is the size from which on a number is written with an exponent.
const plainLimit = 1e7

// Missing stands in a table where there is no figure.
const Missing = "–"

// Fixed writes a figure of a table in nats: five decimals, or six digits and an exponent where that would be long. NaN is Missing.
func Fixed(v float64) string {
	if math.IsNaN(v) {
		return Missing
	}
	if math.Abs(v) < plainLimit {
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

// Lone explains the Missing standard errors of the summaries that one point alone is in; "" if there are none.
func Lone(of []Summary) string {
	for _, s := range of {
		if s.N == 1 {
			return "one point has no standard error over points: " + Missing
		}
	}
	return ""
}

// PlusMinus is a figure with its standard error, or alone where there is none.
func PlusMinus(v, stderr float64) string {
	if math.IsNaN(stderr) {
		return Fixed(v)
	}
	return Fixed(v) + " ± " + Fixed(stderr)
}

// InDataUnits is the mean NLL in data units, in nats.
func (s Summary) InDataUnits() string {
	if s.DataUnits == nil {
		return Missing
	}
	return Fixed(s.DataUnits.NLLNats.Value)
}
