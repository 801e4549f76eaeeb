package dynamics

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/cmplx"
	"slices"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

// LikelihoodOptions are the settings of FitLikelihood; zero values work.
type LikelihoodOptions struct {
	Order    int  // states for each output; 0 chooses 1 to 6 by the Bayesian information criterion
	Kind     Kind // "" means Free
	NoNoise  bool // the outputs are without measurement noise
	NoOffset bool // the fixed point is 0 and not to be estimated
}

// LikelihoodFit is a state space fitted by maximum likelihood.
type LikelihoodFit struct {
	Model  *StateSpace // in the data's units
	Kind   Kind
	Order  int
	LogLik float64 // nats of the data given their first values, up to a prior that is nearly flat
	Free   int     // parameters
	BIC    float64 // −2 LogLik + Free ln n
	Span   float64
	Modes  []Mode
	Noise  []float64 // standard deviation of each output's measurement noise
	Notes  []string

	theta     []float64
	q         *parameters
	u         *units
	objective objective
}

// maxLikelihoodStates bounds the states of a fit by likelihood: its time grows with their fifth power.
const maxLikelihoodStates = 24

// startVariance is that of the first state in standardised outputs: large, so that the start is learned from the data.
const startVariance = 1e3

// FitLikelihood maximises the exact likelihood of the data, observed with noise at any times, through the filter. Intervals
// of the modes are from the observed information. When ctx is cancelled it returns the error of ctx.
func FitLikelihood(ctx context.Context, data *Data, o LikelihoodOptions) (*LikelihoodFit, error) {
	if o.Kind == "" {
		o.Kind = Free
	}
	if err := data.Validate(); err != nil {
		return nil, err
	}
	if err := data.CheckColumns(); err != nil {
		return nil, err
	}
	orders := []int{o.Order}
	if o.Order == 0 {
		orders = []int{1, 2, 3, 4, 5, 6}
	}
	if d := orders[0] * data.P; d > maxLikelihoodStates {
		return nil, fmt.Errorf("dynamics: %d outputs of order %d are %d states; a fit by likelihood takes at most %d: use least squares (edmd)", data.P, orders[0], d, maxLikelihoodStates)
	}
	u := newUnits(data, o.NoOffset)
	if err := checkGrid(data, u.step); err != nil {
		return nil, err
	}
	for j, sd := range u.sd {
		if !(sd > 0) || !finite(sd*sd) || sd*sd == 0 {
			return nil, fmt.Errorf("dynamics: %s has a standard deviation of %g, whose square leaves the range of numbers; rescale it", data.Name(j), sd)
		}
	}
	if err := independent(data); err != nil {
		return nil, err
	}
	var best *LikelihoodFit
	var failed error
	worse := 0 // orders in a row that were no better: two modes that are pairs need two states more
	for _, order := range orders {
		if order > 1 && o.Order == 0 && order*data.P > mostChosenStates {
			break
		}
		f, err := fitOrder(ctx, u, order, o)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			if failed == nil {
				failed = err
			}
			continue
		}
		if best != nil && f.BIC >= best.BIC {
			if worse++; worse == 2 {
				break
			}
			continue
		}
		worse = 0
		if best = f; best.white() > 0.05 {
			break // more states could not explain more
		}
	}
	if best == nil {
		return nil, failed
	}
	if p := best.white(); p < 1e-3 {
		best.Notes = append(best.Notes, fmt.Sprintf("the innovations are correlated in time (P = %.1g): the fit of %s does not explain the data, and modes may be off by more than their intervals; give more states (--order), or the dynamics are not linear", p, counted(best.q.d, "state", "states")))
	}
	return best, best.finish()
}

// mostChosenStates bounds the states of an order that is chosen: a minute or two for 20 000 times.
const mostChosenStates = 8

// independent refuses outputs that repeat others, by the pivots of Cholesky's factor of their correlations.
func independent(data *Data) error {
	mean, sd := data.Moments()
	p := data.P
	c := mat.NewDense(p, p, nil)
	n := 0.0
	for k := range data.Records {
		r := &data.Records[k]
	rows:
		for i := range r.Len() {
			row := r.Row(i, p)
			for _, v := range row {
				if v != v {
					continue rows
				}
			}
			n++
			for a := range p {
				for b := range a + 1 {
					c.Set(a, b, c.At(a, b)+(row[a]-mean[a])/sd[a]*((row[b]-mean[b])/sd[b]))
				}
			}
		}
	}
	if n < float64(2*p) {
		return nil // too few to say
	}
	for a := range p {
		for b := range a + 1 {
			v := c.At(a, b) / n
			for k := range b {
				v -= c.At(a, k) * c.At(b, k)
			}
			switch {
			case b < a:
				v /= c.At(b, b)
			case v < leastNoise:
				return fmt.Errorf("dynamics: %s repeats %s, up to a factor and an offset, so the system is singular; leave it out, or fit by least squares (edmd)", data.Name(a), others(data, a, c))
			default:
				v = math.Sqrt(v)
			}
			c.Set(a, b, v)
		}
	}
	return nil
}

// others names what output a repeats: the one that explains it, or a combination.
func others(data *Data, a int, factor *mat.Dense) string {
	if a == 1 || math.Abs(factor.At(a, 0)) > 1-1e-9 {
		return data.Name(0)
	}
	return "a combination of the outputs before it"
}

// white is the P value of innovations that are uncorrelated, as those of the right model are at any times: over ten steps, and over a
// hundred, where a narrow peak of the spectrum shows that has no mode (G. M. Ljung and G. E. P. Box, Biometrika 65, 297, 1978). It is the
// smaller of the two, for both of them.
func (f *LikelihoodFit) white() float64 {
	filter := newFilter(f.q.space(f.theta))
	filter.collect = true
	p := f.q.p
	least := 1.0
	sum, degrees := make([]float64, 2), make([]float64, 2)
	for k := range f.u.scaled.Records {
		filter.innovations = filter.innovations[:0]
		if filter.run(&f.u.scaled.Records[k], nil) != nil {
			return 0
		}
		e := filter.innovations
		m := len(e) / p
		for h := 1; h <= 100 && h < m; h++ {
			s := 0.0
			for i := range p {
				for j := range p {
					c := 0.0
					for t := h; t < m; t++ {
						c += e[t*p+i] * e[(t-h)*p+j]
					}
					s += c * c / float64(m-h)
				}
			}
			for l, lags := range []int{10, 100} {
				if h <= lags {
					sum[l], degrees[l] = sum[l]+s, degrees[l]+float64(p*p)
				}
			}
		}
	}
	for l, d := range degrees {
		if d > 0 {
			least = math.Min(least, 2*distuv.ChiSquared{K: d}.Survival(sum[l]))
		}
	}
	return least
}

// units are the data in standardised outputs and scaled time.
type units struct {
	data     *Data // as given
	scaled   *Data
	mean, sd []float64
	time     float64 // of the data, in one unit
	series   [][]float64
	step     float64
	values   int
}

// newUnits takes outputs from their means, in units of their standard deviations; where the fixed point is 0, from 0, in units of their
// root mean squares.
func newUnits(data *Data, zero bool) *units {
	u := &units{data: data}
	u.mean, u.sd = data.Moments()
	if zero {
		u.mean, u.sd = make([]float64, data.P), data.rootMeanSquares()
	}
	u.step = medianStep(data)
	if dt, ok := data.Step(); ok {
		u.step = dt
	}
	return u
}

// scale sets the unit of time.
func (u *units) scale(unit float64) {
	u.time = unit
	u.scaled = &Data{P: u.data.P}
	u.values = 0
	for k := range u.data.Records {
		r := &u.data.Records[k]
		s := Record{Times: make([]float64, r.Len()), X: make([]float64, len(r.X))}
		for i, t := range r.Times {
			s.Times[i] = (t - r.Times[0]) / unit
		}
		for i, v := range r.X {
			j := i % u.data.P
			s.X[i] = (v - u.mean[j]) / u.sd[j]
			if v == v {
				u.values++
			}
		}
		u.scaled.Records = append(u.scaled.Records, s)
	}
}

// head is the beginning of the data, n times of it: enough to compare starting values.
func (u *units) head(n int) *Data {
	d := &Data{P: u.data.P}
	for _, r := range u.scaled.Records {
		if n <= 0 {
			break
		}
		k := min(n, r.Len())
		d.Records = append(d.Records, Record{Times: r.Times[:k], X: r.X[:k*d.P]})
		n -= k
	}
	return d
}

// fitOrder maximises the likelihood for one number of states.
func fitOrder(ctx context.Context, u *units, order int, o LikelihoodOptions) (*LikelihoodFit, error) {
	own := *u // the unit of time is this order's own
	u = &own
	p := u.data.P
	d := order * p
	if u.data.Len() < 4*d+4 {
		return nil, fmt.Errorf("dynamics: %d times are too few for %d states; take a lower order or longer trajectories", u.data.Len(), d)
	}
	q := &parameters{p: p, d: d, kind: o.Kind, noise: !o.NoNoise, offset: !o.NoOffset, variance: startVariance}
	starts := u.starts(q)
	if len(starts) == 0 {
		return nil, fmt.Errorf("dynamics: no starting values of %d states have a finite likelihood; are the values of a size that can be squared?", d)
	}
	fit := &LikelihoodFit{Kind: o.Kind, Order: order, q: q, u: u}
	fit.objective = func(theta []float64, gradient bool) (float64, []float64) {
		m := q.space(theta)
		if !gradient {
			l, err := m.LogLik(u.scaled)
			if err != nil || !finite(l.LogLik) {
				return math.Inf(1), nil
			}
			return -l.LogLik, nil
		}
		l, by, err := m.score(u.scaled)
		if err != nil {
			return math.Inf(1), nil
		}
		return -l, scaled(q.gradient(theta, by), -1)
	}
	best := math.Inf(1)
	starts = starts[:min(len(starts), 2)]
	ends := make([]start, len(starts))
	failures := make([]error, len(starts))
	parallel(len(starts), func(i int) {
		ends[i].theta, ends[i].value, failures[i] = minimize(ctx, fit.objective, starts[i].theta)
	})
	for i, e := range ends {
		if failures[i] != nil {
			return nil, failures[i]
		}
		if e.value < best {
			fit.theta, best = e.theta, e.value
		}
	}
	if math.IsInf(best, 1) {
		return nil, errors.New("dynamics: the likelihood is not finite for any starting values")
	}
	fit.LogLik = -best
	for k := range u.data.Records { // to the data's units
		for i, v := range u.data.Records[k].X {
			if v == v {
				fit.LogLik -= math.Log(u.sd[i%p])
			}
		}
	}
	fit.Free = q.free()
	fit.BIC = -2*fit.LogLik + float64(fit.Free)*math.Log(float64(u.values))
	return fit, nil
}

// start is one choice of starting values.
type start struct {
	theta []float64
	value float64
}

// starts are starting values from subspaces of several lags, the best first, with the noises that suit them best. It sets
// the unit of time to that of the fastest candidate's typical mode.
func (u *units) starts(q *parameters) []start {
	if u.series == nil {
		for k := range u.data.Records {
			x := grid(&u.data.Records[k], q.p, u.step)
			for i := range x {
				x[i] = (x[i] - u.mean[i%q.p]) / u.sd[i%q.p]
			}
			u.series = append(u.series, x)
		}
	}
	longest := 0
	for _, x := range u.series {
		longest = max(longest, len(x)/q.p)
	}
	var found []candidate
	for _, stride := range []int{1, 3, 10, 30} {
		for _, blocks := range []int{q.d/q.p + 1, 2*q.d/q.p + 4, 20} {
			if 2*blocks*stride >= longest {
				continue
			}
			cov := covariances(u.series, q.p, 2*blocks, stride)
			if a, c, ok := subspace(cov, q.d, u.step*float64(stride)); ok {
				found = append(found, candidate{a, c})
			}
		}
	}
	found = append(found, decays(q, u.step))
	// One unit of time for all: of the first, whose lags are the smallest.
	var sizes []float64
	if m, err := modesOf(found[0].a); err == nil {
		for _, l := range m.mu {
			sizes = append(sizes, math.Max(cmplx.Abs(l), 1e-3/u.step))
		}
	}
	unit := u.step
	if len(sizes) > 0 {
		slices.Sort(sizes)
		unit = 1 / sizes[len(sizes)/2]
	}
	u.scale(unit)
	head := u.head(1500)
	var out []start
	for _, c := range found {
		var a mat.Dense
		a.Scale(unit, c.a)
		if s, ok := q.start(&a, c.c, head); ok {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b start) int {
		switch {
		case a.value < b.value:
			return -1
		case a.value > b.value:
			return 1
		}
		return 0
	})
	return out
}

// candidate is a choice of A and C.
type candidate struct{ a, c *mat.Dense }

// decays is a candidate that does not depend on the data: modes of each output that decay within about ten steps, five, three, ….
func decays(q *parameters, step float64) candidate {
	poly := []float64{1} // of s, highest power first
	for k := range q.d / q.p {
		rate := 0.1 * float64(k+1) / step
		next := make([]float64, len(poly)+1)
		for i, c := range poly {
			next[i] += c
			next[i+1] += c * rate
		}
		poly = next
	}
	a, c := mat.NewDense(q.d, q.d, nil), mat.NewDense(q.p, q.d, nil)
	for i := range q.d - q.p {
		a.Set(i, i+q.p, 1)
	}
	for i := range q.p {
		c.Set(i, i, 1)
		for k := range q.d / q.p {
			a.Set(q.d-q.p+i, k*q.p+i, -poly[len(poly)-1-k])
		}
	}
	return candidate{a, c}
}

// start turns A and C into parameters and searches sizes of the noises.
func (q *parameters) start(a, c *mat.Dense, head *Data) (start, bool) {
	// Coordinates of the outputs and their derivatives.
	t := mat.NewDense(q.d, q.d, nil)
	row := mat.DenseCopyOf(c)
	for i := 0; i < q.d; i += q.p {
		t.Slice(i, i+q.p, 0, q.d).(*mat.Dense).Copy(row)
		var next mat.Dense
		next.Mul(row, a)
		row = &next
	}
	var inverse, companion mat.Dense
	if err := inverse.Inverse(t); err != nil {
		return start{}, false
	}
	companion.Product(t, a, &inverse)
	na, ng, nr, _ := q.counts()
	best := start{value: math.Inf(1)}
	theta := make([]float64, q.len())
	if q.writeA(theta[:na], &companion) != nil || checkFinite("", theta) != nil {
		return start{}, false
	}
	noises := []float64{0.03, 0.1, 0.3, 0.7}
	if !q.noise {
		noises = noises[:1]
	}
	for _, g := range []float64{0.01, 0.03, 0.1, 0.3, 1, 2} {
		for _, r := range noises {
			copy(theta[na:], make([]float64, ng+nr))
			// the identity in the last block, which is the last p(p+1)/2 numbers, and a little elsewhere
			n := na
			for i := range q.d {
				for j := range q.p {
					if i < q.d-q.p || j <= i-(q.d-q.p) {
						if i >= q.d-q.p && j == i-(q.d-q.p) {
							theta[n] = g
						} else if i%q.p == j {
							theta[n] = 0.1 * g
						}
						n++
					}
				}
			}
			for i := range nr {
				theta[na+ng+i] = r
			}
			if l, err := q.space(theta).LogLik(head); err == nil && -l.LogLik < best.value {
				best = start{append([]float64(nil), theta...), -l.LogLik}
			}
		}
	}
	return best, best.theta != nil
}
