package kernels

import (
	"math"
	"math/bits"
	"sort"
)

// Batches describes how the batches of a training run are drawn, for executors that draw them themselves.
//
// Training sample q = step·batch + row has the random words w0 … w3 of block ChoiceBlock of its counter in StreamBatch. They
// choose the data row x0, number ⌊(w0 2³² + w1) n / 2⁶⁴⌋, and u = ⌊(w2 2³² + w3) / 2¹¹⌋ / 2⁵³ in [0, 1), which Times maps to a
// time with the coefficients c. The normals z of the sample are those of Normals at step 0. Then
//
//	input = c[CoefX0] x0 + c[CoefZ] z    target = c[CoefTargetX0] x0 + c[CoefTargetZ] z
//
// the weight is c[CoefWeight], and the network's time input is c[CoefTau].
type Batches struct {
	X     []float32 // the n data rows in network units, n×D
	Seed  uint64
	Times TimeTable
}

// ChoiceBlock is the block of random words that choose data row and time, beyond the blocks of any sample's normals.
const ChoiceBlock = 1 << 31

// Choose returns the data row of a training sample, of n rows, and its u.
func Choose(seed, sample, n uint64) (row uint64, u float64) {
	w := Block(seed, StreamBatch, sample, ChoiceBlock)
	row, _ = bits.Mul64(uint64(w[0])<<32|uint64(w[1]), n)
	return row, float64((uint64(w[2])<<32|uint64(w[3]))>>11) * 0x1p-53
}

// The coefficients of a training example.
const (
	CoefX0 = iota
	CoefZ
	CoefTargetX0
	CoefTargetZ
	CoefWeight
	CoefTau
	Coefs // how many there are
)

// TimeTable maps u, uniform on [0, 1), to the coefficients of a training example. First u chooses a cell:
//
//	Cumulative nil    cell ⌊u·Cells⌋, and f = u
//	otherwise         the first cell k with Cumulative[k] ≥ u, and f = (k + the position of u in the cell, 0 … 1)/Cells
//
// The coefficients are Points[k]; or, if Points is nil, they are functions of f, which Curves interpolates, and the weight is
// multiplied by Ratios[k].
type TimeTable struct {
	Cells      int
	Cumulative []float64
	Ratios     []float64
	Points     [][Coefs]float64
	Curves     []Curve
}

// Curve holds the coefficients on one piece of [0, 1), as polynomials of degree 7 in s, which runs from −1 to 1 on the piece. The
// first index is the power of s.
type Curve [curveTerms][Coefs]float64

// The pieces are eighths of the octaves of f below ½, and of 1−f above. Functions of time vary, near the data and near the noise,
// on the scale of the distance from the end of the interval; they are smooth on each of these pieces.
const (
	curveTerms   = 8
	curveOctaves = 40
	curveSide    = 8*(curveOctaves-1) + 1 // pieces of a half
)

// NewCurves interpolates the coefficients at f. With singularities no nearer to a piece than the end of [0, 1) beyond it the
// relative error is about 10⁻¹².
func NewCurves(at func(f float64) [Coefs]float64) []Curve {
	curves := make([]Curve, 2*curveSide)
	for side := range 2 {
		for piece := range curveSide {
			low, width := 0.0, math.Ldexp(1, -curveOctaves)
			if piece > 0 {
				octave := math.Ldexp(1, (piece-1)/8-curveOctaves)
				width = octave / 8
				low = octave + float64((piece-1)%8)*width
			}
			curves[side*curveSide+piece] = interpolate(func(s float64) [Coefs]float64 {
				g := low + width*(s+1)/2
				if side == 1 {
					g = 1 - g
				}
				return at(g)
			})
		}
	}
	return curves
}

// interpolate is the polynomial through the Chebyshev points of [−1, 1].
func interpolate(at func(s float64) [Coefs]float64) Curve {
	var c, out Curve
	for j := range curveTerms {
		angle := math.Pi * (float64(j) + 0.5) / curveTerms
		for q, v := range at(math.Cos(angle)) {
			for k := range c {
				c[k][q] += v * math.Cos(float64(k)*angle) * 2 / curveTerms
			}
		}
	}
	// T_0 = 1, T_1 = s, T_k = 2s T_{k-1} − T_{k-2}, as terms of powers of s
	before, now := [curveTerms]float64{}, [curveTerms]float64{1}
	for k := range c {
		for i, t := range now {
			for q, v := range c[k] {
				if k == 0 {
					v /= 2
				}
				out[i][q] += t * v
			}
		}
		var next [curveTerms]float64
		for i := range curveTerms - 1 {
			next[i+1] = 2 * now[i]
			if k == 0 {
				next[i+1] = now[i]
			}
		}
		for i := range next {
			next[i] -= before[i]
		}
		before, now = now, next
	}
	return out
}

// Guide returns a table of cells from which the search for the cell of u begins: entry ⌊u·len⌋. Its length is a power of two. It is
// nil without Cumulative.
func (t *TimeTable) Guide() []int32 {
	if t.Cumulative == nil {
		return nil
	}
	n := 1
	for n < t.Cells {
		n *= 2
	}
	g := make([]int32, n)
	for i := range g {
		g[i] = int32(min(sort.SearchFloat64s(t.Cumulative, float64(i)/float64(n)), t.Cells-1))
	}
	return g
}

// Cell returns the first cell k with cumulative[k] ≥ u, and the position of u in the cell, in [0, 1).
func Cell(cumulative []float64, u float64) (k int, rest float64) {
	k = min(sort.SearchFloat64s(cumulative, u), len(cumulative)-1)
	low := 0.0
	if k > 0 {
		low = cumulative[k-1]
	}
	rest = (u - low) / (cumulative[k] - low)
	return k, math.Max(0, math.Min(rest, 1-0x1p-53))
}

// At returns the coefficients of u.
func (t *TimeTable) At(u float64) [Coefs]float64 {
	k, f, ratio := int(u*float64(t.Cells)), u, 1.0
	if t.Cumulative != nil {
		var rest float64
		k, rest = Cell(t.Cumulative, u)
		f, ratio = (float64(k)+rest)/float64(t.Cells), t.Ratios[k]
	}
	if t.Points != nil {
		return t.Points[k]
	}
	piece, s := piece(f)
	c := &t.Curves[piece]
	v := c[curveTerms-1]
	for i := curveTerms - 2; i >= 0; i-- {
		for q := range v {
			v[q] = v[q]*s + c[i][q]
		}
	}
	v[CoefWeight] *= ratio
	return v
}

// piece returns the number of the piece of f and the value of s there. Both follow exactly from the bits of f or 1−f.
func piece(f float64) (int, float64) {
	first, g := 0, f
	if f >= 0.5 {
		first, g = curveSide, 1-f
	}
	if g < 1.0/(1<<curveOctaves) {
		return first, g*(1<<(curveOctaves+1)) - 1
	}
	b := math.Float64bits(g)
	k := int(b>>49) - (1023-curveOctaves)<<3 + 1
	if k >= curveSide { // g = ½
		return first + curveSide - 1, 1
	}
	return first + k, (g-math.Float64frombits(b>>49<<49))*math.Float64frombits((2050-b>>52)<<52) - 1
}
