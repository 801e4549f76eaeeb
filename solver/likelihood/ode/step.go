package ode

import (
	"context"
	"math"
)

// firstSteps guesses step sizes by an explicit Euler step (Hairer, Nørsett and Wanner, section II.4); one evaluation.
func (r *run) firstSteps(ctx context.Context, active []int) error {
	d1 := make([]float64, len(r.res))
	for _, i := range active {
		y, f := r.row(r.y, i), r.row(r.k[0], i)
		d0 := r.norm(y, y, y)
		d1[i] = r.norm(f, y, y)
		span := r.to[i] - r.from[i]
		h := 1e-6 * math.Abs(span)
		if d0 > 1e-5 && d1[i] > 1e-5 {
			h = 0.01 * d0 / d1[i]
		}
		r.h[i] = math.Copysign(min(h, math.Abs(span)), span)
		for c := range y {
			r.row(r.next, i)[c] = y[c] + r.h[i]*f[c]
		}
	}
	err := r.eval(ctx, r.k[1], r.next, active, func(i int) float64 { return r.from[i] + r.h[i] })
	for _, i := range active {
		f0, f1 := r.row(r.k[0], i), r.row(r.k[1], i)
		for c := range f1 {
			f1[c] -= f0[c]
		}
		h := math.Abs(r.h[i])
		d2 := r.norm(f1, r.row(r.y, i), r.row(r.y, i)) / h
		guess := 100 * h
		if d := max(d1[i], d2); d > 1e-15 {
			guess = min(guess, math.Pow(0.01/d, 1/float64(r.set.Method.ErrOrder)))
		}
		// A NaN guess is replaced by the small one; the step-size control corrects it.
		if !(guess > 0) {
			guess = h
		}
		span := r.to[i] - r.from[i]
		r.h[i] = math.Copysign(min(guess, math.Abs(span)), span)
	}
	return err
}

// step attempts one step of every active sample.
func (r *run) step(ctx context.Context, active []int) error {
	m := r.set.Method
	for s := range m.Stages() {
		if s == 0 && (m.FSAL || r.res[active[0]].Steps == 0) {
			continue // k[0] is there already
		}
		for _, i := range active {
			r.combine(r.row(r.next, i), i, m.A[s])
		}
		if err := r.eval(ctx, r.k[s], r.next, active, func(i int) float64 { return r.res[i].Tau + m.C[s]*r.h[i] }); err != nil {
			return err
		}
	}
	for _, i := range active {
		r.combine(r.row(r.next, i), i, m.B)
		r.judge(i)
	}
	return nil
}

// combine writes y + h Σ c_j k_j.
func (r *run) combine(dst []float64, i int, c []float64) {
	copy(dst, r.row(r.y, i))
	for j, a := range c {
		if a == 0 {
			continue
		}
		a *= r.h[i]
		for c, k := range r.row(r.k[j], i) {
			dst[c] += a * k
		}
	}
}

// judge accepts or rejects the step of sample i and sets the next step size.
func (r *run) judge(i int) {
	const safety, shrink, grow = 0.9, 0.2, 6
	res, set, m := &r.res[i], &r.set, r.set.Method
	next := r.row(r.next, i)
	span := math.Abs(r.to[i] - r.from[i])
	if set.Steps > 0 {
		if !finite(next) {
			res.Status = NotFinite
			return
		}
		res.Steps++
		res.Tau = r.from[i] + float64(res.Steps)*r.h[i]
		if res.Steps == set.Steps {
			res.Tau, res.Status = r.to[i], OK
		}
		r.accept(i)
		return
	}

	err := r.errorNorm(i)
	bad := !(err < math.Inf(1)) || !finite(next)
	factor := shrink
	if !bad {
		factor = max(shrink, min(grow, safety*math.Pow(max(err, 1e-300), -1/float64(m.ErrOrder))))
	}
	if bad || err > 1 {
		res.Rejected++
		r.h[i] *= min(factor, 1)
		switch {
		case math.Abs(r.h[i]) < 1e-12*span && bad:
			res.Status = NotFinite
		case math.Abs(r.h[i]) < 1e-12*span:
			res.Status = StepTooSmall
		case res.Steps+res.Rejected >= set.MaxSteps:
			res.Status = TooManySteps
		}
		return
	}
	res.Steps++
	res.Tau += r.h[i]
	left := r.to[i] - res.Tau
	if math.Abs(left) <= 1e-13*span || left*r.h[i] < 0 {
		res.Tau, res.Status = r.to[i], OK
	} else if res.Steps+res.Rejected >= set.MaxSteps {
		res.Status = TooManySteps
	}
	r.accept(i)
	r.h[i] *= factor
	// Two equal steps at the end rather than a long and a tiny one.
	switch h := math.Abs(r.h[i]); {
	case h >= math.Abs(left):
		r.h[i] = left
	case 2*h > math.Abs(left):
		r.h[i] = left / 2
	}
}

// accept makes the end of the step the state of sample i.
func (r *run) accept(i int) {
	copy(r.row(r.y, i), r.row(r.next, i))
	var f []float64
	if m := r.set.Method; m.FSAL {
		f = r.row(r.k[0], i)
		copy(f, r.row(r.k[len(m.C)-1], i))
	}
	if r.set.Accept != nil {
		r.set.Accept(i, r.res[i].Tau, r.row(r.y, i), f)
	}
}

// errorNorm is the estimated error of a step in units of the tolerance.
func (r *run) errorNorm(i int) float64 {
	m, h := r.set.Method, r.h[i]
	e5, e3, count := 0.0, 0.0, 0
	y, next := r.row(r.y, i), r.row(r.next, i)
	for c := range y {
		w := r.weight(c)
		if w == 0 {
			continue
		}
		count++
		w /= r.set.Tol * (1 + max(math.Abs(y[c]), math.Abs(next[c])))
		s5, s3 := 0.0, 0.0
		for s, e := range m.E {
			s5 += e * r.k[s][i*r.m+c]
		}
		for s, e := range m.E3 {
			s3 += e * r.k[s][i*r.m+c]
		}
		e5 += s5 * s5 * w * w
		e3 += s3 * s3 * w * w
	}
	if count == 0 {
		return 0
	}
	h = math.Abs(h)
	if m.E3 == nil {
		return h * math.Sqrt(e5/float64(count))
	}
	// The geometric weighting of dop853.f, which makes the estimate of order 8.
	if e5 == 0 {
		return 0
	}
	return h * e5 / math.Sqrt((e5+0.01*e3)*float64(count))
}

// norm is the weighted root mean square of v in units of the tolerance at y and z.
func (r *run) norm(v, y, z []float64) float64 {
	sum, count := 0.0, 0
	for c, x := range v {
		if w := r.weight(c); w != 0 {
			x *= w / (r.set.Tol * (1 + max(math.Abs(y[c]), math.Abs(z[c]))))
			sum += x * x
			count++
		}
	}
	if count == 0 {
		return 0
	}
	return math.Sqrt(sum / float64(count))
}

func (r *run) weight(c int) float64 {
	if r.set.Weights == nil {
		return 1
	}
	return r.set.Weights[c]
}
