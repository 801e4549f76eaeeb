package data

import (
	"fmt"
	"math"
)

// extent is the least and the largest value of the set, in data units.
func (s *Dataset) extent() (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	if s.Bytes == nil {
		for _, v := range s.X {
			lo, hi = min(lo, v), max(hi, v)
		}
		return lo, hi
	}
	for v, n := range s.byteCounts() {
		if n > 0 {
			lo, hi = min(lo, float64(v)), max(hi, float64(v))
		}
	}
	return lo, hi
}

// Levels are the numbers that a network sees of the bytes of a set on one scale. ok is false for other sets.
func (s *Dataset) Levels() (value [256]float32, ok bool) {
	if s.Bytes == nil || len(s.Norm.Mean) > 1 || len(s.Norm.Scale) > 1 {
		return value, false
	}
	var all [256]byte
	for v := range all {
		all[v] = byte(v)
	}
	s.Norm.ApplyBytes(value[:], all[:], 1)
	return value, true
}

// byteCounts is how often each byte occurs.
func (s *Dataset) byteCounts() (counts [256]int) {
	// Four counters for each byte: one after the other they would wait for each other where neighbours are equal.
	var c [4][256]int
	b := s.Bytes
	for ; len(b) >= 4; b = b[4:] {
		c[0][b[0]]++
		c[1][b[1]]++
		c[2][b[2]]++
		c[3][b[3]]++
	}
	for _, v := range b {
		c[0][v]++
	}
	for v := range counts {
		counts[v] = c[0][v] + c[1][v] + c[2][v] + c[3][v]
	}
	return counts
}

// checkRange notes the range that was stated for the values, and refuses values outside.
func (s *Dataset) checkRange(limits []float64) error {
	if limits == nil {
		return nil
	}
	if len(s.Shape) == 1 {
		return fmt.Errorf("data: %s: a range of values is for images and sequences; tables are scaled as --normalise says", s.Name)
	}
	lo, hi := s.extent()
	if lo < limits[0] || hi > limits[1] {
		return fmt.Errorf("data: %s: the values go from %g to %g, beyond the range %g to %g that was stated", s.Name, lo, hi, limits[0], limits[1])
	}
	s.limits = &[2]float64{limits[0], limits[1]}
	return nil
}

// dimBytes is the largest value up to which bytes are taken for numbers of fewer bits, such as the 0 … 16 of the UCI digits.
const dimBytes = 63

// scaleRange maps the range that the values of images and sequences come from to −1 … 1, if it was stated or can be told by
// looking.
func (s *Dataset) scaleRange() bool {
	if len(s.Shape) == 1 && s.limits == nil {
		return false
	}
	lo, hi := s.extent()
	switch {
	case s.Alphabet != nil && s.limits == nil:
		s.scaleFrom(0, 1, "analog bits")
	case lo == hi: // all are equal: refused elsewhere
		return false
	case s.limits != nil:
		s.scaleFrom(s.limits[0], s.limits[1], "as --range says")
	case s.Bytes != nil && hi <= dimBytes:
		s.scaleFrom(0, hi, fmt.Sprintf("the bytes reach %g only; --range 0,255 takes all", hi))
	case s.Bytes != nil:
		s.Norm = BytesNormalisation()
		s.note("scaling", "bytes 0 … 255 to −1 … 1: y = x/127.5 − 1")
	case s.SampleRate > 0:
		return false
	case lo >= -1 && hi <= 1 && lo < 0 && max(-lo, hi) > 0.5:
		s.scaleFrom(-1, 1, "the values fit; --range may say otherwise")
	case lo >= 0 && hi <= 1 && hi > 0.5:
		s.scaleFrom(0, 1, "the values fit; --range may say otherwise")
	case lo >= 0 && hi <= 255 && hi >= 128:
		s.scaleFrom(0, 255, "the values fit; --range may say otherwise")
	default:
		return false
	}
	return true
}

func (s *Dataset) scaleFrom(lo, hi float64, why string) {
	s.Norm = Normalisation{Mean: []float64{(lo + hi) / 2}, Scale: []float64{(hi - lo) / 2}}
	s.note("scaling", "%g … %g to −1 … 1: %s", lo, hi, why)
}
