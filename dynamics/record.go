package dynamics

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// Record is one observed trajectory: n rows of p outputs at n times that increase. A NaN is a value that was not observed.
type Record struct {
	Times []float64
	X     []float64 // n×p
}

// Data is one or more records of the same outputs.
type Data struct {
	P       int      // outputs
	Names   []string // of the outputs, or nil
	Records []Record
	Timed   bool // the times were given, not counted
}

// Len is the number of times.
func (r *Record) Len() int { return len(r.Times) }

// Row is the outputs at time i.
func (r *Record) Row(i, p int) []float64 { return r.X[i*p : (i+1)*p : (i+1)*p] }

// Len is the number of times in all records.
func (d *Data) Len() int {
	n := 0
	for i := range d.Records {
		n += d.Records[i].Len()
	}
	return n
}

// Name is the name of output j.
func (d *Data) Name(j int) string {
	if j < len(d.Names) {
		return d.Names[j]
	}
	return fmt.Sprintf("x[%d]", j)
}

// CheckNames refuses data whose outputs have other names than those of a model, or the same in another order. Names are compared
// where both have them. A .csv holds no commas in names, so that they stand there as semicolons.
func (d *Data) CheckNames(model []string) error {
	plain := func(name string) string { return strings.ReplaceAll(name, ",", ";") }
	for j := range min(len(d.Names), len(model)) {
		if plain(d.Names[j]) != plain(model[j]) {
			return fmt.Errorf("dynamics: output %d of the data is %q, and of the model it is %q; want the outputs of the model in its order", j+1, d.Names[j], model[j])
		}
	}
	return nil
}

// Validate checks that shapes agree, times increase, and values are finite or NaN.
func (d *Data) Validate() error {
	if d.P < 1 || d.Len() == 0 {
		return fmt.Errorf("dynamics: the data are empty")
	}
	for k := range d.Records {
		r := &d.Records[k]
		if len(r.X) != d.P*r.Len() {
			return fmt.Errorf("dynamics: trajectory %d has %d values; %d times of %d outputs need %d", k, len(r.X), r.Len(), d.P, d.P*r.Len())
		}
		for i, t := range r.Times {
			if !finite(t) {
				return fmt.Errorf("dynamics: trajectory %d: time %d is %g; want a finite number", k, i, t)
			}
			if i > 0 && t <= r.Times[i-1] {
				return fmt.Errorf("dynamics: trajectory %d: times should increase, and time %d, %g, follows %g", k, i, t, r.Times[i-1])
			}
		}
		for i, v := range r.X {
			if math.IsInf(v, 0) {
				return fmt.Errorf("dynamics: trajectory %d: %s at time %g is infinite", k, d.Name(i%d.P), r.Times[i/d.P])
			}
		}
	}
	return nil
}

// CheckColumns refuses outputs that cannot be learned from: without a value, or constant.
func (d *Data) CheckColumns() error {
	if d.Len() == len(d.Records) {
		return errors.New("dynamics: no trajectory has more than one time, so there are no dynamics to see; give longer ones")
	}
	least, most := make([]float64, d.P), make([]float64, d.P)
	for j := range d.P {
		least[j], most[j] = math.Inf(1), math.Inf(-1)
	}
	for k := range d.Records {
		r := &d.Records[k]
		for i := range r.Len() {
			for j, v := range r.Row(i, d.P) {
				if v < least[j] { // not NaN
					least[j] = v
				}
				if v > most[j] {
					most[j] = v
				}
			}
		}
	}
	for j := range d.P {
		lo, hi := least[j], most[j]
		switch {
		case lo > hi:
			return fmt.Errorf("dynamics: %s is NaN everywhere; leave it out", d.Name(j))
		case lo == hi:
			return fmt.Errorf("dynamics: %s is constant, %g, so it has no dynamics; leave it out", d.Name(j), lo)
		}
	}
	return nil
}

// Moments are the mean and standard deviation of each output over its values.
func (d *Data) Moments() (mean, sd []float64) {
	mean, sd = make([]float64, d.P), make([]float64, d.P)
	n := make([]float64, d.P)
	for k := range d.Records {
		for i, v := range d.Records[k].X {
			if j := i % d.P; v == v { // Welford's recursion
				n[j]++
				delta := v - mean[j]
				mean[j] += delta / n[j]
				sd[j] += delta * (v - mean[j])
			}
		}
	}
	for j := range sd {
		sd[j] = math.Sqrt(sd[j] / math.Max(n[j], 1))
	}
	return mean, sd
}

// stepTolerance is how far a step may be from the common one, as a share of it, for times to count as equally spaced.
const stepTolerance = 1e-3

// Step is the common step of the times; gaps in them may be whole multiples of it. ok is false where there is none.
func (d *Data) Step() (dt float64, ok bool) {
	dt = math.Inf(1)
	for k := range d.Records {
		t := d.Records[k].Times
		for i := 1; i < len(t); i++ {
			dt = math.Min(dt, t[i]-t[i-1])
		}
	}
	if math.IsInf(dt, 1) {
		return 0, false
	}
	// The smallest step is short by rounding or jitter: the mean over all, counted in steps, is the step.
	sum, count := 0.0, 0.0
	for k := range d.Records {
		t := d.Records[k].Times
		for i := 1; i < len(t); i++ {
			m := math.Round((t[i] - t[i-1]) / dt)
			sum, count = sum+t[i]-t[i-1], count+m
		}
	}
	dt = sum / count
	for k := range d.Records {
		t := d.Records[k].Times
		for i := 1; i < len(t); i++ {
			s := t[i] - t[i-1]
			if math.Abs(s-dt*math.Round(s/dt)) > stepTolerance*dt {
				return 0, false
			}
		}
	}
	return dt, true
}

// Span is the total time covered by the records.
func (d *Data) Span() float64 {
	s := 0.0
	for k := range d.Records {
		if t := d.Records[k].Times; len(t) > 1 {
			s += t[len(t)-1] - t[0]
		}
	}
	return s
}

// rootMeanSquares are the root mean squares of each output over its values: standard deviations around 0.
func (d *Data) rootMeanSquares() []float64 {
	mean, sd := d.Moments()
	for j := range sd {
		sd[j] = math.Hypot(mean[j], sd[j])
	}
	return sd
}
