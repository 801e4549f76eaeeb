package plots

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
)

// ticks are at multiples of 1, 2 or 5 times a power of ten, at most four to eleven of them and as many as have room.
type ticks struct {
	offset float64                // what the labels leave out of the values
	fits   func([]plot.Tick) bool // whether labels have room; nil: they have
}

// mostTicks bounds the work on an axis whose ends are equal within rounding.
const mostTicks = 100

func (t ticks) Ticks(lo, hi float64) []plot.Tick {
	step := tickStep(hi - lo)
	if !(step > 0) || math.IsInf(step, 0) {
		return []plot.Tick{{Value: lo, Label: label(lo, lo)}}
	}
	for {
		list := t.at(lo, hi, step)
		if t.fits == nil || t.fits(list) || len(list) < 3 {
			return list
		}
		step = nextStep(step)
	}
}

// at are the ticks with a step.
func (t ticks) at(lo, hi, step float64) []plot.Tick {
	var list []plot.Tick
	from, to := lo-t.offset, hi-t.offset
	for k := math.Ceil(from/step - 1e-9); k*step <= to+1e-9*step && len(list) < mostTicks; k++ {
		list = append(list, plot.Tick{Value: math.Min(math.Max(t.offset+k*step, lo), hi), Label: label(k*step, hi-lo)})
	}
	return list
}

// tickStep is the distance of four to eleven ticks over a span.
func tickStep(span float64) float64 {
	step := math.Pow(10, math.Floor(math.Log10(span/5)))
	for _, m := range []float64{10, 5, 2} {
		if span/(m*step) >= 3.8 {
			return step * m
		}
	}
	return step
}

// nextStep is the next larger of 1, 2, 5, 10, 20, ….
func nextStep(step float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(step)+1e-9))
	switch m := math.Round(step / power); {
	case m < 2:
		return 2 * power
	case m < 5:
		return 5 * power
	}
	return 10 * power
}

// digitsShown is how many digits a label has at most.
const digitsShown = 6

// tickOffset is a round number to leave out of the labels of an axis where they would need more digits to differ; else 0.
func tickOffset(lo, hi float64) float64 {
	span := hi - lo
	largest := math.Max(math.Abs(lo), math.Abs(hi))
	if !(span > 0) || math.IsInf(span, 0) || largest < math.Pow(10, digitsShown)*tickStep(span) {
		return 0
	}
	unit := math.Pow(10, math.Ceil(math.Log10(span))+1)
	return math.Round((lo+span/2)/unit) * unit
}

// without is an axis label with the offset of its ticks: "t − 1 000 000 000".
func without(text string, offset float64) string {
	if offset == 0 || text == "" {
		return text
	}
	sign := "−"
	if offset < 0 {
		sign, offset = "+", -offset
	}
	s := strconv.FormatFloat(offset, 'g', 15, 64)
	if offset < 1e15 && offset == math.Trunc(offset) {
		s = thousands(int64(offset))
	}
	return text + " " + sign + " " + strings.ReplaceAll(s, "-", "−")
}

// fitTicks makes the labels of an axis of the given length differ from one another, and not overlap. name is the axis' label;
// it is "" where a panel at the left has it.
func fitTicks(a *plot.Axis, name string, length vg.Length, upright bool) {
	fits := func(list []plot.Tick) bool {
		need := vg.Length(0)
		for _, t := range list {
			if t.Label == "" {
				continue
			}
			if upright {
				need += 1.3 * a.Tick.Label.Height(t.Label)
			} else {
				need += a.Tick.Label.Width(t.Label) + vg.Points(7)
			}
		}
		return need <= length
	}
	switch a.Tick.Marker.(type) {
	case ticks:
		offset := tickOffset(a.Min, a.Max)
		a.Tick.Marker = ticks{offset, fits}
		a.Label.Text = without(name, offset)
	case logTicks:
		a.Tick.Marker = logTicks{fits}
	}
}

// label writes a tick's value: zero is "0" however rounding left it, large counts have their thousands marked.
func label(v, span float64) string {
	if math.Abs(v) < 1e-9*math.Abs(span) {
		return "0"
	}
	s := strconv.FormatFloat(v, 'g', 6, 64)
	if a := math.Abs(v); a >= 1e4 && a < 1e9 && v == math.Trunc(v) {
		s = thousands(int64(v))
	}
	return strings.ReplaceAll(s, "-", "−")
}

// thousands sets narrow gaps between groups of three digits.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	first := 0
	if n < 0 {
		first = 1
	}
	for i := len(s) - 3; i > first; i -= 3 {
		s = s[:i] + "\u2009" + s[i:]
	}
	return s
}

// logTicks mark the decades, and what lies between them where there are few decades. Labels stand at as many as have room.
type logTicks struct {
	fits func([]plot.Tick) bool // nil: they have
}

func (l logTicks) Ticks(lo, hi float64) []plot.Tick {
	first, last := int(math.Floor(math.Log10(lo))), int(math.Ceil(math.Log10(hi)))
	for every := 1; ; every++ {
		list := l.at(lo, hi, first, last, every)
		if l.fits == nil || l.fits(list) || every > last-first {
			return list
		}
	}
}

// at labels each of so many decades; of every one also 2 and 5 in it, if there are few.
func (logTicks) at(lo, hi float64, first, last, every int) []plot.Tick {
	var t []plot.Tick
	for e := first; e <= last; e++ {
		for m := 1; m <= 9; m++ {
			v := float64(m) * math.Pow(10, float64(e))
			if v < lo*(1-1e-9) || v > hi*(1+1e-9) || m > 1 && last-first > 12 {
				continue
			}
			s := ""
			if m == 1 && (e-first)%every == 0 || every == 1 && (last-first <= 3 && (m == 2 || m == 5) || last-first <= 1) {
				s = decade(v)
			}
			t = append(t, plot.Tick{Value: v, Label: s})
		}
	}
	return t
}

// decade writes a value of a logarithmic axis: 0.01, 200, 1e−5. (The fonts at hand lack a raised minus.)
func decade(v float64) string {
	if v >= 0.999e-3 && v < 1e4 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	s := strconv.FormatFloat(v, 'e', 0, 64) // 1e-05, 2e+06
	mantissa, exponent, _ := strings.Cut(s, "e")
	e, _ := strconv.Atoi(exponent)
	return strings.ReplaceAll(fmt.Sprintf("%se%d", mantissa, e), "-", "−")
}
