package exact

import (
	"fmt"
	"math"

	"hbar/kernels"
	"hbar/solver"
)

// Gaussian is data N(m_i, v0_i) in each dimension with the score that is wrong by a factor,
//
//	s_i = −(1+ε)(x_i − α m_i)/(α² v0_i + σ²)
//
// (arXiv:2403.11262, section 5.1, for m = 0; there v0 = 1 and Tmin = 0). The density q^h of the reverse process from the
// prior is Gaussian at every time, for every h, in closed form: with c = (1+h)(1+ε)/2, w(t) = v0 + σ²/α² and
// r = log w(Tmax)/w(t),
//
//	mean      M = α m (1 − e^{−cr})
//	variance  V = Vπ (α/α(Tmax))² e^{−2cr} + h α² w r φ((1−2c) r),     φ(z) = (e^z − 1)/z
//
// because g²/(α² w) = w'/w makes α² w^{2c} an integrating factor of dV/dt = 2(a + c g²/(α² w)) V − h g².
type Gaussian struct {
	*Mixture
}

// NewGaussian makes the model; variance holds D numbers, or one for all dimensions.
func NewGaussian(s solver.Schedule, mean, variance []float64, epsilon float64) (*Gaussian, error) {
	m, err := NewMixture(s, nil, [][]float64{mean}, [][]float64{variance}, epsilon)
	if err != nil {
		return nil, err
	}
	return &Gaussian{m}, nil
}

// Moments are the mean and the variance in each dimension.
type Moments struct{ Mean, Var []float64 }

// LogDensity is the log density at x.
func (m Moments) LogDensity(x []float64) float64 {
	l := 0.0
	for i, v := range m.Var {
		z := x[i] - m.Mean[i]
		l -= (z*z/v + math.Log(2*math.Pi*v)) / 2
	}
	return l
}

// CrossEntropy is −E_p log q, the NLL of q on data distributed as p.
func (m Moments) CrossEntropy(p Moments) float64 {
	e := 0.0
	for i, v := range m.Var {
		z := p.Mean[i] - m.Mean[i]
		e += ((p.Var[i]+z*z)/v + math.Log(2*math.Pi*v)) / 2
	}
	return e
}

// W2Squared is the squared 2-Wasserstein distance of two Gaussians with diagonal covariances.
func (m Moments) W2Squared(p Moments) float64 {
	sum := 0.0
	for i, v := range m.Var {
		z, s := p.Mean[i]-m.Mean[i], math.Sqrt(p.Var[i])-math.Sqrt(v)
		sum += z*z + s*s
	}
	return sum
}

// Data are the moments of the data noised to time t, p_t.
func (g *Gaussian) Data(t float64) Moments {
	alpha, sigma2 := g.Schedule.Alpha(t), g.Schedule.Sigma2(t)
	var m Moments
	for i := range g.d {
		m.Mean = append(m.Mean, alpha*g.means[i])
		m.Var = append(m.Var, alpha*alpha*g.vars[i]+sigma2)
	}
	return m
}

// constants are the pieces of the closed form in dimension i at time t: alpha α, v = α² w, r, R = (1+ε) r, and the
// variance of h = 0, v0.
func (g *Gaussian) constants(i int, t float64) (alpha, v, r, R, v0 float64) {
	s := g.Schedule
	alpha = s.Alpha(t)
	end := s.Tmax()
	w := g.vars[i] + math.Exp(-2*s.Lambda(t))
	wEnd := g.vars[i] + math.Exp(-2*s.Lambda(end))
	v = alpha * alpha * w
	r = math.Log(wEnd / w)
	R = (1 + g.Epsilon) * r
	sd := s.PriorStd() * alpha / s.Alpha(end)
	return alpha, v, r, R, sd * sd * math.Exp(-R)
}

// At are the moments of q^h at time t ≥ Tmin; Tmin is the end of the generation.
func (g *Gaussian) At(h, t float64) Moments {
	var m Moments
	for i := range g.d {
		alpha, v, r, R, v0 := g.constants(i, t)
		m.Mean = append(m.Mean, -alpha*g.means[i]*math.Expm1(-(1+h)*R/2))
		p, _ := phi(-g.Epsilon*r - h*R)
		m.Var = append(m.Var, v0*math.Exp(-h*R)+h*v*r*p)
	}
	return m
}

// LogQ is log q^h at x and time t.
func (g *Gaussian) LogQ(x []float64, h, t float64) float64 { return g.At(h, t).LogDensity(x) }

// Series are the coefficients of 1, h and h² of the moments of q^h at time t, for each dimension.
func (g *Gaussian) Series(t float64) (mean, variance [][3]float64) {
	for i := range g.d {
		alpha, v, r, R, v0 := g.constants(i, t)
		am, e := alpha*g.means[i], math.Exp(-R/2)
		mean = append(mean, [3]float64{-am * math.Expm1(-R/2), am * e * R / 2, -am * e * R * R / 8})
		p, dp := phi(-g.Epsilon * r)
		variance = append(variance, [3]float64{v0, v*r*p - R*v0, R*R*v0/2 - R*v*r*dp})
	}
	return mean, variance
}

// WKB is the expansion log q^h(x) = LogQ0 + h L1 + h² L2 + O(h³), with the gradient and the Laplacian of log q⁰.
type WKB struct {
	LogQ0, L1, L2 float64
	Grad          []float64
	Laplacian     float64
}

// Expand is the expansion at x and time t.
func (g *Gaussian) Expand(x []float64, t float64) WKB {
	mean, variance := g.Series(t)
	var e WKB
	for i := range x {
		m, v := mean[i], variance[i]
		d0, d1, d2 := x[i]-m[0], -m[1], -m[2]
		a, b := v[1]/v[0], v[2]/v[0]
		// δ² = d0² + 2 d0 d1 h + (d1² + 2 d0 d2) h²; 1/V = (1 − a h + (a² − b) h²)/V0; log V = log V0 + a h + (b − a²/2) h².
		q0, q1, q2 := d0*d0, 2*d0*d1, d1*d1+2*d0*d2
		e.LogQ0 -= (q0/v[0] + math.Log(2*math.Pi*v[0])) / 2
		e.L1 -= ((q1-a*q0)/v[0] + a) / 2
		e.L2 -= ((q2-a*q1+(a*a-b)*q0)/v[0] + b - a*a/2) / 2
		e.Grad = append(e.Grad, -d0/v[0])
		e.Laplacian -= 1 / v[0]
	}
	return e
}

// Chain are the exact moments of the discrete chain that the rows of a step table make with this score from the prior:
// each row is a linear update of x and m (kernels.Row), with the score in place of the network's value. The table must be made for
// score prediction, and no two rows may share their noise.
func (g *Gaussian) Chain(rows []kernels.Row) (Moments, error) {
	var out Moments
	sd := g.Schedule.PriorStd()
	for i := range g.d {
		mx, mm := 0.0, 0.0
		xx, xm, vm := sd*sd, 0.0, 0.0
		for k, r := range rows {
			if r.Cin != 1 {
				return Moments{}, fmt.Errorf("exact: row %d scales the input by %v: not a table for score prediction", k, r.Cin)
			}
			alpha := g.Schedule.Alpha(r.Tau)
			v := alpha*alpha*g.vars[i] + g.Schedule.Sigma2(r.Tau)
			slope := -(1 + g.Epsilon) / v
			shift := -slope * alpha * g.means[i] // s = slope x + shift
			a, b := r.State+r.Net*slope, r.Memory
			c, d := r.KeepState+r.KeepNet*slope, r.KeepMemory
			mx, mm = a*mx+b*mm+r.Net*shift, c*mx+d*mm+r.KeepNet*shift
			xx, xm, vm = a*a*xx+2*a*b*xm+b*b*vm+r.Noise*r.Noise, a*c*xx+(a*d+b*c)*xm+b*d*vm+r.Noise*r.KeepNoise, c*c*xx+2*c*d*xm+d*d*vm+r.KeepNoise*r.KeepNoise
		}
		out.Mean = append(out.Mean, mx)
		out.Var = append(out.Var, xx)
	}
	return out, nil
}

// phi is (e^z − 1)/z and its derivative.
func phi(z float64) (p, dp float64) {
	if math.Abs(z) < 0.5 {
		// Σ z^k/(k+1)! and Σ k z^{k−1}/(k+1)!: 18 terms leave 0.5^17/18! < 10⁻²⁰.
		term := 1.0 // z^k/k!
		for k := range 18 {
			p += term / float64(k+1)
			dp += term / float64(k+2) // k → k+1: (k+1) z^k/(k+2)! = z^k/k! /(k+2)
			term *= z / float64(k+1)
		}
		return p, dp
	}
	p = math.Expm1(z) / z
	return p, (math.Exp(z) - p) / z
}
