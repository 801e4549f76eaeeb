package loglik

import (
	"context"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"

	"hbar/metrics"
	"hbar/solver/likelihood"
	"hbar/solver/likelihood/ode"
)

// SlopeSteps is the mesh of ℓ₁ of networks other than MLPs, unless a tolerance or another mesh is asked for: steps of the classical
// Runge–Kutta method, uniform in λ, on each part of a path.
const SlopeSteps = 32

// Slopes computes ℓ₁ of the points, of each its first draw of the dequantisation, by likelihood.EstimateTimes: random times and probes,
// with the third-order derivatives that a network of any kind has as a program. zeroth are log q⁰ of the points. If ctx ends, it returns
// its error with what was done before.
func (n *Network) Slopes(ctx context.Context, p *Points, o Options, b BitsOptions, zeroth []Value) ([]Expansion, error) {
	q, err := newDequantiser(b.Dequantise, p.Norm, n.Schedule, p.D, o.Seed)
	if err != nil {
		return nil, err
	}
	out := make([]Expansion, p.N())
	for i := range out {
		out[i] = failed(p.D, Interrupted)
	}
	probes := max(2, o.Probes)
	size := 1 // points of several labels go one by one
	if b.Labels == nil {
		size = max(1, netRows/probes)
	}
	report := o.stage(string(WKB))
	for at := 0; at < p.N(); at += size {
		part := min(size, p.N()-at)
		net, err := n.under(b.Labels, at)
		if err != nil {
			return nil, err
		}
		x := make([]float64, part*p.D)
		for r := range part {
			q.draw(x[r*p.D:(r+1)*p.D], p.X[(at+r)*p.D:(at+r+1)*p.D], b.First+uint64(at+r))
		}
		e := likelihood.EstimateOptions{Probes: probes, Inner: 1, Seed: o.Seed, Sample0: b.First + uint64(at)}
		e.Tol = o.Tol
		if b.SlopeSteps > 0 {
			e.Steps, e.Method = b.SlopeSteps, ode.RK4
		}
		got, err := likelihood.EstimateTimes(ctx, net, n.Schedule, x, e)
		if err != nil {
			if ctx.Err() == nil {
				return nil, err
			}
			return out, err
		}
		for r, l := range got {
			v := zeroth[at+r]
			status := v.Status
			if status == OK {
				status = string(l.Status)
			}
			out[at+r] = failed(p.D, status)
			if status == OK {
				out[at+r].LogQ0, out[at+r].L1, out[at+r].L1Err, out[at+r].Trust = v.LogQ, l.L1, l.StdErr, l.Trust
			}
		}
		report(at+part, p.N())
	}
	return out, nil
}

// Agreement compares the first order of the expansion with the path integral at one h: changes of the mean NLL from h = 0, in nats, over
// the points that have both.
type Agreement struct {
	H            Number            `json:"h"`
	Linear       *metrics.Estimate `json:"linear"`       // −h times the mean of ℓ₁
	PathIntegral *metrics.Estimate `json:"pathintegral"` // of its value, or of its lower bound on log q where it has no value
	Difference   *metrics.Estimate `json:"difference"`   // path integral less linear, in pairs
	// Bound says that some values of the path integral are lower bounds on log q: its NLL is then too large.
	Bound bool `json:"bound"`
	// Agrees: the difference is no larger than |h ℓ₁|, within two standard errors. A bound that is too loose for that does not say: null.
	Agrees *bool `json:"agrees"`
}

// Agreements compare at each h > 0, and say up to which of them the first order is to be trusted: as long as it agrees with the path
// integral. trust is NaN if the first h says nothing, 0 if it fails.
func (r *Results) Agreements() (all []Agreement, trust float64) {
	trust = math.NaN()
	if r.Expansion == nil || r.Path == nil {
		return nil, trust
	}
	holds := true
	for j, h := range r.H {
		if h <= 0 {
			continue
		}
		a := Agreement{H: Number(h)}
		zero, linear, path := make([]float64, r.N), make([]float64, r.N), make([]float64, r.N)
		for i := range r.N {
			e, v := r.WKBAt(i, h, 1), r.Path[i][j]
			zero[i], linear[i], path[i] = r.Expansion[i].LogQ0, e.LogQ, v.LogQ
			if e.Status != OK || v.Status != OK {
				linear[i], path[i] = math.NaN(), math.NaN()
				continue
			}
			a.Bound = a.Bound || v.IsBound
		}
		var ok bool
		if a.Linear, a.PathIntegral, a.Difference, ok = changes(zero, linear, path); !ok {
			continue
		}
		agrees := math.Abs(a.Difference.Value) <= math.Abs(a.Linear.Value)+2*a.Difference.StdErr
		if agrees || !a.Bound || a.Difference.Value < 0 {
			a.Agrees = &agrees
		}
		all = append(all, a)
		switch {
		case a.Agrees == nil:
			holds = false
		case holds && agrees:
			trust = h
		case holds:
			holds = false
			if math.IsNaN(trust) {
				trust = 0
			}
		}
	}
	return all, trust
}

// changes are the mean changes of the NLL, −log q, over points that have both.
func changes(zero, linear, path []float64) (l, p, difference *metrics.Estimate, ok bool) {
	a, err1 := metrics.Compare(zero, linear)
	b, err2 := metrics.Compare(zero, path)
	c, err3 := metrics.Compare(linear, path)
	if err1 != nil || err2 != nil || err3 != nil {
		return nil, nil, nil, false
	}
	return &a.Mean, &b.Mean, &c.Mean, true
}

// SlopeSpread says how far a mean of ℓ₁ rests on few points. Near the data log q⁰ of a network can be steep, and a point there has a
// slope of any size.
type SlopeSpread struct {
	// Effective is (Σ|ℓ₁|)²/Σℓ₁², at most the number of points.
	Effective Number `json:"effective_points"`
	// Largest is the share of Σ|ℓ₁| that the largest has.
	Largest Number `json:"largest_share"`
	// Settled: there are enough effective points for the mean's standard error to mean something.
	Settled bool `json:"settled"`
	// MedianLo and MedianHi are a 95 % interval of the median of the correction to the NLL, by order statistics; null below 6 points.
	MedianLo Number `json:"median_lo"`
	MedianHi Number `json:"median_hi"`
}

// leastEffective is how many effective points a mean of slopes needs.
const leastEffective = 10

// Spread is that of the corrections to the NLL, −ℓ₁; nil without any.
func (r *Results) Spread() *SlopeSpread {
	var v []float64
	for _, e := range r.Expansion {
		if e.Status == OK {
			v = append(v, -e.L1)
		}
	}
	if len(v) == 0 {
		return nil
	}
	slices.Sort(v)
	sum, square, most := 0.0, 0.0, 0.0
	for _, l := range v {
		sum, square, most = sum+math.Abs(l), square+l*l, max(most, math.Abs(l))
	}
	s := &SlopeSpread{Effective: Number(sum * sum / square), Largest: Number(most / sum), MedianLo: Number(math.NaN()), MedianHi: Number(math.NaN())}
	if sum == 0 { // an exact model
		s.Effective, s.Largest = Number(len(v)), 0
	}
	s.Settled = s.Effective >= leastEffective
	if k := medianRank(len(v)); k >= 0 {
		s.MedianLo, s.MedianHi = Number(v[k]), Number(v[len(v)-1-k])
	}
	return s
}

// medianRank is the largest k for which the k-th and the k-th last of n sorted values, from 0, enclose the median with 95 %: the number of
// values below it is binomial. −1: n is too small.
func medianRank(n int) int {
	half := distuv.Binomial{N: float64(n), P: 0.5}
	k := -1
	for half.CDF(float64(k+1)) <= 0.025 {
		k++
	}
	return k
}
