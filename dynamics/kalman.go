package dynamics

import (
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

// LogLik is the exact log density of the data under the model, by Kalman's filter; records are independent. The time is
// linear in the number of observations. A step costs O(d³) until the filter is steady, O(d²) then.
func (m *StateSpace) LogLik(data *Data) (Likelihood, error) {
	var l Likelihood
	f := newFilter(m)
	for k := range data.Records {
		r := &data.Records[k]
		if err := f.run(r, nil); err != nil {
			if len(data.Records) > 1 {
				err = fmt.Errorf("trajectory %d: %w", k, err)
			}
			return l, err
		}
	}
	return f.total, nil
}

// filter is Kalman's filter in Joseph's form.
type filter struct {
	m     *StateSpace
	d, p  int
	steps *steps
	total Likelihood

	mean   []float64  // of z given what was seen so far
	cov    *mat.Dense // and its covariance
	buffer struct {
		mean         []float64
		dd, de, next *mat.Dense
	}
	all gain // with all outputs observed

	// Once prediction and update repeat themselves, the covariance is that before the update and stays.
	steady    bool
	lastCov   *mat.Dense // before the last update with all outputs
	lastStep  *Propagator
	lastValid bool
	keeping   bool // every covariance is wanted
}

// gain is what an update needs of the covariance: K, the root of the innovation's covariance and its log determinant.
type gain struct {
	c      *mat.Dense // the observed rows of C
	r      *mat.Dense // and of R
	pc, k  *mat.Dense // P Cᵀ, K: d×q
	s      *mat.SymDense
	chol   mat.Cholesky
	l      []float64 // lower factor of s, q×q
	kr     *mat.Dense
	logDet float64
	nu     []float64
}

func newGain(c, r *mat.Dense) gain {
	q, d := c.Dims()
	return gain{c: c, r: r, pc: mat.NewDense(d, q, nil), k: mat.NewDense(d, q, nil), kr: mat.NewDense(d, q, nil),
		s: mat.NewSymDense(q, nil), l: make([]float64, q*q), nu: make([]float64, q)}
}

func newFilter(m *StateSpace) *filter {
	d, p := m.Dim(), m.Outputs()
	f := &filter{m: m, d: d, p: p, steps: newSteps(m), mean: make([]float64, d), cov: mat.NewDense(d, d, nil), all: newGain(m.C, m.R), lastCov: mat.NewDense(d, d, nil)}
	f.buffer.mean = make([]float64, d)
	f.buffer.dd, f.buffer.de, f.buffer.next = mat.NewDense(d, d, nil), mat.NewDense(d, d, nil), mat.NewDense(d, d, nil)
	return f
}

// moment is what a smoother needs of one time.
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
	f.cov.Copy(f.m.P0)
	f.steady, f.lastValid, f.keeping = false, false, keep != nil
	for i := range r.Len() {
		var step *Propagator
		if i > 0 {
			var err error
			if step, err = f.steps.between(r.Times[i-1], r.Times[i]); err != nil {
				return fmt.Errorf("from time %g to %g: %w", r.Times[i-1], r.Times[i], err)
			}
			f.predict(step)
		}
		var kept moment
		if keep != nil {
			kept = moment{step: step, predicted: append([]float64(nil), f.mean...), predCov: mat.DenseCopyOf(f.cov)}
		}
		if err := f.observe(r.Row(i, f.p), step); err != nil {
			return fmt.Errorf("time %g: %w", r.Times[i], err)
		}
		if keep != nil {
			kept.filtered, kept.cov = append([]float64(nil), f.mean...), mat.DenseCopyOf(f.cov)
			keep(i, kept)
		}
	}
	if !finite(f.total.LogLik) {
		return fmt.Errorf("dynamics: the log density is %g: the model's predictions overflow", f.total.LogLik)
	}
	return nil
}

// predict takes mean and covariance through a step.
func (f *filter) predict(step *Propagator) {
	mulVec(f.buffer.mean, step.F, f.mean)
	for i := range f.mean {
		f.mean[i] = f.buffer.mean[i] + step.B[i]
	}
	if f.steady && step == f.lastStep {
		return
	}
	if f.steady { // catch up with the update that was left out
		f.steady = false
		f.joseph(&f.all)
	}
	f.buffer.dd.Mul(step.F, f.cov)
	f.buffer.next.Mul(f.buffer.dd, step.F.T())
	f.cov.Copy(step.P)
	addSymmetric(f.cov, f.buffer.next)
}

// observe takes in a row of outputs.
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
	if !f.keeping && f.lastValid && step != nil && step == f.lastStep && settled(f.cov, f.lastCov) {
		f.steady = true
		return nil
	}
	f.lastStep, f.lastValid = step, step != nil
	f.lastCov.Copy(f.cov)
	f.joseph(&f.all)
	return nil
}

// partial are the rows of C and R of the outputs that were seen, and their values less the offset.
func (f *filter) partial(y []float64, seen int) (gain, []float64) {
	c, r := mat.NewDense(seen, f.d, nil), mat.NewDense(seen, seen, nil)
	part := make([]float64, 0, seen)
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
	for i, j := range at {
		c.SetRow(i, f.m.C.RawRowView(j))
		for k, l := range at {
			r.Set(i, k, f.m.R.At(j, l))
		}
	}
	return newGain(c, r), part
}

// prepare computes the gain from the predicted covariance.
func (f *filter) prepare(g *gain) error {
	q := len(g.nu)
	g.pc.Mul(f.cov, g.c.T())
	for i := range q {
		ci := g.c.RawRowView(i)
		for j := i; j < q; j++ {
			v := (g.r.At(i, j) + g.r.At(j, i)) / 2
			for k, c := range ci {
				v += c * g.pc.At(k, j)
			}
			g.s.SetSym(i, j, v)
		}
	}
	if !g.chol.Factorize(g.s) {
		return fmt.Errorf("dynamics: the covariance of the outputs is singular: an output without noise repeats what is known; give R a positive diagonal")
	}
	g.logDet = g.chol.LogDet()
	u := g.chol.RawU().(mat.RawTriangular).RawTriangular() // S = UᵀU
	for i := range q {
		for j := range i + 1 {
			g.l[i*q+j] = u.Data[j*u.Stride+i]
		}
	}
	// K = P Cᵀ S⁻¹, row by row: two triangular solves
	for i := range f.d {
		row := g.k.RawRowView(i)
		copy(row, g.pc.RawRowView(i))
		solveLower(g.l, row)
		for a := q - 1; a >= 0; a-- {
			for b := a + 1; b < q; b++ {
				row[a] -= g.l[b*q+a] * row[b]
			}
			row[a] /= g.l[a*q+a]
		}
	}
	return nil
}

// correct adds the log density of the innovation and moves the mean.
func (f *filter) correct(g *gain, y, offset []float64) {
	q := len(g.nu)
	for i := range q {
		v := y[i]
		if offset != nil {
			v -= offset[i]
		}
		for k, c := range g.c.RawRowView(i) {
			v -= c * f.mean[k]
		}
		g.nu[i] = v
	}
	for i := range f.mean {
		for j, k := range g.k.RawRowView(i) {
			f.mean[i] += k * g.nu[j]
		}
	}
	solveLower(g.l, g.nu)
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
	ikc := f.buffer.de
	ikc.Mul(g.k, g.c)
	for i := range f.d {
		row := ikc.RawRowView(i)
		for j := range row {
			row[j] = -row[j]
		}
		row[i]++
	}
	f.buffer.dd.Mul(ikc, f.cov)
	f.buffer.next.Mul(f.buffer.dd, ikc.T())
	f.cov.Zero()
	addSymmetric(f.cov, f.buffer.next)
	g.kr.Mul(g.k, g.r)
	f.buffer.next.Mul(g.kr, g.k.T())
	addSymmetric(f.cov, f.buffer.next)
}

// settled reports whether two covariances agree up to rounding.
func settled(a, b *mat.Dense) bool {
	const tol = 1e-14
	d, _ := a.Dims()
	for i := range d {
		for j := range i + 1 {
			if !(math.Abs(a.At(i, j)-b.At(i, j)) <= tol*math.Sqrt(a.At(i, i)*a.At(j, j))) {
				return false
			}
		}
	}
	return true
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

func mulVec(dst []float64, m *mat.Dense, x []float64) {
	for i := range dst {
		s := 0.0
		for j, v := range m.RawRowView(i) {
			s += v * x[j]
		}
		dst[i] = s
	}
}
