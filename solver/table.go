package solver

import (
	"context"
	"fmt"
	"math"
	"strings"

	"hbar/kernels"
)

// LastNoise says what happens to the noise of the last step, the one that arrives at Tmin.
type LastNoise uint8

const (
	// LastFull adds the noise as the step says: the chain whose density the path integral computes.
	LastFull LastNoise = iota
	// LastMean takes the mean of the last step: its drift at h, no noise (score_sde's "denoise").
	LastMean
	// LastNone takes the last step at h = 0: a step of the probability-flow ODE.
	LastNone
)

var lastNoiseNames = []string{"full", "mean", "none"}

// LastNoiseNames lists the choices.
func LastNoiseNames() []string { return append([]string(nil), lastNoiseNames...) }

// ParseLastNoise returns the choice of that name.
func ParseLastNoise(name string) (LastNoise, error) {
	for i, n := range lastNoiseNames {
		if n == name {
			return LastNoise(i), nil
		}
	}
	return 0, unknown("last noise", name, lastNoiseNames)
}

// String is the name that ParseLastNoise takes.
func (l LastNoise) String() string { return lastNoiseNames[l] }

// TableOptions are the choices that make a step table. The zero value is the probability-flow ODE by Euler's method in
// 1000 steps uniform in t.
type TableOptions struct {
	Sampler Sampler
	Grid    Grid
	Steps   int // steps of the grid; 0 means 1000. A step of Heun costs two evaluations, all others one.
	// H is the dial h ≥ 0; HOf, unless nil, gives it as a function of t instead.
	H         float64
	HOf       func(t float64) float64
	LastNoise LastNoise
	// Denoise appends a row that replaces the state x at Tmin by the posterior mean E[x₀|x] = (x + σ² s)/α of the model there
	// (Tweedie's formula), and so removes the noise of deviation σ(Tmin) that samples of the process still carry. It costs an
	// evaluation. The result has no density that the likelihoods compute.
	Denoise bool
}

// DefaultSteps is the number of steps where none is given.
const DefaultSteps = 1000

// Table is a sampler for one schedule and one grid: the rows to run, in order, and the times of the states between steps.
type Table struct {
	Times  []float64 // Tmax … Tmin, one more than steps
	Rows   []kernels.Row
	Stride int // rows a step; the state after step k (time Times[k]) follows row k·Stride, and one more row denoises
	// Propagators stand in place of Rows for a schedule of matrices.
	Propagators []Propagator
}

// Evaluations is the number of network evaluations a sample costs.
func (t *Table) Evaluations() int { return len(t.Rows) + len(t.Propagators) }

// NewTable makes the step table of a schedule and a prediction type, in float64. With Prediction{} its coefficients are
// those of the score. The table of a schedule of matrices (Blocks) has Propagators, which do not depend on the prediction type.
func NewTable(s Schedule, p Prediction, o TableOptions) (*Table, error) {
	return NewTableContext(context.Background(), s, p, o)
}

// NewTableContext is NewTable that ends with ctx. The table of a schedule of matrices takes minutes where it has millions of steps.
func NewTableContext(ctx context.Context, s Schedule, p Prediction, o TableOptions) (*Table, error) {
	if o.Steps == 0 {
		o.Steps = DefaultSteps
	}
	for _, c := range []struct {
		what  string
		value uint8
		names []string
	}{{"sampler", uint8(o.Sampler), SamplerNames()}, {"grid", uint8(o.Grid), gridNames}, {"last noise", uint8(o.LastNoise), lastNoiseNames}} {
		if int(c.value) >= len(c.names) {
			return nil, fmt.Errorf("solver: no %s %d; have %s", c.what, c.value, strings.Join(c.names, ", "))
		}
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	times, err := o.Grid.Times(s, o.Steps)
	if err != nil {
		return nil, err
	}
	h := o.HOf
	if h == nil {
		h = func(float64) float64 { return o.H }
	}
	for _, t := range times {
		if v := h(t); !(v >= 0) || math.IsInf(v, 1) {
			return nil, fmt.Errorf("solver: h = %v at t = %v; h must be finite and not negative", v, t)
		}
	}
	if b := BlocksOf(s); b != nil {
		return b.table(ctx, times, o, h)
	}
	method := &samplers[o.Sampler]
	table := &Table{Times: times, Stride: method.stride, Rows: make([]kernels.Row, 0, o.Steps*method.stride+1)}
	for k := range o.Steps {
		st := step{s: s, p: p, t: times[k], next: times[k+1], prev: math.NaN(), h: h}
		if k > 0 {
			st.prev = times[k-1]
		}
		last := k == o.Steps-1
		if last && o.LastNoise == LastNone {
			st.h = func(float64) float64 { return 0 }
		}
		for _, r := range method.rows(st) {
			r.Step = uint32(k)
			if last && o.LastNoise == LastMean {
				r.Noise, r.KeepNoise = 0, 0
			}
			if !finiteRow(r) {
				return nil, fmt.Errorf("solver: schedule %q, sampler %q: step %d of %d, from t = %.6g to %.6g, overflows float64 at h = %g; a smaller h or more steps would do", s.Name(), o.Sampler, k+1, o.Steps, st.t, st.next, st.h(st.t))
			}
			table.Rows = append(table.Rows, r)
		}
	}
	if o.Denoise {
		t := times[o.Steps]
		cin, _, _, tau := p.Coeffs(s, t)
		r := kernels.Row{Tau: tau, Cin: cin, Step: uint32(o.Steps)}
		r.State, r.Net = p.Denoised(s, t)
		if !finiteRow(r) {
			return nil, fmt.Errorf("solver: schedule %q: the denoising step at t = %.6g overflows float64", s.Name(), t)
		}
		table.Rows = append(table.Rows, r)
	}
	return table, nil
}

func finiteRow(r kernels.Row) bool {
	for _, v := range [...]float64{r.Tau, r.Cin, r.State, r.Net, r.Memory, r.Noise, r.KeepState, r.KeepNet, r.KeepNoise, r.KeepMemory} {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}
