package likelihood

import (
	"context"
	"fmt"
	"math"

	"hbar/solver"
	"hbar/solver/likelihood/ode"
)

// Clock is the variable that paths are integrated in.
type Clock uint8

const (
	ClockLambda Clock = iota // λ = log(α/σ)
	ClockTime                // t
)

var clockNames = []string{"lambda", "t"}

// String names the clock.
func (c Clock) String() string { return clockNames[c] }

// Options say how paths are integrated. The zero value is DOP853 in λ at tolerance 1e-5.
type Options struct {
	Method *ode.Tableau // nil: ode.DOP853
	Clock  Clock
	// Tol is the relative and absolute tolerance of a step of the integration from Tmax to Tmin, and roughly that of the results.
	// The integration from Tmin to Tmax has a hundredth of it (see forward). 0: 1e-5.
	Tol      float64
	Steps    int                   // > 0: that many equal steps in the clock instead, without error control
	MaxSteps int                   // steps a path may try; 0: 5000
	Part     Part                  // of a larger set of points
	Progress func(done, total int) // unless nil, called with the number of finished points
	// Velocities is, under a schedule of matrices, the number of draws of what a state has beside the point; 0: 16.
	Velocities int
}

func (o Options) settings() ode.Settings {
	if o.Tol == 0 {
		o.Tol = 1e-5
	}
	return ode.Settings{Method: o.Method, Tol: o.Tol, Steps: o.Steps, MaxSteps: o.MaxSteps}
}

// forward gives the settings of an integration from Tmin to Tmax. In that direction neighbouring paths diverge, and the errors of
// the first steps grow. So the tolerance is a hundredth of set.Tol, which costs half as many evaluations again. Measured on
// trained networks at 1e-5: the error of log q⁰ fell from 10⁻³ to 10⁻⁵, and that of ℓ₁ from 2·10⁻² to 10⁻⁴.
func forward(set ode.Settings) ode.Settings {
	set.Tol = max(set.Tol/100, 1e-13) // not below rounding
	return set
}

// Status says whether the value of a point can be used, and if not, why.
type Status = ode.Status

const (
	OK           = ode.OK
	StepTooSmall = ode.StepTooSmall
	NotFinite    = ode.NotFinite
	TooManySteps = ode.TooManySteps
	BadPoint     = Status("point is not finite")
	Diverged     = Status("path diverges") // beyond the distance escape at Tmax
	Interrupted  = Status("interrupted")   // the context ended first
)

// escape is the largest norm of a path's end at Tmax, in standard deviations of the prior times √D. A point whose path ends
// further out would have log q⁰ < −5·10⁵ D. There the probability flow of the model is wrong, and the processes at h > 0 need
// not be. Such a point is reported as Diverged, and is left out of means.
const escape = 1000

func (p *problem) escaped(x []float64) bool {
	return !(math.Sqrt(dot(x, x)) <= escape*p.s.PriorStd()*math.Sqrt(float64(len(x))))
}

// block is the number of points in one batch: enough to occupy all processors, and few enough to fit in memory.
const block = 4096

// problem is what all methods share: the model, its schedule and the points.
type problem struct {
	model solver.Model
	s     solver.Schedule
	clock Clock
	d     int
	// blocks, unless nil, is the schedule of matrices: model and d are then those of its states
	blocks *blockProblem
}

func newProblem(m solver.Model, s solver.Schedule, o Options) (*problem, error) {
	c := o.Clock
	if err := o.settings().Validate(); err != nil {
		return nil, err
	}
	if m == nil || s == nil {
		return nil, fmt.Errorf("likelihood: needs a model and a schedule")
	}
	if m.Dim() < 1 {
		return nil, fmt.Errorf("likelihood: the model has %d dimensions", m.Dim())
	}
	if int(c) >= len(clockNames) {
		return nil, fmt.Errorf("likelihood: no clock %d", c)
	}
	p := &problem{model: m, s: s, clock: c, d: m.Dim()}
	if b := solver.BlocksOf(s); b != nil {
		var err error
		if p.blocks, err = newBlockProblem(m, b); err != nil {
			return nil, err
		}
		p.model, p.d = p.blocks, p.blocks.Dim()
	}
	return p, nil
}

// count checks the points and returns how many there are.
func (p *problem) count(x []float64) (int, error) {
	d := p.d
	if p.blocks != nil {
		d = p.blocks.d
	}
	if len(x)%d != 0 {
		return 0, fmt.Errorf("likelihood: %d coordinates are no points of the model's %d dimensions", len(x), d)
	}
	return len(x) / d, nil
}

// lacks is the error for a model without the interface that a method needs.
func lacks(m solver.Model, what, method string) error {
	return fmt.Errorf("likelihood: %s needs %s, which model %T lacks", method, what, m)
}

// start and end are Tmin and Tmax on the clock.
func (p *problem) start() float64 { return p.tau(p.s.Tmin()) }
func (p *problem) end() float64   { return p.tau(p.s.Tmax()) }

func (p *problem) tau(t float64) float64 {
	if p.blocks != nil { // smooth in log t, and inverted without a search
		return math.Log(t)
	}
	if p.clock == ClockTime {
		return t
	}
	return p.s.Lambda(t)
}

// at returns the time at tau and the coefficients of the probability flow per unit of the clock: with rate = dt/dτ, a·rate
// and ½ g²·rate, so that dx/dτ = drift x − half s. In λ, half = −σ².
func (p *problem) at(tau float64) (t, drift, half float64) {
	if p.blocks != nil {
		t = min(max(math.Exp(tau), p.s.Tmin()), p.s.Tmax())
		return t, 0, t / 2
	}
	if p.clock == ClockTime {
		return tau, p.s.Drift(tau), p.s.Diffusion2(tau) / 2
	}
	// Rounding in the inverse must not leave the interval.
	t = min(max(p.s.TimeOfLambda(tau), p.s.Tmin()), p.s.Tmax())
	s2 := p.s.Sigma2(t)
	return t, -2 * s2 / p.s.Diffusion2(t) * p.s.Drift(t), -s2
}

// coefficients holds what at returns for a batch.
type coefficients struct{ t, drift, half []float64 }

func (p *problem) coefficients(c *coefficients, tau []float64) {
	if cap(c.t) < len(tau) {
		c.t, c.drift, c.half = make([]float64, len(tau)), make([]float64, len(tau)), make([]float64, len(tau))
	}
	c.t, c.drift, c.half = c.t[:len(tau)], c.drift[:len(tau)], c.half[:len(tau)]
	for i, v := range tau {
		c.t[i], c.drift[i], c.half[i] = p.at(v)
	}
}

// grow returns a slice of n numbers, reusing buf.
func grow(buf *[]float64, n int) []float64 {
	if cap(*buf) < n {
		*buf = make([]float64, n)
	}
	*buf = (*buf)[:n]
	return *buf
}

// fill is a slice of n equal numbers.
func fill(v float64, n int) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = v
	}
	return s
}

// logPrior is log π at a point.
func (p *problem) logPrior(x []float64) float64 {
	if p.blocks != nil {
		return p.blocks.prior.logDensity(x, p.blocks.blocks.Size(), p.blocks.d)
	}
	sd := p.s.PriorStd()
	sum := 0.0
	for _, v := range x {
		v /= sd
		sum += v*v + math.Log(2*math.Pi)
	}
	return -sum/2 - float64(len(x))*math.Log(sd)
}

func finitePoint(x []float64) bool {
	for _, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}

// gather copies the coordinates that lead each state, the first d of width numbers.
func gather(dst, y []float64, d, width int) {
	for i := range len(y) / width {
		copy(dst[i*d:(i+1)*d], y[i*width:])
	}
}

// flagEscaped gives the status Diverged to samples that arrived further out than escape. A state of y has width numbers, x first.
func (p *problem) flagEscaped(res []ode.Result, y []float64, width int) {
	for i := range res {
		if res[i].Status == OK && p.escaped(y[i*width:i*width+p.d]) {
			res[i].Status = Diverged
		}
	}
}

// pathsTo integrates the points x (n×D) from Tmin to the n times to, on the clock.
func (p *problem) pathsTo(ctx context.Context, x, to []float64, set ode.Settings) ([]float64, []ode.Result, error) {
	y := append([]float64(nil), x...)
	res, err := ode.Solve(ctx, p.pathSystem(), y, fill(p.start(), len(to)), to, set)
	p.flagEscaped(res, y, p.d)
	return y, res, err
}

// pathSystem is the probability flow itself, per unit of the clock.
func (p *problem) pathSystem() ode.System {
	var c coefficients
	return ode.System{Width: p.d, Eval: func(ctx context.Context, dst, y, tau []float64, _ []int) error {
		p.coefficients(&c, tau)
		if err := p.model.Score(ctx, dst, y, c.t); err != nil {
			return err
		}
		for i := range tau {
			for j := i * p.d; j < (i+1)*p.d; j++ {
				dst[j] = c.drift[i]*y[j] - c.half[i]*dst[j]
			}
		}
		return nil
	}}
}

// badPoints is the Skip of an integration that starts at the points themselves.
func badPoints(x []float64, d int) func(int) bool {
	return func(i int) bool { return !finitePoint(x[i*d : (i+1)*d]) }
}
