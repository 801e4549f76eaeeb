package models

import (
	"context"
	"fmt"
	"math"
	"time"

	"hbar/solver"
	"hbar/solver/fokkerplanck"
	"hbar/solver/likelihood"
)

// Box is a part of the plane of data, or of the line if Y0 and Y1 are 0.
type Box struct {
	X0 float64 `json:"x0"`
	X1 float64 `json:"x1"`
	Y0 float64 `json:"y0"`
	Y1 float64 `json:"y1"`
}

// FieldOptions say where to compute a density or a score.
type FieldOptions struct {
	Box
	// Size is the number of points along each side. They are in the middle of the cells of a lattice over the box.
	Size     int     `json:"size"`
	T        float64 `json:"t"`
	H        float64 `json:"h"` // of the density
	Class    string  `json:"class"`
	Guidance float64 `json:"guidance"` // of the score
}

// Field is a density (one number a point) or a score (D a point) on a lattice.
type Field struct {
	Options FieldOptions `json:"options"`
	ID      string       `json:"id"`
	D       int          `json:"d"`
	T       float64      `json:"t"`
	// Float32 holds the numbers, little-endian, base64 in JSON; x runs fastest, then y upwards. NaN: no value.
	Float32 []byte  `json:"float32"`
	Method  string  `json:"method"`
	Seconds float64 `json:"seconds"`
}

// mostSide is the largest Size of a two-dimensional lattice.
const mostSide = 256

// lattice is the points of the box, n×D in data units.
func (c *Checkpoint) lattice(o FieldOptions) ([]float64, error) {
	d := c.Model.D()
	if d > 2 {
		return nil, fmt.Errorf("densities and scores are drawn in one and two dimensions; this network has %d", d)
	}
	ok := o.X1 > o.X0 && (d == 1 || o.Y1 > o.Y0)
	for _, v := range []float64{o.X0, o.X1, o.Y0, o.Y1} {
		ok = ok && math.Abs(v) <= 1e9
	}
	if !ok || o.Size < 2 || o.Size > mostSide {
		return nil, fmt.Errorf("box %g … %g × %g … %g with %d points a side; want ends in order and 2 to %d points", o.X0, o.X1, o.Y0, o.Y1, o.Size, mostSide)
	}
	at := func(lo, hi float64, i int) float64 { return lo + (hi-lo)*(float64(i)+0.5)/float64(o.Size) }
	var x []float64
	if d == 1 {
		for i := range o.Size {
			x = append(x, at(o.X0, o.X1, i))
		}
		return x, nil
	}
	for j := range o.Size {
		for i := range o.Size {
			x = append(x, at(o.X0, o.X1, i), at(o.Y0, o.Y1, j))
		}
	}
	return x, nil
}

// time checks a time of the schedule. Those a little outside, by rounding, are moved to its ends.
func timeOf(s solver.Schedule, t float64) (float64, error) {
	slack := 1e-9 * (s.Tmax() - s.Tmin())
	if !(t >= s.Tmin()-slack && t <= s.Tmax()+slack) {
		return 0, fmt.Errorf("t = %g; the schedule %s has times from %g to %g", t, s.Name(), s.Tmin(), s.Tmax())
	}
	return min(max(t, s.Tmin()), s.Tmax()), nil
}

// Score is ∇ log p_t of the network on a lattice, in data units.
func (c *Checkpoint) Score(ctx context.Context, o FieldOptions) (*Field, error) {
	x, err := c.lattice(o)
	if err != nil {
		return nil, err
	}
	net, done, err := c.under(o.Class, false, o.Guidance)
	if err != nil {
		return nil, err
	}
	defer done()
	if o.T, err = timeOf(net.Schedule, o.T); err != nil {
		return nil, err
	}
	began, d := time.Now(), c.Model.D()
	net.Norm.Apply(x, x, d)
	s := make([]float64, len(x))
	if err := net.Net.Score(ctx, s, x, []float64{o.T}); err != nil {
		return nil, err
	}
	if scale := net.Norm.Scale; len(scale) > 0 {
		for i := range s {
			s[i] /= scale[i%d%len(scale)]
		}
	}
	f := &Field{Options: o, ID: c.ID, D: d, T: o.T, Float32: make([]byte, 4*len(s)), Method: "network", Seconds: time.Since(began).Seconds()}
	putFloats(f.Float32, s)
	return f, nil
}

// later is a schedule that ends at a time of its own: the density of the flow there is that of a process that stops there.
type later struct {
	solver.Schedule
	end float64
}

func (l later) Tmin() float64 { return l.end }

// endingAt is a schedule that ends at t. A schedule of matrices is known by its type, which later would hide, and has its own end only.
func endingAt(s solver.Schedule, t float64) (solver.Schedule, error) {
	if t == s.Tmin() {
		return s, nil
	}
	if err := solver.NeedScalars(s, "a density at another time than the end"); err != nil {
		return nil, err
	}
	return later{s, t}, nil
}

// fieldTol is the tolerance of the flow on a lattice, good for log q to some 10⁻³.
const fieldTol = 1e-4

// Density is the density q_t^h of the reverse process on a lattice, in data units: by the flow at h = 0, by the Fokker–Planck
// equation beyond.
func (c *Checkpoint) Density(ctx context.Context, o FieldOptions, progress func(done, total int)) (*Field, error) {
	x, err := c.lattice(o)
	if err != nil {
		return nil, err
	}
	if !(o.H >= 0) || o.H > 1e6 {
		return nil, fmt.Errorf("h = %g; want 0 or more", o.H)
	}
	net, done, err := c.under(o.Class, false, 0)
	if err != nil {
		return nil, err
	}
	defer done()
	if o.T, err = timeOf(net.Schedule, o.T); err != nil {
		return nil, err
	}
	began, d := time.Now(), c.Model.D()
	net.Norm.Apply(x, x, d)
	n := len(x) / d
	q := make([]float64, n)
	f := &Field{Options: o, ID: c.ID, D: d, T: o.T, Float32: make([]byte, 4*n)}
	unit := math.Exp(net.Norm.LogDet(d))
	switch {
	case o.T >= net.Schedule.Tmax():
		f.Method = "prior"
		prior(q, x, d, net.Schedule.PriorStd())
	case o.H == 0:
		f.Method = "flow"
		s, err := endingAt(net.Schedule, o.T)
		if err != nil {
			return nil, err
		}
		points, err := likelihood.Flow(ctx, net.Net, s, x, likelihood.FlowOptions{Options: likelihood.Options{Tol: fieldTol, Progress: progress}})
		if err != nil {
			return nil, err
		}
		for i, p := range points {
			q[i] = math.Exp(p.LogQ)
			if p.Status == likelihood.Diverged { // far outside
				q[i] = 0
			}
		}
	default:
		f.Method = "fokkerplanck"
		if err := c.fokkerPlanck(ctx, net.Single, net.Schedule, o, q, x, progress); err != nil {
			return nil, err
		}
	}
	for i := range q {
		q[i] *= unit
	}
	putFloats(f.Float32, q)
	f.Seconds = time.Since(began).Seconds()
	return f, nil
}

// prior writes the density of N(0, std² I).
func prior(q, x []float64, d int, std float64) {
	for i := range q {
		r := 0.0
		for _, v := range x[i*d : (i+1)*d] {
			r += v * v
		}
		q[i] = math.Exp(-r/(2*std*std)) / math.Pow(2*math.Pi*std*std, float64(d)/2)
	}
}

// fokkerPlanck writes the density at the points of a lattice.
func (c *Checkpoint) fokkerPlanck(ctx context.Context, net solver.Model, s solver.Schedule, o FieldOptions, q, x []float64, progress func(done, total int)) error {
	found, err := fokkerplanck.Solve(ctx, net, s, []float64{o.H}, &fokkerplanck.Options{Time: o.T, Unchecked: true, MaxN: c.cells(), Tolerance: 1e-3, Spacing: 0.1, Workers: c.workers, Progress: progress})
	if err != nil {
		return err
	}
	if err := found[0].Err; err != nil {
		return fmt.Errorf("no density at h = %g: %w; a larger h or h = 0 would do", o.H, err)
	}
	var values []float64
	density := found[0].Density
	if c.Model.D() == 1 {
		values, err = density.Image(x, nil)
	} else {
		along := func(k int) []float64 {
			out := make([]float64, o.Size)
			for i := range out {
				step := 2
				if k == 1 {
					step = 2 * o.Size
				}
				out[i] = x[i*step+k]
			}
			return out
		}
		values, err = density.Image(along(0), along(1))
	}
	if err != nil {
		return err
	}
	for i, v := range values {
		q[i] = max(v, 0) // ringing
	}
	return nil
}

// cells bounds the grid of the Fokker–Planck equation: enough for a picture.
func (c *Checkpoint) cells() int {
	if c.Model.D() == 1 {
		return 768
	}
	return 192
}
