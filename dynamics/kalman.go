package dynamics

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Likelihood is the exact log density of observed sequences.
type Likelihood struct {
	LogLik       float64 // nats
	Observations int     // times with a value
	Values       int     // observed numbers
}

var errSingular = errors.New("the covariance of the outputs is singular: an output without noise repeats what is known; give R a positive diagonal")

var errOverflow = errors.New("dynamics: the log density is not finite: the model's predictions overflow")

// LogLik is the exact log density of the data under the model, by Kalman's filter; records are independent. The time is
// linear in the number of observations. A step costs O(d³) until the filter is steady, O(d²) then.
func (m *StateSpace) LogLik(data *Data) (Likelihood, error) {
	var l Likelihood
	f := newFilter(m)
	for k := range data.Records {
		if err := f.run(&data.Records[k], nil); err != nil {
			return l, err
		}
	}
	return f.total, nil
}

// filter is Kalman's filter in Joseph's form. Matrices are row-major slices.
type filter struct {
	m     *StateSpace
	d, p  int
	steps *steps
	total Likelihood

	mean []float64 // of z given what was seen so far, d
	cov  []float64 // and its covariance, d×d
	x    []float64 // scratch, d
	m1   []float64 // and three scratch matrices, d×d
	m2   []float64
	m3   []float64
	all  gain // with all outputs observed

	// Once prediction and update do not change the covariance any more, it is kept, as that before the update.
	steady    bool
	lastCov   []float64 // before the last update with all outputs
	lastStep  *Propagator
	lastValid bool
	keeping   bool // every covariance is wanted

	collect     bool      // innovations are wanted
	innovations []float64 // of times with all outputs, made uncorrelated and of variance 1
}

// gain is the part of an update that follows from the covariance: K, the root of the innovation's covariance and its log determinant.
type gain struct {
	q      int
	c      []float64 // the observed rows of C, q×d
	r      []float64 // and of R, q×q
	pc, k  []float64 // P Cᵀ and K, d×q
	kr     []float64
	l      []float64 // lower factor of the innovation's covariance, q×q
	logDet float64
	nu     []float64
}

func newGain(c, r []float64, d int) gain {
	q := len(c) / d
	return gain{q: q, c: c, r: r, pc: make([]float64, d*q), k: make([]float64, d*q), kr: make([]float64, d*q), l: make([]float64, q*q), nu: make([]float64, q)}
}

func newFilter(m *StateSpace) *filter {
	d, p := m.Dim(), m.Outputs()
	room := make([]float64, 2*d+5*d*d)
	take := func(n int) []float64 {
		out := room[:n:n]
		room = room[n:]
		return out
	}
	return &filter{m: m, d: d, p: p, steps: newSteps(m), mean: take(d), x: take(d), cov: take(d * d), m1: take(d * d), m2: take(d * d), m3: take(d * d), lastCov: take(d * d),
		all: newGain(flat(m.C), flat(m.R), d)}
}

// moment holds the numbers of one time that a smoother uses.
type moment struct {
	step                *Propagator // from the time before; nil at the first
	predicted, filtered []float64
	predCov, cov        *mat.Dense
}

// run filters one record and adds to the total. keep, if not nil, takes the moments of each time.
func (f *filter) run(r *Record, keep func(i int, m moment)) error {
	if len(r.X) != f.p*r.Len() {
		return fmt.Errorf("dynamics: rows of %d outputs; the model has %d", len(r.X)/max(r.Len(), 1), f.p)
	}
	copy(f.mean, f.m.M0)
	copy(f.cov, flat(f.m.P0))
	f.steady, f.lastValid, f.keeping = false, false, keep != nil
	f.steps.keep = f.keeping
	for i := range r.Len() {
		var step *Propagator
		if i > 0 {
			var err error
			if step, err = f.steps.between(r.Times[i-1], r.Times[i]); err != nil {
				return fmt.Errorf("dynamics: from time %g to %g: %w", r.Times[i-1], r.Times[i], err)
			}
			f.predict(step)
		}
		var kept moment
		if keep != nil {
			kept = moment{step: step, predicted: append([]float64(nil), f.mean...), predCov: f.covariance()}
		}
		if err := f.observe(r.Row(i, f.p), step); err != nil {
			return fmt.Errorf("dynamics: time %g: %w", r.Times[i], err)
		}
		if keep != nil {
			kept.filtered, kept.cov = append([]float64(nil), f.mean...), f.covariance()
			keep(i, kept)
		}
	}
	if !finite(f.total.LogLik) {
		return errOverflow
	}
	return nil
}

// covariance is a copy of the state's.
func (f *filter) covariance() *mat.Dense {
	return mat.NewDense(f.d, f.d, append([]float64(nil), f.cov...))
}

// predict takes mean and covariance through a step.
func (f *filter) predict(step *Propagator) {
	d := f.d
	ff := step.F.RawMatrix().Data
	for i := range f.x {
		s := step.B[i]
		for j, v := range ff[i*d : (i+1)*d] {
			s += v * f.mean[j]
		}
		f.x[i] = s
	}
	copy(f.mean, f.x)
	if f.steady && step == f.lastStep {
		return
	}
	if f.steady { // make up for the update of the covariance that was left out
		f.steady = false
		f.joseph(&f.all)
	}
	multiply(f.m1, ff, f.cov, d, d, d)
	multiplyT(f.m2, f.m1, ff, d, d, d)
	copy(f.cov, step.P.RawMatrix().Data)
	f.addSymmetric(f.m2)
}

// addSymmetric adds the symmetric part of m to the covariance.
func (f *filter) addSymmetric(m []float64) {
	d := f.d
	for i := range d {
		for j := range i {
			v := f.cov[i*d+j] + (m[i*d+j]+m[j*d+i])/2
			f.cov[i*d+j], f.cov[j*d+i] = v, v
		}
		f.cov[i*d+i] += m[i*d+i]
	}
}

// observe updates the state with a row of outputs.
func (f *filter) observe(y []float64, step *Propagator) error {
	seen := 0
	for _, v := range y {
		if v == v {
			seen++
		}
	}
	if seen < f.p {
		f.steady, f.lastValid = false, false // a steady filter's covariance is the predicted one, as it should be here
		if seen == 0 {
			return nil
		}
		g, part := f.partial(y, seen)
		if err := f.prepare(&g); err != nil {
			return err
		}
		f.correct(&g, part, nil)
		f.joseph(&g)
		return nil
	}
	if f.steady {
		f.correct(&f.all, y, f.m.Offset)
		return nil
	}
	if err := f.prepare(&f.all); err != nil {
		return err
	}
	f.correct(&f.all, y, f.m.Offset)
	if !f.keeping && f.lastValid && step != nil && step == f.lastStep && step != f.steps.scratch && settled(f.cov, f.lastCov, f.d) {
		f.steady = true
		return nil
	}
	f.lastStep, f.lastValid = step, step != nil
	copy(f.lastCov, f.cov)
	f.joseph(&f.all)
	return nil
}

// partial are the rows of C and R of the outputs that were seen, and their values less the offset.
func (f *filter) partial(y []float64, seen int) (gain, []float64) {
	var c, r, part []float64
	var at []int
	for j, v := range y {
		if v == v {
			at = append(at, j)
			if f.m.Offset != nil {
				v -= f.m.Offset[j]
			}
			part = append(part, v)
		}
	}
	for _, j := range at {
		c = append(c, f.all.c[j*f.d:(j+1)*f.d]...)
		for _, l := range at {
			r = append(r, f.all.r[j*f.p+l])
		}
	}
	return newGain(c, r, f.d), part
}

// prepare computes the gain from the predicted covariance.
func (f *filter) prepare(g *gain) error {
	q, d := g.q, f.d
	multiplyT(g.pc, f.cov, g.c, d, d, q)
	multiply(g.l, g.c, g.pc, q, d, q)
	for i := range q {
		for j := range i + 1 {
			g.l[i*q+j] = (g.l[i*q+j]+g.l[j*q+i])/2 + (g.r[i*q+j]+g.r[j*q+i])/2
		}
	}
	if !cholesky(g.l, q) {
		return errSingular
	}
	g.logDet = 0
	for i := range q {
		g.logDet += 2 * math.Log(g.l[i*q+i])
	}
	// K = P Cᵀ S⁻¹, row by row: two triangular solves
	copy(g.k, g.pc)
	for i := range d {
		row := g.k[i*q : (i+1)*q]
		solveLower(g.l, row)
		solveUpper(g.l, row)
	}
	return nil
}

// correct adds the log density of the innovation and moves the mean.
func (f *filter) correct(g *gain, y, offset []float64) {
	q, d := g.q, f.d
	for i := range q {
		v := y[i]
		if offset != nil {
			v -= offset[i]
		}
		for k, c := range g.c[i*d : (i+1)*d] {
			v -= c * f.mean[k]
		}
		g.nu[i] = v
	}
	for i := range f.mean {
		for j, k := range g.k[i*q : (i+1)*q] {
			f.mean[i] += k * g.nu[j]
		}
	}
	solveLower(g.l, g.nu)
	if f.collect && q == f.p {
		f.innovations = append(f.innovations, g.nu...)
	}
	quad := 0.0
	for _, v := range g.nu {
		quad += v * v
	}
	f.total.LogLik -= 0.5 * (float64(q)*math.Log(2*math.Pi) + g.logDet + quad)
	f.total.Observations++
	f.total.Values += q
}

// joseph updates the covariance: (1 − KC) P (1 − KC)ᵀ + K R Kᵀ.
func (f *filter) joseph(g *gain) {
	d, q := f.d, g.q
	multiply(f.m1, g.k, g.c, d, q, d)
	for i := range f.m1 {
		f.m1[i] = -f.m1[i]
	}
	for i := range d {
		f.m1[i*d+i]++
	}
	multiply(f.m2, f.m1, f.cov, d, d, d)
	multiplyT(f.m3, f.m2, f.m1, d, d, d)
	clear(f.cov)
	f.addSymmetric(f.m3)
	multiply(g.kr, g.k, g.r, d, q, q)
	multiplyT(f.m3, g.kr, g.k, d, q, d)
	f.addSymmetric(f.m3)
}

// settled reports whether two covariances agree up to rounding.
func settled(a, b []float64, d int) bool {
	const tol = 1e-14
	for i := range d {
		for j := range i + 1 {
			if !(math.Abs(a[i*d+j]-b[i*d+j]) <= tol*math.Sqrt(a[i*d+i]*a[j*d+j])) {
				return false
			}
		}
	}
	return true
}

// flat is the numbers of a matrix row by row without gaps.
func flat(m *mat.Dense) []float64 {
	r := m.RawMatrix()
	if r.Stride == r.Cols {
		return r.Data[:r.Rows*r.Cols]
	}
	return mat.DenseCopyOf(m).RawMatrix().Data
}

// solveLower replaces x by L⁻¹x.
func solveLower(l, x []float64) {
	q := len(x)
	for i := range q {
		for j := range i {
			x[i] -= l[i*q+j] * x[j]
		}
		x[i] /= l[i*q+i]
	}
}

// solveUpper replaces x by L⁻ᵀx.
func solveUpper(l, x []float64) {
	q := len(x)
	for i := q - 1; i >= 0; i-- {
		for j := i + 1; j < q; j++ {
			x[i] -= l[j*q+i] * x[j]
		}
		x[i] /= l[i*q+i]
	}
}

func mulVec(dst []float64, m *mat.Dense, x []float64) {
	for i := range dst {
		s := 0.0
		for j, v := range m.RawRowView(i) {
			s += v * x[j]
		}
		dst[i] = s
	}
}
