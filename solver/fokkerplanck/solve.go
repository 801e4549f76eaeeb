package fokkerplanck

import (
	"context"
	"fmt"
	"math"

	"hbar/solver"
)

// Solution is q_t^h for one h.
type Solution struct {
	H float64
	// Density is the finer solution; nil if it failed.
	Density *Density
	// Coarse is the one that it is checked against; nil with Options.Unchecked.
	Coarse *Density
	// Difference is ∫ |q − q_coarse| dx.
	Difference float64
	// Err says why there is no solution.
	Err error
}

// Status says whether a value can be used.
type Status uint8

const (
	OK         Status = iota
	Outside           // the point is outside the box, where the density is below about 10⁻⁸ of its maximum
	Unresolved        // the density at the point is not larger than its error
	Invalid           // the point is not finite
	Failed            // there is no solution for this h
)

func (s Status) String() string {
	return [...]string{"ok", "outside the box", "density below its error", "point is not finite", "no solution"}[s]
}

// Value is log q at a point with its error.
type Value struct {
	LogQ, Err float64
	Status    Status
}

// LogQ returns log q^h at the points x (n×D), in nats. The error adds the change from the coarser solution at the point,
// the mean change (Difference: the two may cross at the point) and the ringing, |most negative value|/q. With
// Options.Unchecked it is the ringing alone.
func (s *Solution) LogQ(x []float64) ([]Value, error) {
	if s.Density == nil {
		return nil, s.Err
	}
	d := s.Density.frame.d
	if len(x)%d != 0 {
		return nil, fmt.Errorf("fokkerplanck: %d coordinates are not points in %d dimensions", len(x), d)
	}
	n := len(x) / d
	q, c := make([]float64, n), make([]float64, n)
	if err := s.Density.Values(q, x); err != nil {
		return nil, err
	}
	if s.Coarse != nil {
		if err := s.Coarse.Values(c, x); err != nil {
			return nil, err
		}
	} else {
		copy(c, q)
	}
	ringing := -min(0, s.Density.Run.MostNegative) * s.Density.Run.peak
	out := make([]Value, n)
	for i := range out {
		v := &out[i]
		v.LogQ, v.Err = math.NaN(), math.NaN()
		switch {
		case !finite(x[i*d : (i+1)*d]):
			v.Status = Invalid
		case math.IsNaN(q[i]) || math.IsNaN(c[i]):
			v.Status = Outside
		case !(q[i] > ringing && c[i] > 0 && math.Abs(q[i]-c[i]) < q[i]):
			v.Status = Unresolved
		default:
			v.LogQ = math.Log(q[i])
			v.Err = math.Abs(v.LogQ-math.Log(c[i])) + s.Difference + ringing/q[i]
		}
	}
	return out, nil
}

func finite(x []float64) bool {
	for _, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}

// Solve returns q_t^h at time t = Options.Time for every h > 0, of the reverse process of a score model in one or two
// dimensions. Errors in the settings and of the model are returned; a value of h for which the solution breaks down has
// its own Err.
func Solve(ctx context.Context, m solver.Model, sch solver.Schedule, hs []float64, opt *Options) ([]*Solution, error) {
	d := m.Dim()
	if d != 1 && d != 2 {
		return nil, fmt.Errorf("fokkerplanck: the model has %d dimensions; a grid serves 1 and 2", d)
	}
	if err := solver.NeedScalars(sch, "the grid"); err != nil {
		return nil, fmt.Errorf("fokkerplanck: %w", err)
	}
	if err := checkH(hs); err != nil {
		return nil, err
	}
	o, err := opt.withDefaults(d, sch)
	if err != nil {
		return nil, err
	}
	p := newPool(o.Workers)
	var box pilot
	if o.Center == nil || o.Limit == 0 {
		if box, err = runPilot(ctx, m, sch, o.Time, p); err != nil {
			return nil, err
		}
	}
	copy(box.center[:], o.Center)
	copy(box.radius[:], o.Radius)
	if o.Limit == 0 {
		o.Limit = max(8, 2.5*box.peak)
	}
	fine := &sweep{model: m, pool: p, opt: o, hs: hs,
		frame: &frame{schedule: sch, d: d, center: box.center, radius: box.radius, kappa: o.Margin}}
	coarse := fine.coarser()
	total := fine.parts()
	if !o.Unchecked {
		total += coarse.parts()
	}
	report := o.Progress
	if report == nil {
		report = func(done, total int) {}
	}
	done := 0
	report(0, total)
	tick := func() {
		done++
		report(done, total)
	}
	out := make([]*Solution, len(hs))
	states, err := fine.run(ctx, tick)
	if err != nil {
		return nil, err
	}
	for i, st := range states {
		out[i] = &Solution{H: hs[i], Density: fine.density(st), Err: st.err}
	}
	if o.Unchecked {
		return out, nil
	}
	coarse.follow = states
	checks, err := coarse.run(ctx, tick)
	if err != nil {
		return nil, err
	}
	for i, st := range checks {
		s := out[i]
		s.Coarse = coarse.density(st)
		switch {
		case s.Err != nil:
		case st.err != nil:
			s.Err, s.Density = fmt.Errorf("%w (in the coarser solution)", st.err), nil
		default:
			s.Difference = distance(s.Density, s.Coarse)
		}
	}
	return out, nil
}

// distance is ∫ |a − b| dx on a's grid.
func distance(a, b *Density) float64 {
	x1 := a.axis(0)
	var x2 []float64
	if a.frame.d == 2 {
		x2 = a.axis(1)
	}
	va, err := a.Image(x1, x2)
	if err != nil {
		return math.NaN()
	}
	vb, err := b.Image(x1, x2)
	if err != nil {
		return math.NaN()
	}
	sum := 0.0
	for i, v := range va {
		sum += math.Abs(v - vb[i])
	}
	for i := range a.frame.d {
		lo, hi := a.Box(i)
		sum *= (hi - lo) / float64(a.grid.n[i])
	}
	return sum
}
