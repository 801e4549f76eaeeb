package sequence

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/cmplx"
	"slices"

	"hbar/dynamics"
	"hbar/kernels/cpu"
)

// stretch is the number of times that pass through the network at once; the modes are carried from one to the next.
const stretch = 256

// LogLik is the log density of data under the model, the sum over times of log p of a row given the rows before it: of symbols, log
// probabilities. The first row has the distribution of all rows. Growing modes are clamped for a record of more steps, gaps
// included, than the window of training; the result says how many.
func (f *Fit) LogLik(ctx context.Context, data *dynamics.Data) (l dynamics.Likelihood, clamped int, err error) {
	if data.P != f.Outputs {
		return l, 0, fmt.Errorf("sequence: the data have %d outputs, the model has %d", data.P, f.Outputs)
	}
	if err := data.CheckNames(f.Scale.Names); err != nil {
		return l, 0, err
	}
	if err := data.Validate(); err != nil {
		return l, 0, err
	}
	var inside, beyond *runner // within the window of training, and for longer records
	defer func() {
		for _, r := range []*runner{inside, beyond} {
			if r != nil {
				r.close()
			}
		}
	}()
	for k := range data.Records {
		q, err := f.Scale.series(&data.Records[k], data.P)
		if err != nil {
			return l, 0, fmt.Errorf("trajectory %d: %w", k, err)
		}
		if q.seen != nil && !f.Scale.Gaps && slices.Contains(q.seen, 0) {
			return l, 0, fmt.Errorf("sequence: trajectory %d has gaps, and the model was fitted to data without", k)
		}
		r := &inside
		if q.n > f.Window {
			r = &beyond
		}
		if *r == nil {
			m := f.Model
			if r == &beyond {
				m, clamped = m.Clamped()
			}
			if *r, err = m.runner(m.Losses(stretch)); err != nil {
				return l, 0, err
			}
		}
		v, err := f.record(ctx, *r, q)
		if err != nil {
			return l, 0, err
		}
		l.LogLik += v
		for i := range q.n {
			n := f.values(q, i)
			l.Values += n
			if n > 0 {
				l.Observations++
			}
		}
	}
	return l, clamped, nil
}

// values is the number of observed numbers of a row.
func (f *Fit) values(q *series, i int) int {
	if q.seen == nil {
		return 1
	}
	n := 0
	for _, v := range q.seen[i*f.Outputs : (i+1)*f.Outputs] {
		n += int(v)
	}
	return n
}

// record is the log density of one record.
func (f *Fit) record(ctx context.Context, r *runner, q *series) (float64, error) {
	p := f.Outputs
	sum := f.first(q)
	if q.seen != nil { // densities are per unit of the data
		for i, v := range q.seen {
			sum -= float64(v) * math.Log(f.Scale.SD[i%p])
		}
	}
	x, target, loss := make([]float32, stretch*f.Inputs), make([]float32, stretch*f.targetWidth()), make([]float64, 1)
	state, next := make([]float32, 2*f.Modes), make([]float32, 2*f.Modes)
	for lo := 0; lo < q.n-1; lo += stretch {
		hi := min(lo+stretch, q.n-1)
		clear(x)
		clear(target)
		q.inputs(x, &f.Scale, lo, hi, p)
		q.targets(target, lo+1, hi+1, p)
		b := &cpu.Batch{N: 1, In: map[string][]float32{"x": x, "target": target, "state": state}, Wide: map[string][]float64{"weight": {1}},
			Out: map[string][]float32{"next": next}, WideOut: map[string][]float64{"losses": loss}}
		if err := r.x.RunContext(ctx, b); err != nil {
			return 0, err
		}
		if math.IsNaN(loss[0]) || math.IsInf(loss[0], 0) {
			return 0, fmt.Errorf("sequence: the density at steps %d to %d is not finite: the model's modes or these values leave the range of float32", lo, hi)
		}
		sum -= loss[0]
		copy(state, next)
	}
	return sum, nil
}

// first is log p of the first row, in units of the standard deviations.
func (f *Fit) first(q *series) float64 {
	sum := 0.0
	for j, v := range q.x[:f.Outputs] {
		switch {
		case q.seen == nil:
			sum += float64(v) * f.Scale.Start[j]
		case q.seen[j] > 0:
			sum -= (float64(v)*float64(v) + math.Log(2*math.Pi)) / 2
		}
	}
	return sum
}

func (f *Fit) targetWidth() int {
	if f.Symbols {
		return f.Outputs
	}
	return 2 * f.Outputs
}

// ModeList has the modes per unit of the data's time, slowest first, without intervals.
func (f *Fit) ModeList() []dynamics.Mode {
	var out []dynamics.Mode
	nan := math.NaN()
	for _, l := range f.Lambda() {
		out = append(out, dynamics.Mode{Lambda: l / complex(f.Scale.Dt, 0), Mu: cmplx.Exp(l), Cov: [2][2]float64{{nan, nan}, {nan, nan}}, Class: dynamics.Undetermined})
	}
	slices.SortStableFunc(out, func(a, b dynamics.Mode) int {
		return cmp.Compare(math.Abs(real(a.Lambda)), math.Abs(real(b.Lambda)))
	})
	return out
}
