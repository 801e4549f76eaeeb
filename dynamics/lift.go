package dynamics

import (
	"fmt"
	"math"
	"math/rand/v2"

	"hbar/kernels"
)

// Lift makes features of a window of snapshots, newest first: the standardised outputs of the window, which come first and
// begin with those of the newest snapshot; then all monomials of them of degrees 2 to Degree; then Fourier features
// cos(ω·u + β) with ω ~ N(0, 1/Scale²) and β uniform.
type Lift struct {
	Outputs int     `json:"outputs"`
	Delays  int     `json:"delays"`  // snapshots in a window, ≥ 1
	Degree  int     `json:"degree"`  // of polynomials; 1 means none
	Fourier int     `json:"fourier"` // number of random features
	Scale   float64 `json:"scale"`   // length scale of the random features, in standard deviations of the outputs
	Seed    uint64  `json:"seed"`    // of the random features

	Mean []float64 `json:"mean"` // of the outputs
	SD   []float64 `json:"sd"`

	monomials [][]int // each a list of window coordinates, one factor each
	omega     []float64
	beta      []float64
}

// maxFeatures bounds the width of a lift: matrices of its square are factorised.
const maxFeatures = 2048

// LiftOptions choose a lift. Zero values mean none of that kind.
type LiftOptions struct {
	Delays  int     // ≤ 1: the snapshot alone
	Degree  int     // ≤ 1: no polynomials
	Fourier int     // number of random Fourier features
	Scale   float64 // of these, in standard deviations of the outputs; 0 means 1 for each √coordinate of the window
	Seed    uint64  // of these
}

// NewLift makes the lift for data, whose moments it keeps.
func NewLift(data *Data, o LiftOptions) (*Lift, error) {
	mean, sd := data.Moments()
	l := &Lift{Outputs: data.P, Delays: max(o.Delays, 1), Degree: max(o.Degree, 1), Fourier: o.Fourier, Scale: o.Scale, Seed: o.Seed, Mean: mean, SD: sd}
	if l.Scale == 0 {
		l.Scale = math.Sqrt(float64(l.Delays * l.Outputs))
	}
	return l, l.Prepare()
}

// aroundZero is the lift of outputs around 0 in place of their means, in units of their root mean squares, so that a state of 0 is a
// snapshot of 0.
func (l *Lift) aroundZero(data *Data) (*Lift, error) {
	if l.Fourier > 0 {
		return nil, fmt.Errorf("dynamics: Fourier features are not 0 where the outputs are, so that a fit without an intercept does not keep the fixed point at 0; leave them out, or fit with the intercept")
	}
	own := *l
	own.Mean, own.SD = make([]float64, l.Outputs), data.rootMeanSquares()
	return &own, own.Prepare()
}

// Prepare checks the settings and makes what follows from them; after reading a Lift from JSON it is needed once.
func (l *Lift) Prepare() error {
	if l.Outputs < 1 || l.Delays < 1 || l.Degree < 1 || l.Fourier < 0 || !(l.Scale > 0) || len(l.Mean) != l.Outputs || len(l.SD) != l.Outputs {
		return fmt.Errorf("dynamics: a lift with outputs %d, delays %d, degree %d, %d Fourier features of scale %g, %d means and %d deviations is not valid",
			l.Outputs, l.Delays, l.Degree, l.Fourier, l.Scale, len(l.Mean), len(l.SD))
	}
	for j, s := range l.SD {
		if !(s > 0) || !finite(s) || !finite(l.Mean[j]) {
			why := "its squares leave the range of numbers; rescale it"
			if s == 0 {
				why = "it is constant, or its squares vanish; leave it out or rescale it"
			}
			return fmt.Errorf("dynamics: output %d has mean %g and standard deviation %g: %s", j, l.Mean[j], s, why)
		}
	}
	w := l.window()
	features := float64(w + l.Fourier)
	for g := 2; g <= l.Degree; g++ {
		features += choose(w+g-1, g)
	}
	if features > maxFeatures {
		return fmt.Errorf("dynamics: the lift has %.0f features; at most %d are fitted: take fewer delays, a lower degree or fewer Fourier features", features, maxFeatures)
	}
	l.monomials = nil
	for g := 2; g <= l.Degree; g++ {
		var grow func(prefix []int, from int)
		grow = func(prefix []int, from int) {
			if len(prefix) == g {
				l.monomials = append(l.monomials, append([]int(nil), prefix...))
				return
			}
			for i := from; i < w; i++ {
				grow(append(prefix, i), i)
			}
		}
		grow(make([]int, 0, g), 0)
	}
	l.omega, l.beta = make([]float64, l.Fourier*w), make([]float64, l.Fourier)
	for f := range l.Fourier {
		rng := rand.New(kernels.NewSource(l.Seed, kernels.StreamInit, uint64(f)))
		l.beta[f] = 2 * math.Pi * rng.Float64()
		for i := range w {
			l.omega[f*w+i] = rng.NormFloat64() / l.Scale
		}
	}
	return nil
}

func choose(n, k int) float64 {
	c := 1.0
	for i := range k {
		c *= float64(n-i) / float64(i+1)
	}
	return c
}

// window is the number of coordinates of a window.
func (l *Lift) window() int { return l.Delays * l.Outputs }

// Dim is the number of features.
func (l *Lift) Dim() int { return l.window() + len(l.monomials) + l.Fourier }

// Linear reports whether the features are the window itself.
func (l *Lift) Linear() bool { return l.Degree == 1 && l.Fourier == 0 }

// String says what the features are.
func (l *Lift) String() string {
	s := fmt.Sprintf("%d outputs", l.Outputs)
	if l.Outputs == 1 {
		s = "1 output"
	}
	if l.Delays > 1 {
		s += fmt.Sprintf(" × %d delays", l.Delays)
	}
	if l.Degree > 1 {
		s += fmt.Sprintf(", polynomials up to degree %d", l.Degree)
	}
	if l.Fourier > 0 {
		s += fmt.Sprintf(", %d Fourier features of scale %.3g", l.Fourier, l.Scale)
	}
	return s
}

// standardise writes a snapshot's outputs as the window has them.
func (l *Lift) standardise(dst, x []float64) {
	for j, v := range x {
		dst[j] = (v - l.Mean[j]) / l.SD[j]
	}
}

// finish computes the features behind the window, which stands at the beginning of dst.
func (l *Lift) finish(dst []float64) {
	w := l.window()
	u := dst[:w]
	rest := dst[w:]
	for i, m := range l.monomials {
		v := 1.0
		for _, j := range m {
			v *= u[j]
		}
		rest[i] = v
	}
	rest = rest[len(l.monomials):]
	for f := range l.Fourier {
		a := l.beta[f]
		for i, o := range l.omega[f*w : (f+1)*w] {
			a += o * u[i]
		}
		rest[f] = math.Cos(a)
	}
}
