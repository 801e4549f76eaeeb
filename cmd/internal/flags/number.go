package flags

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Range bounds a number: Min ≤ v ≤ Max, without the ends that are open.
type Range struct {
	Min, Max         float64
	OpenMin, OpenMax bool
}

// Common ranges.
var (
	Positive    = Range{Min: 0, Max: math.Inf(1), OpenMin: true}
	NonNegative = Range{Min: 0, Max: math.Inf(1)}
	AtLeastOne  = Range{Min: 1, Max: math.Inf(1)}
	Any         = Range{Min: math.Inf(-1), Max: math.Inf(1)}
)

// Between is the closed range.
func Between(lo, hi float64) Range { return Range{Min: lo, Max: hi} }

// HalfOpen is lo ≤ v < hi.
func HalfOpen(lo, hi float64) Range { return Range{Min: lo, Max: hi, OpenMax: true} }

// Holds reports whether v is in the range. NaN never is, and neither is an infinity.
func (r Range) Holds(v float64) bool {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return false
	}
	return (v > r.Min || !r.OpenMin && v == r.Min) && (v < r.Max || !r.OpenMax && v == r.Max)
}

// String writes the range the way the help does: "> 0", "≥ 1", "0 … 1", "0 ≤ · < 1"; any number is "".
func (r Range) String() string {
	lo, hi := !math.IsInf(r.Min, -1), !math.IsInf(r.Max, 1)
	less := func(open bool) string {
		if open {
			return "<"
		}
		return "≤"
	}
	num := func(v float64) string {
		if v == math.Trunc(v) && math.Abs(v) < 1e15 {
			return strconv.FormatFloat(v, 'f', 0, 64)
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	switch {
	case lo && hi && !r.OpenMin && !r.OpenMax:
		return num(r.Min) + " … " + num(r.Max)
	case lo && hi:
		return num(r.Min) + " " + less(r.OpenMin) + " · " + less(r.OpenMax) + " " + num(r.Max)
	case lo && r.OpenMin:
		return "> " + num(r.Min)
	case lo:
		return "≥ " + num(r.Min)
	case hi && r.OpenMax:
		return "< " + num(r.Max)
	case hi:
		return "≤ " + num(r.Max)
	}
	return ""
}

type number[T int | uint64 | float64] struct {
	p     *T
	r     Range
	parse func(string) (T, error)
}

func (n *number[T]) String() string { return fmt.Sprint(*n.p) }

func (n *number[T]) Type() string { return "number" }

func (n *number[T]) Set(s string) error {
	v, err := n.parse(strings.ReplaceAll(s, "_", ""))
	if err != nil {
		kind := "a number"
		switch any(v).(type) {
		case int:
			kind = "an integer"
		case uint64:
			kind = "an integer from 0 to 2⁶⁴−1"
		}
		return fmt.Errorf("%q is not %s", s, kind)
	}
	if !n.r.Holds(float64(v)) {
		return outside(s, n.r)
	}
	*n.p = v
	return nil
}

func outside(s string, r Range) error {
	if r == Any {
		return fmt.Errorf("%s is not finite", s)
	}
	return fmt.Errorf("%s is out of range; need %s", s, r)
}

type list struct {
	p *[]float64
	r Range
}

func (l *list) Type() string { return "numbers" }

func (l *list) String() string {
	parts := make([]string, len(*l.p))
	for i, v := range *l.p {
		parts[i] = strconv.FormatFloat(v, 'g', -1, 64)
	}
	return strings.Join(parts, ",")
}

func (l *list) Set(s string) error {
	var out []float64
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		v, err := strconv.ParseFloat(strings.ReplaceAll(part, "_", ""), 64)
		if err != nil {
			return notInList(part, s, "a number")
		}
		if !l.r.Holds(v) {
			return outside(part, l.r)
		}
		out = append(out, v)
	}
	*l.p = out
	return nil
}
