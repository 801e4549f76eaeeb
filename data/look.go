package data

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// look is what is examined of a set before it is learnt.
type look struct {
	set       *Dataset
	x         []float64
	mean, std []float64 // of each coordinate
	kind      string
	refuse    bool // what makes learning pointless is an error, and not a warning
}

// lookedAt is how many values of a coordinate are sorted.
const lookedAt = 20_000

// listed is how many coordinates a warning names.
const listed = 6

// column is a sorted sample of the values of coordinate j, evenly spread over the rows; of the whole set for j < 0.
func (l *look) column(j int) []float64 {
	first, stride := j, l.set.D
	if j < 0 {
		first, stride = 0, 1
	}
	n := len(l.x) / stride
	m := min(n, lookedAt)
	v := make([]float64, m)
	for k := range m {
		v[k] = l.x[first+int(int64(k)*int64(n)/int64(m))*stride]
	}
	slices.Sort(v)
	return v
}

// table reports whether coordinates are columns, each with a meaning of its own.
func (l *look) table() bool { return len(l.set.Shape) == 1 && l.kind != NormSet || l.set.D == 1 }

// The standard deviation of all values over that of the central 95 percent: about 1.2 for normal data. From outlierWarning on a few
// values rule the scale; from outlierRefusal on the others lie closer together than the noise that sampling ends with.
const (
	outlierWarning = 4
	outlierRefusal = 1000
)

// outliers looks for values that rule a coordinate's scale, or the set's where it has one scale.
func (l *look) outliers() error {
	if l.kind == NormNone || len(l.x)/l.set.D < 8 {
		return nil
	}
	if !l.table() {
		return l.outlier(-1)
	}
	for j := range l.set.D {
		if err := l.outlier(j); err != nil {
			return err
		}
	}
	return nil
}

func (l *look) outlier(j int) error {
	first, stride := j, l.set.D
	if j < 0 {
		first, stride = 0, 1
	}
	v := l.column(j)
	cut := max(1, len(v)/40)
	bulk := v[cut : len(v)-cut]
	center, inner := moments(bulk)
	var all float64
	if j < 0 {
		_, all = moments(l.x)
	} else {
		all = l.std[j]
	}
	if !varies(center, inner) || all/inner < outlierWarning {
		return nil
	}
	farthest := first
	for i := first; i < len(l.x); i += stride {
		if math.Abs(l.x[i]/2-center/2) > math.Abs(l.x[farthest]/2-center/2) { // halves do not overflow
			farthest = i
		}
	}
	where := fmt.Sprintf("row %d, coordinate %d", farthest/l.set.D, farthest%l.set.D)
	if j >= 0 && l.set.Columns != nil && l.set.Columns[j] != "" {
		where += " (" + l.set.Columns[j] + ")"
	}
	low, high := bulk[0], bulk[len(bulk)-1]
	digits := max(6, Digits(low, high))
	text := fmt.Sprintf("%s is %.*g, while 95 %% of the values there lie from %.*g to %.*g: the scale, %.3g, is that of such values and not of the others",
		where, digits, l.x[farthest], digits, low, digits, high, all)
	if l.refuse && all/inner >= outlierRefusal {
		return fmt.Errorf("data: %s: %s, which would be learnt as one point; take it out, or learn the logarithm (--normalise %s trains all the same)", l.set.Name, text, l.kind)
	}
	l.set.warn("%s; take it out, or learn the logarithm", text)
	return nil
}

// constants warns of coordinates that do not vary. Pixels may.
func (l *look) constants() {
	if !l.table() {
		return
	}
	var names []string
	for j, std := range l.std {
		if !varies(l.mean[j], std) {
			names = append(names, fmt.Sprintf("%s (%.12g)", l.set.coordinate(j), l.mean[j]))
		}
	}
	if len(names) > 0 {
		l.set.warn("constant: %s; there is nothing to learn of it, and its density has no bound: leave it out (--columns)", shortList(names, listed))
	}
}

// gridVisible is the step of a grid, in standard deviations, below which the noise that sampling ends with hides it.
const gridVisible = 0.02

// grids warns of coordinates whose values are multiples of a step, or a few numbers.
func (l *look) grids() {
	if !l.table() {
		return
	}
	var names []string
	for j := range l.set.D {
		v := l.column(j)
		n := len(v)
		std := l.std[j]
		v = slices.Compact(v)
		if n < 20 || len(v) < 2 || 10*len(v) > 9*n || !varies(l.mean[j], std) {
			continue
		}
		step := math.Inf(1)
		for i := 1; i < len(v); i++ {
			step = min(step, v[i]-v[i-1])
		}
		if step < gridVisible*std {
			continue
		}
		for i := 1; i < len(v) && step > 0; i++ {
			if k := (v[i] - v[0]) / step; math.Abs(k-math.Round(k)) > 1e-3 {
				step = 0
			}
		}
		if step > 0 {
			names = append(names, fmt.Sprintf("%s (steps of %.6g)", l.set.coordinate(j), step))
		} else if 10*len(v) <= n {
			names = append(names, fmt.Sprintf("%s (%d values)", l.set.coordinate(j), len(v)))
		}
	}
	if len(names) > 0 {
		l.set.warn("on a grid: %s; samples will lie between the values too, and a density of such data has no bound: to learn one, add uniform noise of one step", strings.Join(names[:min(len(names), listed)], ", ")+more(len(names)))
	}
}

func more(n int) string {
	if n <= listed {
		return ""
	}
	return fmt.Sprintf(", … (%d in all)", n)
}

// resolution checks what the network gets to see: numbers in float32, with noise that ends at a few hundredths.
func (l *look) resolution() error {
	s := l.set
	if s.Bytes != nil {
		return nil
	}
	var drowned []string
	pixels := s.pixels()
	for j, std := range l.std {
		mean := l.mean[j]
		if !varies(mean, std) {
			continue
		}
		scale := at(s.Norm.Scale, j, 1)
		y, spread := math.Abs(mean-at(s.Norm.Mean, j, 0))/scale, std/scale
		switch {
		case y+spread > 1e18 || spread < 0x1p-20*y:
			return fmt.Errorf("data: %s: %s, %.10g ± %.3g, becomes %.6g ± %.3g for the network under --normalise %s: float32 cannot hold that; use --normalise coordinate",
				s.Name, s.coordinate(j), mean, std, y, spread, l.kind)
		case spread < 1e-2 && len(s.Shape) == 1 && (l.kind == NormNone || !pixels):
			drowned = append(drowned, fmt.Sprintf("%s (%.3g)", s.coordinate(j), spread))
		case l.kind == NormNone && (y > 30 || spread > 30):
			s.warn("%s is %.6g ± %.3g, and --normalise none leaves it so: networks learn well about mean 0 and standard deviation 1", s.coordinate(j), mean, std)
		}
	}
	if len(drowned) > 0 {
		s.warn("small beside the scale of the network: standard deviation of %s; the noise that sampling ends with drowns that (--normalise coordinate)", shortList(drowned, listed))
	}
	return nil
}
