package solver

import "math"

// gauss is one-dimensional data N(mean, variance), for which everything has a closed form: p_t = N(α mean, v_t) with
// v_t = α² variance + σ², and the score is linear. So the moments of a table's chain follow from its rows exactly.
type gauss struct{ mean, variance float64 }

func (g gauss) vt(s Schedule, t float64) float64 {
	return s.Alpha(t)*s.Alpha(t)*g.variance + s.Sigma2(t)
}

// score returns s = c x + b.
func (g gauss) score(s Schedule, t float64) (c, b float64) {
	v := g.vt(s, t)
	return -1 / v, s.Alpha(t) * g.mean / v
}

// network returns the perfect network of a prediction type, n = c x + b, in terms of x before the scaling by Cin.
func (g gauss) network(s Schedule, p Prediction, t float64) (c, b float64) {
	_, P, Q, _ := p.Coeffs(s, t)
	c, b = g.score(s, t)
	return (c - P) / Q, b / Q
}

// moments are the mean of (x, m) and its covariance.
type moments struct{ x, m, xx, xm, mm float64 }

// after is the moments after row r with network n = c x + b.
func (u moments) after(a [2][2]float64, shift, noise [2]float64) moments {
	xx := a[0][0]*u.xx + a[0][1]*u.xm
	xm := a[0][0]*u.xm + a[0][1]*u.mm
	mx := a[1][0]*u.xx + a[1][1]*u.xm
	mm := a[1][0]*u.xm + a[1][1]*u.mm
	return moments{
		x:  a[0][0]*u.x + a[0][1]*u.m + shift[0],
		m:  a[1][0]*u.x + a[1][1]*u.m + shift[1],
		xx: xx*a[0][0] + xm*a[0][1] + noise[0]*noise[0],
		xm: xx*a[1][0] + xm*a[1][1] + noise[0]*noise[1],
		mm: mx*a[1][0] + mm*a[1][1] + noise[1]*noise[1],
	}
}

// chain is the mean and the standard deviation of the state at Tmin, from the prior through the table.
func (g gauss) chain(s Schedule, p Prediction, table *Table) (mean, std float64) {
	u := moments{xx: s.PriorStd() * s.PriorStd()}
	for i, r := range table.Rows {
		c, b := g.network(s, p, table.Times[i/table.Stride+i%table.Stride])
		u = u.after([2][2]float64{{r.State + r.Net*c, r.Memory}, {r.KeepState + r.KeepNet*c, r.KeepMemory}}, [2]float64{r.Net * b, r.KeepNet * b}, [2]float64{r.Noise, r.KeepNoise})
	}
	return u.x, math.Sqrt(u.xx)
}

// exact is what the reverse process with dial h itself gives from the prior. η = (x − α mean)/√v is an
// Ornstein–Uhlenbeck process of rate h/2 in the clock ∫ g²/v dt = log((e^{−2λ(Tmax)} + variance)/(e^{−2λ(Tmin)} + variance)).
func (g gauss) exact(s Schedule, h float64) (mean, std float64) {
	lo, hi := s.Tmin(), s.Tmax()
	vlo, vhi := g.vt(s, lo), g.vt(s, hi)
	left := math.Pow((math.Exp(-2*s.Lambda(lo))+g.variance)/(math.Exp(-2*s.Lambda(hi))+g.variance), h)
	eta := -s.Alpha(hi) * g.mean / math.Sqrt(vhi) * math.Sqrt(left)
	eta2 := 1 + (s.PriorStd()*s.PriorStd()/vhi-1)*left
	return s.Alpha(lo)*g.mean + math.Sqrt(vlo)*eta, math.Sqrt(vlo * eta2)
}
