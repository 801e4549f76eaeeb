package dynamics

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"hbar/kernels"
)

// Lifted is a Markov model of windows of snapshots on equal steps: the next snapshot's outputs are Gaussian around what the
// lifted dynamics predict,
//
//	u_{k+1} ~ N(next + K (φ(window_k) − mean), Noise),   u standardised outputs,
//
// and the first window is N(Start mean, Start). It is the model of an EDMD whose features are not linear.
type Lifted struct {
	Lift  *Lift
	Dt    float64
	K     *mat.Dense // p×d, the outputs' rows
	Mean  []float64  // d
	Next  []float64  // p
	Noise *mat.Dense // p×p
	Start *mat.Dense // of the window's coordinates, around the first of Mean
}

// Lifted is the fit as a model to generate from. It predicts by least squares without the correction of the bias, which is for the
// modes: with features that are nearly dependent it would give large coefficients.
func (e *EDMD) Lifted() *Lifted {
	p := e.Lift.Outputs
	return &Lifted{Lift: e.Lift, Dt: e.Dt, K: mat.DenseCopyOf(e.K.Slice(0, p, 0, e.Features)), Mean: e.Mean, Next: e.Next[:p], Noise: e.Noise, Start: e.Start}
}

// corrected is K with the correction of F's bias.
func (e *EDMD) corrected() *mat.Dense {
	var change, k mat.Dense
	change.Sub(e.F, e.ols)
	k.Product(e.inverse, &change, e.transform)
	k.Add(&k, e.K)
	return &k
}

// StateSpace is the fit of a linear lift as a chain of steps, whose state is the window, newest snapshot first.
func (e *EDMD) StateSpace() (*StateSpace, error) {
	l := e.Lift
	if !l.Linear() {
		return nil, fmt.Errorf("dynamics: features that are not linear have no state space")
	}
	p, w := l.Outputs, l.window()
	k := e.corrected()
	m := &StateSpace{Dt: e.Dt, Chain: &Propagator{F: mat.NewDense(w, w, nil), B: make([]float64, w), P: mat.NewDense(w, w, nil)},
		C: mat.NewDense(p, w, nil), Offset: append([]float64(nil), l.Mean...), R: mat.NewDense(p, p, nil), M0: append([]float64(nil), e.Mean...), P0: mat.DenseCopyOf(e.Start)}
	for i := range p {
		m.Chain.B[i] = e.Next[i]
		for j := range w {
			m.Chain.F.Set(i, j, k.At(i, j))
			m.Chain.B[i] -= k.At(i, j) * e.Mean[j]
		}
		for j := range p {
			m.Chain.P.Set(i, j, e.Noise.At(i, j))
		}
		m.C.Set(i, i, l.SD[i])
	}
	for i := p; i < w; i++ {
		m.Chain.F.Set(i, i-p, 1)
	}
	return m, nil
}

// logNormal is log N(x; 0, S) for the root of S.
type logNormal struct {
	l      []float64
	n      int
	logDet float64
	x      []float64
}

func newLogNormal(s *mat.Dense) (*logNormal, error) {
	n, _ := s.Dims()
	g := &logNormal{l: append([]float64(nil), flat(s)...), n: n, x: make([]float64, n)}
	if !cholesky(g.l, n) {
		return nil, fmt.Errorf("dynamics: the model's noise is singular, so its sequences have no density")
	}
	for i := range n {
		g.logDet += 2 * math.Log(g.l[i*n+i])
	}
	return g, nil
}

func (g *logNormal) at(x []float64) float64 {
	copy(g.x, x)
	solveLower(g.l, g.x)
	q := 0.0
	for _, v := range g.x {
		q += v * v
	}
	return -0.5 * (float64(g.n)*math.Log(2*math.Pi) + g.logDet + q)
}

// LogLik is the exact log density of the data: of each stretch's first window and of each snapshot given the window before.
// Snapshots in stretches shorter than a window, between gaps, are not counted.
func (m *Lifted) LogLik(data *Data) (Likelihood, error) {
	var total Likelihood
	l := m.Lift
	if data.P != l.Outputs {
		return total, fmt.Errorf("dynamics: rows of %d outputs; the model has %d", data.P, l.Outputs)
	}
	step, err := newLogNormal(m.Noise)
	if err != nil {
		return total, err
	}
	start, err := newLogNormal(m.Start)
	if err != nil {
		return total, err
	}
	segments, longest := stretches(data, l, m.Dt)
	if len(segments) == 0 {
		return total, &NoPairsError{l.Delays, longest}
	}
	p, w, d := l.Outputs, l.window(), l.Dim()
	scale := 0.0 // of one snapshot, from standardised outputs to the data's
	for _, s := range l.SD {
		scale -= math.Log(s)
	}
	dev := make([]float64, max(w, p))
	lastRecord, lastAt := -1, -1
	for _, s := range segments {
		rows := make([]float64, (s.pairs+1)*d)
		s.fill(rows, d, data, l)
		if s.record != lastRecord || s.first != lastAt { // not the continuation of a stretch
			for j := range w {
				dev[j] = rows[j] - m.Mean[j]
			}
			total.LogLik += start.at(dev[:w]) + float64(l.Delays)*scale
			total.Observations += l.Delays
			total.Values += w
		}
		for k := range s.pairs {
			m.predict(dev[:p], rows[k*d:(k+1)*d])
			for j := range p {
				dev[j] = rows[(k+1)*d+j] - dev[j]
			}
			total.LogLik += step.at(dev[:p]) + scale
			total.Observations++
			total.Values += p
		}
		lastRecord, lastAt = s.record, s.first+s.pairs
	}
	if !finite(total.LogLik) {
		return total, fmt.Errorf("dynamics: the log density is %g: the features overflow on these data", total.LogLik)
	}
	return total, nil
}

// predict is the mean of the next snapshot's standardised outputs.
func (m *Lifted) predict(dst, features []float64) {
	for i := range dst {
		s := m.Next[i]
		for j, k := range m.K.RawRowView(i) {
			s += k * (features[j] - m.Mean[j])
		}
		dst[i] = s
	}
}

// generationBound is how far, in standard deviations, a generated output may go before it is clamped.
const generationBound = 1e3

// Generate draws n snapshots, and counts those that were clamped because features that are not linear made them diverge.
func (m *Lifted) Generate(n int, seed, k uint64) (r *Record, clamped int, err error) {
	l := m.Lift
	p, w := l.Outputs, l.window()
	rng := rand.New(kernels.NewSource(seed, kernels.StreamData, k))
	draw := func(dst []float64, root *mat.Dense) {
		e := make([]float64, len(dst))
		for i := range e {
			e[i] = rng.NormFloat64()
		}
		for i := range dst {
			for j, v := range root.RawRowView(i) {
				dst[i] += v * e[j]
			}
		}
	}
	features := make([]float64, l.Dim())
	copy(features, m.Mean[:w])
	draw(features[:w], root(m.Start))
	noise := root(m.Noise)
	r = &Record{}
	add := func(u []float64) {
		r.Times = append(r.Times, m.Dt*float64(len(r.Times)))
		for j, v := range u {
			r.X = append(r.X, l.Mean[j]+l.SD[j]*v)
		}
	}
	for i := l.Delays - 1; i >= 0 && r.Len() < n; i-- { // oldest first
		add(features[i*p : (i+1)*p])
	}
	next := make([]float64, p)
	for r.Len() < n {
		l.finish(features)
		m.predict(next, features)
		draw(next, noise)
		bad := false
		for j, v := range next {
			if !(math.Abs(v) <= generationBound) {
				bad = true
				next[j] = math.Max(-generationBound, math.Min(generationBound, v))
				if v != v {
					next[j] = 0
				}
			}
		}
		if bad {
			clamped++
		}
		copy(features[p:w], features[:w-p])
		copy(features, next)
		add(next)
	}
	return r, clamped, nil
}
