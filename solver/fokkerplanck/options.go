package fokkerplanck

import (
	"fmt"
	"math"

	"hbar/solver"
)

// Options are the settings of Solve; the zero value is a good choice.
type Options struct {
	// Time is where the density is wanted, between the schedule's Tmin and Tmax; 0 means Tmin.
	Time float64
	// Tolerance is the share of the density (root-mean-square) that may be in the outermost modes before the grid is
	// refined; 0 means 3·10⁻⁵, which gives log q to about 10⁻⁴. (The rounding of a float32 network is a noise of about
	// 10⁻⁷.)
	Tolerance float64
	// MinN and MaxN bound the grid points a dimension; 0 means 64 and, in 2-D, 512, in 1-D, 4096. Both are 2^k or 3·2^k.
	MinN, MaxN int
	// Spacing of the λ nodes on which the model is tabulated; 0 means 0.05.
	Spacing float64
	// Courant scales the steps: 1 is the stability bound of the Runge–Kutta method on the advective part; 0 means 0.8.
	Courant float64
	// Limit of |σs|; 0 means 2.5 times what 0.1 % of the paths exceed, at least 8.
	Limit float64
	// Margin is the half width of the box in standard deviations of the noise; 0 means 6.5.
	Margin float64
	// Center and Radius give, in D values each, the box for the data; nil: found by following paths.
	Center, Radius []float64
	// Unchecked skips the coarser second solution: half the time, no errors.
	Unchecked bool
	// Workers is the number of goroutines; 0 means GOMAXPROCS. Results do not depend on it.
	Workers int
	// Progress, if not nil, is called at the beginning and after every part with the number of parts that are done.
	Progress func(done, total int)

	substeps int // steps from node to node, overriding Courant (to measure the order)
}

// gridSize reports whether n is 2^k or 3·2^k, with 3/4 of it a number of points for the coarser solution.
func gridSize(n int) bool {
	for ; n > 0 && n%2 == 0; n /= 2 {
		if n == 32 || n == 48 {
			return true
		}
	}
	return false
}

// withDefaults checks the options and returns them complete, but for the box and Limit.
func (o *Options) withDefaults(d int, s solver.Schedule) (Options, error) {
	var v Options
	if o != nil {
		v = *o
	}
	set := func(p *float64, def float64) {
		if *p == 0 {
			*p = def
		}
	}
	set(&v.Time, s.Tmin())
	set(&v.Tolerance, 3e-5)
	set(&v.Spacing, 0.05)
	set(&v.Courant, 0.8)
	set(&v.Margin, 6.5)
	if v.MinN == 0 {
		v.MinN = 64
	}
	if v.MaxN == 0 {
		v.MaxN = max(v.MinN, 512)
		if d == 1 {
			v.MaxN = max(v.MinN, 4096)
		}
	}
	switch {
	case !(v.Time >= s.Tmin() && v.Time < s.Tmax()):
		return v, fmt.Errorf("fokkerplanck: time %g is outside [%g, %g) of schedule %s", v.Time, s.Tmin(), s.Tmax(), s.Name())
	case !gridSize(v.MinN) || !gridSize(v.MaxN) || v.MaxN < v.MinN:
		return v, fmt.Errorf("fokkerplanck: grids of %d to %d points; want 2^k or 3·2^k, from 32 to 16384, MinN ≤ MaxN", v.MinN, v.MaxN)
	case !(v.Tolerance > 0 && v.Spacing > 0 && v.Courant > 0 && v.Courant <= 1 && v.Margin >= 3 && v.Limit >= 0):
		return v, fmt.Errorf("fokkerplanck: want Tolerance, Spacing > 0, 0 < Courant ≤ 1, Margin ≥ 3, Limit ≥ 0; got %g, %g, %g, %g, %g",
			v.Tolerance, v.Spacing, v.Courant, v.Margin, v.Limit)
	case (v.Center == nil) != (v.Radius == nil) || v.Center != nil && (len(v.Center) != d || len(v.Radius) != d):
		return v, fmt.Errorf("fokkerplanck: Center and Radius need %d values each; got %d and %d", d, len(v.Center), len(v.Radius))
	}
	for i, r := range v.Radius {
		if c := v.Center[i]; !(r > 0) || math.IsInf(r, 0) || math.IsNaN(c) || math.IsInf(c, 0) {
			return v, fmt.Errorf("fokkerplanck: box of dimension %d has centre %g and radius %g", i, c, r)
		}
	}
	return v, nil
}

// checkH refuses what the method cannot do.
func checkH(hs []float64) error {
	if len(hs) == 0 {
		return fmt.Errorf("fokkerplanck: no value of h given")
	}
	for _, h := range hs {
		switch {
		case h == 0:
			return fmt.Errorf("fokkerplanck: h = 0 has no diffusion; use the probability flow there")
		case !(h > 0) || math.IsInf(h, 0):
			return fmt.Errorf("fokkerplanck: h = %g; want h > 0", h)
		}
	}
	return nil
}
