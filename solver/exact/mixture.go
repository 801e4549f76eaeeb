package exact

import (
	"context"
	"fmt"
	"math"

	"hbar/solver"
)

// Mixture is the model of data distributed as Σ_k w_k N(m_k, diag v_k): then p_t = Σ_k w_k N(α m_k, α² v_k + σ²), and the
// score is
//
//	s(x, t) = (1+ε) ∇ log p_t(x) = (1+ε) Σ_k r_k b_k,    b_k = −(x − α m_k)/(α² v_k + σ²),
//
// with r_k the probability of component k given x. ε = 0 is the exact score. It is safe for concurrent use.
type Mixture struct {
	Schedule solver.Schedule
	Epsilon  float64

	d          int
	logWeights []float64 // K
	means      []float64 // K×D
	vars       []float64 // K×D
}

var (
	_ solver.Diverger = (*Mixture)(nil)
	_ solver.VJPer    = (*Mixture)(nil)
	_ solver.Jetter   = (*Mixture)(nil)
)

// NewMixture makes a mixture of len(means) components. weights need not be normalised; nil means equal ones. vars holds
// the variance of each component in each dimension; a single number serves all dimensions.
func NewMixture(s solver.Schedule, weights []float64, means, vars [][]float64, epsilon float64) (*Mixture, error) {
	k := len(means)
	if s == nil || k == 0 || len(means[0]) == 0 {
		return nil, fmt.Errorf("exact: a mixture needs a schedule and at least one component of at least one dimension")
	}
	if len(vars) != k || weights != nil && len(weights) != k {
		return nil, fmt.Errorf("exact: %d means, %d variances, %d weights; want as many of each", k, len(vars), len(weights))
	}
	m := &Mixture{Schedule: s, Epsilon: epsilon, d: len(means[0])}
	total := 0.0
	for c := range k {
		w := 1.0
		if weights != nil {
			w = weights[c]
		}
		if !(w > 0) || math.IsInf(w, 1) {
			return nil, fmt.Errorf("exact: component %d has weight %v; want a positive one", c, w)
		}
		total += w
		m.logWeights = append(m.logWeights, math.Log(w))
		if len(means[c]) != m.d || len(vars[c]) != m.d && len(vars[c]) != 1 {
			return nil, fmt.Errorf("exact: component %d has a mean of %d and variances of %d dimensions; want %d", c, len(means[c]), len(vars[c]), m.d)
		}
		m.means = append(m.means, means[c]...)
		for i := range m.d {
			v := vars[c][i%len(vars[c])]
			if !(v >= 0) || math.IsInf(v, 1) {
				return nil, fmt.Errorf("exact: component %d has variance %v in dimension %d", c, v, i)
			}
			m.vars = append(m.vars, v)
		}
	}
	for c := range m.logWeights {
		m.logWeights[c] -= math.Log(total)
	}
	return m, nil
}

// TwentyFiveGaussians is the data set of arXiv:2403.11262: equal Gaussians of σ = 0.05 on the grid {−4, −2, 0, 2, 4}², all
// divided by 2.828.
func TwentyFiveGaussians(s solver.Schedule) *Mixture {
	const scale = 2.828
	var means, vars [][]float64
	for i := -2; i <= 2; i++ {
		for j := -2; j <= 2; j++ {
			means = append(means, []float64{2 * float64(i) / scale, 2 * float64(j) / scale})
			vars = append(vars, []float64{0.05 * 0.05 / (scale * scale)})
		}
	}
	m, err := NewMixture(s, nil, means, vars, 0)
	if err != nil {
		panic(err) // only a nil schedule can do this
	}
	return m
}

// Dim is D.
func (m *Mixture) Dim() int { return m.d }

// posterior is the state of a row: what the components say about x at time t.
type posterior struct {
	m    *Mixture
	r    []float64 // K: probability of each component
	b    []float64 // K×D: b_k − mean
	c    []float64 // K×D: 1/v_k − invMean
	mean []float64 // D: Σ r_k b_k = ∇ log p
	inv  []float64 // D: Σ r_k/v_k
	logP float64
}

func (m *Mixture) newPosterior() *posterior {
	k := len(m.logWeights)
	return &posterior{m: m, r: make([]float64, k), b: make([]float64, k*m.d), c: make([]float64, k*m.d),
		mean: make([]float64, m.d), inv: make([]float64, m.d)}
}

// at evaluates the posterior at x. Subtracting the means from b and 1/v first keeps all digits of the cumulants.
func (p *posterior) at(x []float64, t float64) {
	m, d := p.m, p.m.d
	alpha, sigma2 := m.Schedule.Alpha(t), m.Schedule.Sigma2(t)
	top := math.Inf(-1)
	for k := range p.r {
		l := m.logWeights[k]
		for i := range d {
			v := alpha*alpha*m.vars[k*d+i] + sigma2
			z := x[i] - alpha*m.means[k*d+i]
			l -= (z*z/v + math.Log(2*math.Pi*v)) / 2
			p.b[k*d+i], p.c[k*d+i] = -z/v, 1/v
		}
		p.r[k] = l
		top = max(top, l)
	}
	sum := 0.0
	for k := range p.r {
		p.r[k] = math.Exp(p.r[k] - top)
		sum += p.r[k]
	}
	p.logP = top + math.Log(sum)
	clear(p.mean)
	clear(p.inv)
	for k := range p.r {
		p.r[k] /= sum
		for i := range d {
			p.mean[i] += p.r[k] * p.b[k*d+i]
			p.inv[i] += p.r[k] * p.c[k*d+i]
		}
	}
	for k := range p.r {
		for i := range d {
			p.b[k*d+i] -= p.mean[i]
			p.c[k*d+i] -= p.inv[i]
		}
	}
}

// rows calls f with the posterior at each row of x.
func (m *Mixture) rows(ctx context.Context, x, t []float64, f func(i int, p *posterior)) error {
	n := len(x) / m.d
	if len(x) != n*m.d || len(t) != n && len(t) != 1 {
		return fmt.Errorf("exact: %d coordinates and %d times; want rows of %d and one time each, or one for all", len(x), len(t), m.d)
	}
	p := m.newPosterior()
	for i := range n {
		if i%1024 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		p.at(x[i*m.d:(i+1)*m.d], t[min(i, len(t)-1)])
		f(i, p)
	}
	return nil
}

// LogP writes log p_t(x_i), the density of the data noised to time t, to dst (n).
func (m *Mixture) LogP(ctx context.Context, dst, x, t []float64) error {
	return m.rows(ctx, x, t, func(i int, p *posterior) { dst[i] = p.logP })
}

// Score implements solver.Model.
func (m *Mixture) Score(ctx context.Context, dst, x, t []float64) error {
	return m.ScoreDiv(ctx, dst, nil, x, t)
}

// ScoreDiv implements solver.Diverger: ∂_i∂_i log p = Var_r(b_i) − E_r(1/v_i).
func (m *Mixture) ScoreDiv(ctx context.Context, s, div, x, t []float64) error {
	d, scale := m.d, 1+m.Epsilon
	return m.rows(ctx, x, t, func(row int, p *posterior) {
		lap := 0.0
		for i := range d {
			if s != nil {
				s[row*d+i] = scale * p.mean[i]
			}
			lap -= p.inv[i]
			for k, r := range p.r {
				lap += r * p.b[k*d+i] * p.b[k*d+i]
			}
		}
		if div != nil {
			div[row] = scale * lap
		}
	})
}
