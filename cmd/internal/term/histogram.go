package term

import (
	"math"
	"slices"
	"strings"
)

// bars are the cells of a bar by the eighths that are filled.
var bars = []rune(" ▁▂▃▄▅▆▇█")

// Histogram is how often values occur, as lines of text: bars from left to right, rows cells high at the most, one of width cells for
// each part of the range. It returns the range and how many values are not finite or outside.
func Histogram(values []float64, width, rows int) (lines []string, r Range, outside int) {
	r = axis(values)
	count := make([]float64, width)
	for _, v := range values {
		if !r.holds(v) {
			outside++
			continue
		}
		count[r.cell(v, width)]++
	}
	most := max(slices.Max(count), 1)
	for row := rows - 1; row >= 0; row-- {
		var b strings.Builder
		for _, n := range count {
			eighths := int(math.Round(8 * float64(rows) * n / most))
			if n > 0 {
				eighths = max(eighths, 1) // what occurs is seen
			}
			b.WriteRune(bars[min(max(eighths-8*row, 0), 8)])
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return lines, r, outside
}
