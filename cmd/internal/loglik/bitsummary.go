package loglik

import (
	"math"

	"hbar/solver/likelihood"
)

// The kinds of a figure in bits per dimension.
const (
	KindValue    = "value"    // the density itself, to within the error of the solver
	KindEstimate = "estimate" // the density, by random probes
	KindBound    = "bound"    // the expectation is an upper bound on −log₂ P(x)/D
)

// Bits are log q⁰ and bits per dimension of points and of their set. What is not known is NaN.
type Bits struct {
	H      float64
	Points []PointBits
	Kind   string
	PerDim float64 // mean over points
	// Tight is the bound by the logarithm of the mean over draws; with the exact divergence and two draws or more.
	Tight  float64
	StdErr float64 // of PerDim: of images, dequantisation, probes and solver together
	Shares Shares
	N      int // points with a value

	byPaths bool // the path integral, whose paths take the place of probes
}

// Shares are the parts of the standard error of bits per dimension. Their squares add up to that of the whole. A part that the draws
// or probes do not tell from others is NaN: it is then in the part before it.
type Shares struct {
	Images         float64
	Dequantisation float64
	Probes         float64
	Paths          float64 // of the path integral
	Solver         float64 // 0 of the path integral, which is exact for the chain that is run
}

// PointBits are those of one point. StdErr is over draws and probes.
type PointBits struct {
	Value          // log q⁰ of the network's coordinates, the mean over draws
	PerDim, Tight  float64
	BitsErr        float64
	Draws          int
	Halving        float64 // difference in bits per dimension that halving the steps made
	between, probe float64 // variance of PerDim, all that varies over draws and that over probes alone
}

// bits reduces the draws.
func (n *Network) bits(all []draws, q *dequantiser, o Options, b BitsOptions) *Bits {
	exact := o.Divergence == likelihood.Exact
	r := &Bits{Points: make([]PointBits, len(all)), Kind: KindValue}
	switch {
	case !exact && b.Marginal > 0: // noise of probes in the exponents of the mean over classes
		r.Kind = KindEstimate
	case b.Dequantise != DequantiseNone:
		r.Kind = KindBound
	case !exact:
		r.Kind = KindEstimate
	}
	for i := range all {
		r.Points[i] = all[i].point(q, exact, b.Draws)
	}
	r.summarise(b)
	return r
}

// point is what the draws of a point say.
func (d *draws) point(q *dequantiser, exact bool, want int) PointBits {
	nan := math.NaN()
	p := PointBits{Value: none(d.status), PerDim: nan, Tight: nan, BitsErr: nan, Halving: nan, between: nan, probe: nan}
	if d.status != OK {
		return p
	}
	unit := float64(q.d) * math.Ln2
	p.Draws = len(d.logQ)
	mean, variance := meanVariance(d.logQ)
	probes, _ := meanVariance(squares(d.err))
	halving, _ := meanVariance(d.halving)
	k := float64(p.Draws)
	p.probe = probes / k
	p.between = variance / k
	err := p.between
	if p.Draws == 1 {
		err = p.probe
	}
	p.Value = Value{LogQ: mean, Err: math.Sqrt(err), ESS: nan, Status: OK}
	p.PerDim, p.BitsErr, p.Halving = -(mean+q.offset)/unit, p.Err/unit, halving/unit
	p.between, p.probe = p.between/(unit*unit), p.probe/(unit*unit)
	if exact && want > 1 {
		logs := make([]float64, p.Draws)
		for i, l := range d.logQ {
			logs[i] = l + d.weight[i]
		}
		p.Tight = -logMeanExp(logs) / unit
	}
	return p
}

// summarise fills in the figures of the set.
func (r *Bits) summarise(b BitsOptions) {
	var each, tight, between, probe, halving []float64
	for _, p := range r.Points {
		if p.Status == OK {
			each, tight, between, probe, halving = append(each, p.PerDim), append(tight, p.Tight), append(between, p.between), append(probe, p.probe), append(halving, p.Halving)
		}
	}
	r.N = len(each)
	mean, variance := meanVariance(each)
	r.PerDim = mean
	r.Tight, _ = meanVariance(tight)
	n := float64(r.N)
	withDraws, _ := meanVariance(finiteOnly(between))
	withProbes, _ := meanVariance(finiteOnly(probe))
	half, _ := meanVariance(halving)
	// The difference is not divided by 2⁴ − 1, as the order of the method would have it: a network that embeds its time by sinusoids
	// oscillates faster than a coarse mesh resolves, and the error then falls more slowly.
	r.Shares.Solver = math.Abs(half)
	// The variance over the points contains that of the draws and that of the probes; the variance over the draws contains that of the probes.
	images, drawn := variance, withDraws
	switch {
	case b.Draws > 1 && b.Dequantise != DequantiseNone:
		images -= withDraws
		if !math.IsNaN(withProbes) {
			drawn -= withProbes
		}
	default:
		drawn = math.NaN()
		if !math.IsNaN(withProbes) {
			images -= withProbes
		}
	}
	r.Shares.Images, r.Shares.Dequantisation, r.Shares.Probes, r.Shares.Paths = root(images/n), root(drawn/n), root(withProbes/n), math.NaN()
	if r.byPaths {
		r.Shares.Probes, r.Shares.Paths = r.Shares.Paths, r.Shares.Probes
	}
	r.StdErr = math.Sqrt(variance / n)
	if s := r.Shares.Solver; !math.IsNaN(s) {
		r.StdErr = math.Hypot(r.StdErr, s)
	}
}

// root is the square root of an estimated variance, which chance may have made negative.
func root(v float64) float64 {
	if v < 0 {
		return 0
	}
	return math.Sqrt(v)
}

func squares(v []float64) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = x * x
	}
	return out
}

func finiteOnly(v []float64) []float64 {
	var out []float64
	for _, x := range v {
		if x-x == 0 {
			out = append(out, x)
		}
	}
	return out
}

// meanVariance is the mean and the variance with divisor n − 1, NaN of nothing and of one value.
func meanVariance(v []float64) (mean, variance float64) {
	if len(v) == 0 {
		return math.NaN(), math.NaN()
	}
	for _, x := range v {
		mean += x / float64(len(v))
	}
	if len(v) == 1 {
		return mean, math.NaN()
	}
	for _, x := range v {
		variance += (x - mean) * (x - mean) / float64(len(v)-1)
	}
	return mean, variance
}

func logMeanExp(v []float64) float64 {
	most := math.Inf(-1)
	for _, x := range v {
		most = max(most, x)
	}
	sum := 0.0
	for _, x := range v {
		sum += math.Exp(x - most)
	}
	return most + math.Log(sum/float64(len(v)))
}
