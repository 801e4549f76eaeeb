package sequence

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"

	"hbar/dynamics"
	"hbar/kernels"
	"hbar/kernels/cpu"
	"hbar/nets"
)

// Generate draws sequences from … from+count−1 of a seed, of n rows each, with the log density of each. It costs one step of the
// recurrence for each row. Growing modes are clamped where n exceeds the window of training; the result says how many. Sequence k of a seed is the
// same whatever is drawn beside it.
func (f *Fit) Generate(ctx context.Context, n int, seed uint64, from, count int) (records []dynamics.Record, lik []float64, clamped int, err error) {
	m := f.Model
	if n > m.Window {
		m, clamped = m.Clamped()
	}
	r, err := m.runner(nets.NewMemory(m.Memory, 1))
	if err != nil {
		return nil, nil, 0, err
	}
	defer r.close()
	p := f.Outputs
	lik = make([]float64, count)
	records = make([]dynamics.Record, count)
	rngs := make([]*rand.Rand, count)
	for k := range records {
		records[k] = dynamics.Record{Times: make([]float64, n), X: make([]float64, n*p)}
		for i := range n {
			records[k].Times[i] = f.Scale.Dt * float64(i)
		}
		rngs[k] = rand.New(kernels.NewSource(seed, kernels.StreamNoise, uint64(from+k)))
	}
	x, state, next, out := make([]float32, count*f.Inputs), make([]float32, count*2*f.Modes), make([]float32, count*2*f.Modes), make([]float32, count*p)
	for i := range n {
		clear(x)
		for k := range records {
			lik[k] += f.draw(rngs[k], records[k].Row(i, p), x[k*f.Inputs:(k+1)*f.Inputs], out[k*p:(k+1)*p], i == 0)
		}
		b := &cpu.Batch{N: count, In: map[string][]float32{"x": x, "state": state}, Out: map[string][]float32{"out": out, "next": next}}
		if err := r.x.RunContext(ctx, b); err != nil {
			return nil, nil, 0, err
		}
		for _, v := range out {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				return nil, nil, 0, errors.New("sequence: the sequence leaves the range of float32: the model's modes grow too fast")
			}
		}
		copy(state, next)
	}
	return records, lik, clamped, nil
}

// draw draws a row by the network's outputs, or as a first row, and writes it as the next inputs too. It returns its log density.
func (f *Fit) draw(rng *rand.Rand, row []float64, x, out []float32, first bool) float64 {
	s := &f.Scale
	if f.Symbols {
		logp := logSoftmax(out)
		if first {
			logp = s.Start
		}
		u, k := rng.Float64(), 0
		for ; k < len(row)-1; k++ {
			if u -= math.Exp(logp[k]); u < 0 {
				break
			}
		}
		row[k], x[k] = 1, 1
		return logp[k]
	}
	noise := f.net.Weights[f.net.Param("noise")]
	sum := 0.0
	for j := range row {
		mean, logsd := float64(out[j]), float64(noise[j])
		if first {
			mean, logsd = 0, 0
		}
		e := rng.NormFloat64()
		v := mean + math.Exp(logsd)*e
		row[j], x[j] = s.Mean[j]+s.SD[j]*v, float32(v)
		if s.Gaps {
			x[len(row)+j] = 1
		}
		sum -= (e*e+math.Log(2*math.Pi))/2 + logsd + math.Log(s.SD[j])
	}
	return sum
}

func logSoftmax(x []float32) []float64 {
	top, sum := math.Inf(-1), 0.0
	for _, v := range x {
		top = math.Max(top, float64(v))
	}
	for _, v := range x {
		sum += math.Exp(float64(v) - top)
	}
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v) - top - math.Log(sum)
	}
	return out
}
