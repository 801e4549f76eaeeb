package data

import (
	"fmt"
	"math"
	"slices"
)

// NormAuto chooses a kind of normalisation by looking at the data.
const NormAuto = "auto"

// Normalise gives the set the Normalisation of the kind, notes which one that is and why, and warns of what will be learnt badly.
// It returns the kind: under NormAuto the one that was chosen, or NormAuto itself where a range of values is mapped to −1 … 1: that of
// images of bytes, of floats in 0 … 1, −1 … 1 or 0 … 255, and any that was stated.
//
// NormAuto takes a table by coordinate, because columns have units of their own, and images and sequences by one mean and one
// scale, because their numbers have one unit. Columns that look like pixels (16 or more with the same least value) count as an
// image. Under NormAuto data that one value would rule are refused; under a kind that was asked for they are warned of.
func (s *Dataset) Normalise(kind string) (string, error) {
	why := "as --normalise says"
	auto := kind == NormAuto
	if auto && s.scaleRange() {
		return kind, nil
	}
	x := s.Values()
	l := look{set: s, x: x, kind: kind, refuse: auto}
	l.mean, l.std = columnMoments(x, s.D)
	if auto {
		l.kind, why = l.choose()
		kind, why = l.kind, why+"; --normalise may say otherwise"
	}
	if err := l.outliers(); err != nil {
		return kind, err
	}
	var err error
	if s.Norm, err = Fit(kind, x, s.D); err != nil {
		return kind, err
	}
	switch kind {
	case NormSet:
		s.note("scaling", "one mean, %.6g, and one scale, %.6g: %s", s.Norm.Mean[0], s.Norm.Scale[0], why)
	case NormCoordinate:
		s.note("scaling", "by coordinate: %s", why)
	}
	l.constants()
	l.grids()
	return kind, l.resolution()
}

// pixelColumns is the least number of columns that may be an image laid flat.
const pixelColumns = 16

// choose chooses a kind of normalisation, and says why.
func (l *look) choose() (kind, why string) {
	s := l.set
	if len(s.Shape) > 1 {
		return NormSet, fmt.Sprintf("the numbers of a sample of shape %v have one unit", s.Shape)
	}
	if s.D == 1 {
		return NormCoordinate, "a single column"
	}
	if s.pixels() {
		return NormSet, fmt.Sprintf("%d columns with one least value look like pixels", s.D)
	}
	lo, hi, at, to := math.Inf(1), 0.0, 0, 0
	for j, std := range l.std {
		if !varies(l.mean[j], std) {
			continue
		}
		if std < lo {
			lo, at = std, j
		}
		if std > hi {
			hi, to = std, j
		}
	}
	if at == to {
		return NormCoordinate, fmt.Sprintf("columns have units of their own; standard deviation %.3g (%s)", lo, s.coordinate(at))
	}
	return NormCoordinate, fmt.Sprintf("columns have units of their own; standard deviations from %.3g (%s) to %.3g (%s)", lo, s.coordinate(at), hi, s.coordinate(to))
}

// pixels reports whether most of many columns have the same least value, and none a smaller one: pixels, or counts.
func (s *Dataset) pixels() bool {
	if s.D < pixelColumns {
		return false
	}
	least := slices.Min(s.X)
	n := 0
	for j := range s.D {
		for i := j; i < len(s.X); i += s.D {
			if s.X[i] == least {
				n++
				break
			}
		}
	}
	return 10*n >= 9*s.D
}

// coordinate is what messages call coordinate j.
func (s *Dataset) coordinate(j int) string {
	if s.Columns != nil && s.Columns[j] != "" {
		return s.Columns[j]
	}
	return fmt.Sprintf("coordinate %d", j)
}
