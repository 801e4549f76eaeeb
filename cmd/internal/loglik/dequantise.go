package loglik

import (
	"fmt"
	"math"

	"hbar/data"
	"hbar/kernels"
	"hbar/solver"
)

// Dequantise is how whole numbers become points of a density.
type Dequantise string

const (
	// DequantiseNone takes the data as they are.
	DequantiseNone Dequantise = "none"
	// DequantiseUniform adds u, uniform on [0, 1), to each number: log P(x) ≥ E log q(x + u) in data units (Theis 2016,
	// arXiv:1511.01844).
	DequantiseUniform Dequantise = "uniform"
	// DequantiseTruncNorm takes y = α x̂ + σ ε at Tmin, with x̂ the data in the network's units and ε a normal truncated to the
	// bin of x̂ (Zheng 2023, arXiv:2305.03935, section 4.2): log P(x) ≥ E log q(y) + D log σ + Σ H(ε), with H the entropy.
	DequantiseTruncNorm Dequantise = "truncnorm"
)

// DequantiseNames lists the ways.
func DequantiseNames() []string {
	return []string{string(DequantiseUniform), string(DequantiseTruncNorm), string(DequantiseNone)}
}

// dequantiser makes draws of y, and knows what turns log q(y) into a bound on log P(x).
type dequantiser struct {
	kind   Dequantise
	norm   data.Normalisation
	d      int
	seed   uint64
	alpha  float64
	sigma  float64
	offset float64   // bound = E log q(y) + offset
	limit  []float64 // of |ε|, for each coordinate or one for all
}

func newDequantiser(kind Dequantise, norm data.Normalisation, s solver.Schedule, d int, seed uint64) (*dequantiser, error) {
	q := &dequantiser{kind: kind, norm: norm, d: d, seed: seed}
	switch kind {
	case DequantiseNone, DequantiseUniform:
		q.offset = norm.LogDet(d)
		return q, nil
	case DequantiseTruncNorm:
	default:
		return nil, fmt.Errorf("dequantisation %q unknown; have uniform, truncnorm, none", kind)
	}
	q.alpha, q.sigma = s.Alpha(s.Tmin()), s.Sigma(s.Tmin())
	if !(q.sigma > 0) {
		return nil, fmt.Errorf("dequantisation truncnorm needs noise at Tmin, and the schedule %s has none there", s.Name())
	}
	q.limit = []float64{q.alpha / (2 * q.sigma)}
	if len(norm.Scale) > 0 {
		q.limit = make([]float64, len(norm.Scale))
	}
	for i, scale := range norm.Scale {
		q.limit[i] = q.alpha / (2 * scale * q.sigma)
	}
	q.offset = float64(d) * math.Log(q.sigma)
	for j := range d {
		q.offset += truncatedEntropy(q.bound(j))
	}
	return q, nil
}

func (q *dequantiser) bound(j int) float64 { return q.limit[min(j, len(q.limit)-1)] }

// truncatedEntropy is that of a standard normal truncated to |ε| ≤ c: ln(√(2πe) Z) − c φ(c)/Z, Z = 2Φ(c) − 1.
func truncatedEntropy(c float64) float64 {
	z := math.Erf(c / math.Sqrt2)
	phi := math.Exp(-c*c/2) / math.Sqrt(2*math.Pi)
	return (1+math.Log(2*math.Pi))/2 + math.Log(z) - c*phi/z
}

// draw writes the point y, in the network's units, of the data x. sample numbers the draw. It returns −log of the density that y was
// drawn from, so that log q(y) plus it is the logarithm of an unbiased estimate of P(x).
func (q *dequantiser) draw(y, x []float64, sample uint64) (logWeight float64) {
	if q.kind == DequantiseNone {
		q.norm.Apply(y, x, q.d)
		return q.offset
	}
	var words [4]uint32
	uniform := func(j int) float64 {
		if j%4 == 0 {
			words = kernels.Block(q.seed, kernels.StreamDequantise, sample, uint32(j/4))
		}
		return float64(words[j%4]) / (1 << 32)
	}
	if q.kind == DequantiseUniform {
		for j, v := range x {
			y[j] = v + uniform(j)
		}
		q.norm.Apply(y, y, q.d)
		return q.offset
	}
	q.norm.Apply(y, x, q.d)
	logWeight = float64(q.d) * math.Log(q.sigma)
	for j := range y {
		c := q.bound(j)
		z := math.Erf(c / math.Sqrt2)
		u := uniform(j) + 0.5/(1<<32)
		e := math.Sqrt2 * math.Erfinv((2*u-1)*z)
		y[j] = q.alpha*y[j] + q.sigma*e
		logWeight += e*e/2 + math.Log(2*math.Pi)/2 + math.Log(z)
	}
	return logWeight
}

// AddUniform makes pixels continuous by one draw of uniform noise, for likelihoods that are bounds on those of the pixels.
func (p *Points) AddUniform(seed uint64) error {
	q, err := newDequantiser(DequantiseUniform, p.Norm, nil, p.D, seed)
	if err != nil {
		return err
	}
	for i := range p.N() {
		q.draw(p.Z[i*p.D:(i+1)*p.D], p.X[i*p.D:(i+1)*p.D], uint64(i))
	}
	p.X = make([]float64, len(p.Z)) // data of a set may be shared
	p.Norm.Invert(p.X, p.Z, p.D)
	p.Notes = append(p.Notes, data.Note{Label: "noise", Text: "uniform noise of one step makes the pixels continuous: likelihoods in data units, in bits per dimension too, are bounds on those of the pixels"})
	return nil
}
