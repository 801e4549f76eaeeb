package dynamics

import (
	"fmt"
	"math"
	"math/cmplx"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// Starting values of the likelihood's maximum come from covariances of the outputs at lags above 0, to which measurement
// noise adds nothing: Λ_h = C F^(h−1) Γ is a block Hankel matrix of rank d, whose shift gives F (stochastic subspace
// identification by covariances; P. Van Overschee and B. De Moor, Subspace Identification for Linear Systems, 1996).

// mostGridded bounds the numbers that gaps between times add to the data on equal steps.
const mostGridded = 1 << 22

// checkGrid refuses data whose gaps would take too many steps.
func checkGrid(data *Data, dt float64) error {
	steps, gap, from, to := 0.0, 0.0, 0.0, 0.0
	for k := range data.Records {
		t := data.Records[k].Times
		for i := 1; i < len(t); i++ {
			steps += (t[i] - t[i-1]) / dt
			if t[i]-t[i-1] > gap {
				gap, from, to = t[i]-t[i-1], t[i-1], t[i]
			}
		}
	}
	if extra := steps - float64(data.Len()); !(extra*float64(data.P) <= mostGridded) {
		return fmt.Errorf("dynamics: the gap from time %g to %g is %.3g steps of %g, the usual one, and with the others it adds more than %d values between; leave out times that stand alone, or make trajectories of what is before the gap and behind", from, to, gap/dt, dt, mostGridded)
	}
	return nil
}

// grid is a record on equal steps; values between times are interpolated, as starting values may be.
func grid(r *Record, p int, dt float64) []float64 {
	if r.Len() == 0 {
		return nil
	}
	n := int((r.Times[r.Len()-1]-r.Times[0])/dt+1e-6) + 1
	out := make([]float64, n*p)
	for j := range p {
		left := -1 // the last observed time
		at := 0
		for i := range r.Len() {
			v := r.X[i*p+j]
			if v != v {
				continue
			}
			for ; at < n; at++ {
				t := r.Times[0] + dt*float64(at)
				if t > r.Times[i]+1e-6*dt {
					break
				}
				if left < 0 {
					out[at*p+j] = v
					continue
				}
				f := (t - r.Times[left]) / (r.Times[i] - r.Times[left])
				out[at*p+j] = (1-f)*r.X[left*p+j] + f*v
			}
			left = i
		}
		for ; at < n; at++ {
			out[at*p+j] = math.NaN()
		}
	}
	return out
}

// medianStep is the median of the steps of all records.
func medianStep(data *Data) float64 {
	var steps []float64
	for k := range data.Records {
		t := data.Records[k].Times
		for i := 1; i < len(t); i++ {
			steps = append(steps, t[i]-t[i-1])
		}
	}
	if len(steps) == 0 {
		return 1
	}
	slices.Sort(steps)
	return steps[len(steps)/2]
}

// covariances are Λ_0 … Λ_lags of series on equal steps around 0.
func covariances(series [][]float64, p, lags, stride int) []*mat.Dense {
	out := make([]*mat.Dense, lags+1)
	for h := range out {
		c := mat.NewDense(p, p, nil)
		n := 0.0
		for _, x := range series {
			for t := h * stride; t < len(x)/p; t++ {
				a, b := x[t*p:(t+1)*p], x[(t-h*stride)*p:(t-h*stride+1)*p]
				ok := true
				for j := range p {
					ok = ok && a[j] == a[j] && b[j] == b[j]
				}
				if !ok {
					continue
				}
				n++
				for i, u := range a {
					for j, v := range b {
						c.Set(i, j, c.At(i, j)+u*v)
					}
				}
			}
		}
		c.Scale(1/math.Max(n, 1), c)
		out[h] = c
	}
	return out
}

// subspace estimates A and C of d states from covariances one step dt apart, or fails.
func subspace(cov []*mat.Dense, d int, dt float64) (a, c *mat.Dense, ok bool) {
	p, _ := cov[0].Dims()
	blocks := len(cov) / 2
	if blocks*p <= d {
		return nil, nil, false
	}
	h := mat.NewDense(blocks*p, blocks*p, nil)
	for i := range blocks {
		for j := range blocks {
			if 1+i+j < len(cov) {
				h.Slice(i*p, (i+1)*p, j*p, (j+1)*p).(*mat.Dense).Copy(cov[1+i+j])
			}
		}
	}
	var svd mat.SVD
	if !svd.Factorize(h, mat.SVDThin) {
		return nil, nil, false
	}
	var u mat.Dense
	svd.UTo(&u)
	s := svd.Values(nil)
	if len(s) < d || !(s[d-1] > 1e-14*s[0]) {
		return nil, nil, false
	}
	o := mat.NewDense(blocks*p, d, nil)
	for j := range d {
		f := math.Sqrt(s[j])
		for i := range blocks * p {
			o.Set(i, j, f*u.At(i, j))
		}
	}
	var f mat.Dense
	if err := f.Solve(o.Slice(0, (blocks-1)*p, 0, d), o.Slice(p, blocks*p, 0, d)); err != nil {
		return nil, nil, false
	}
	a, ok = logarithm(&f, dt)
	return a, mat.DenseCopyOf(o.Slice(0, p, 0, d)), ok
}

// logarithm is a real A with exp(A dt) near f: negative eigenvalues lose their sign, and what decays at once does so within
// a step.
func logarithm(f *mat.Dense, dt float64) (*mat.Dense, bool) {
	m, err := modesOf(f)
	if err != nil {
		return nil, false
	}
	d := len(m.mu)
	a := mat.NewDense(d, d, nil)
	for k, mu := range m.mu {
		if imag(mu) == 0 {
			mu = complex(math.Abs(real(mu)), 0)
		}
		if size := cmplx.Abs(mu); size < 1e-2 {
			mu = 1e-2
		}
		l := cmplx.Log(mu) / complex(dt, 0)
		for i := range d {
			for j := range d {
				a.Set(i, j, a.At(i, j)+real(m.right.At(i, k)*l*cmplx.Conj(m.left.At(j, k))))
			}
		}
	}
	return a, checkFinite("", a.RawMatrix().Data) == nil
}
