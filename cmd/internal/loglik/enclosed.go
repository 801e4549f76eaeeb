package loglik

import "math"

// Enclosed are means over generated points of the bounds on log q^h of the chain, in nats of the network's coordinates. The width
// is paired by point: it is the error that the method makes at this h and D.
type Enclosed struct {
	Lower       Number `json:"lower"`
	LowerStdErr Number `json:"lower_stderr"`
	Upper       Number `json:"upper"`
	UpperStdErr Number `json:"upper_stderr"`
	Width       Number `json:"width"`
	WidthStdErr Number `json:"width_stderr"`
	N           int    `json:"n"`
}

// enclosed is nil without points that have both bounds.
func enclosed(values []Value) *Enclosed {
	var lower, upper, width []float64
	for _, v := range values {
		if b := v.Bounds; b != nil && b.Upper-b.Lower-(b.Upper-b.Lower) == 0 {
			lower, upper, width = append(lower, b.Lower), append(upper, b.Upper), append(width, b.Upper-b.Lower)
		}
	}
	if len(width) == 0 {
		return nil
	}
	e := &Enclosed{N: len(width)}
	for _, c := range []struct {
		values       []float64
		mean, stderr *Number
	}{{lower, &e.Lower, &e.LowerStdErr}, {upper, &e.Upper, &e.UpperStdErr}, {width, &e.Width, &e.WidthStdErr}} {
		mean, variance := meanVariance(c.values)
		*c.mean, *c.stderr = Number(mean), Number(math.Sqrt(variance/float64(e.N)))
	}
	return e
}
