package data

import (
	"fmt"
	"strings"
)

// Summary is what a set holds, for a report.
type Summary struct {
	N           int
	Kind        string // as of Dataset
	Shape       []int  // of one
	Bytes       bool
	Low, High   float64 // the least and the largest value, in data units
	Classes     int     // 0: no labels
	ClassNames  []string
	Least, Most int // samples of a class
}

// Summary counts what the set holds. It looks at every value once.
func (s *Dataset) Summary() Summary {
	m := Summary{N: s.N(), Kind: s.Kind(), Shape: s.Shape, Bytes: s.Bytes != nil, Classes: s.Classes, ClassNames: s.ClassNames}
	m.Low, m.High = s.extent()
	if s.Labels != nil {
		counts := make([]int, s.Classes)
		for _, k := range s.Labels {
			counts[k]++
		}
		m.Least = m.N
		for _, n := range counts {
			m.Least, m.Most = min(m.Least, n), max(m.Most, n)
		}
	}
	return m
}

// Kind is what the samples are: "images", "sequences", "windows" of text, or "samples".
func (s *Dataset) Kind() string {
	switch len(s.Shape) {
	case 2:
		if s.Alphabet != nil {
			return "windows"
		}
		return "sequences"
	case 3:
		return "images"
	}
	return "samples"
}

// Size is the shape as people write it: 28×28×1.
func (m Summary) Size() string { return Size(m.Shape) }

// Size writes a shape as people do: 28×28×1.
func Size(shape []int) string {
	parts := make([]string, len(shape))
	for i, v := range shape {
		parts[i] = fmt.Sprint(v)
	}
	return strings.Join(parts, "×")
}

// Values says what the values are: bytes 0 … 255, or values -0.3 … 1.
func (m Summary) Values() string {
	if m.Bytes {
		return fmt.Sprintf("bytes %g … %g", m.Low, m.High)
	}
	return fmt.Sprintf("values %.4g … %.4g", m.Low, m.High)
}

// shownClasses is how many names of classes a report shows.
const shownClasses = 10

// Names lists the names of the classes, shortened; empty if they have numbers only.
func (m Summary) Names() string {
	if len(m.ClassNames) > shownClasses {
		return strings.Join(m.ClassNames[:shownClasses], ", ") + ", …"
	}
	return strings.Join(m.ClassNames, ", ")
}
