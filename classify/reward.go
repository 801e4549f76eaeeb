package classify

import (
	"context"
	"fmt"
	"math"

	"hbar/data"
	"hbar/kernels/cpu"
	"hbar/program"
	"hbar/program/diff"
)

// Reward is Scale · log p(class | x), the classifier's log probability of a class, as a reward of samples in the units of a score
// network (package solver/guidance). Close ends its goroutines. Use it from one goroutine.
//
// The classifier saw data without noise, so its gradient means something where x is near data: at a denoised sample.
type Reward struct {
	m     *Model
	class int
	scale float64
	norm  data.Normalisation // of the score network's units

	team    *cpu.Team
	value   *cpu.Executor // logits
	run     *cpu.Executor // gradient of a combination of them
	x       []float32
	logits  []float32
	seed, g []float32
	raw, in []float64
	err     error
}

// NewReward makes the reward. norm is how the score network's units follow from data units, shape that of its samples.
func (m *Model) NewReward(class int, scale float64, norm data.Normalisation, shape []int) (*Reward, error) {
	if !program.SameShape(shape, m.Config.Shape) {
		return nil, fmt.Errorf("classify: the samples are of shape %v; the classifier was trained on %v", shape, m.Config.Shape)
	}
	if class < 0 || class >= m.Config.Classes {
		return nil, fmt.Errorf("classify: class %d; the classifier knows 0 to %d", class, m.Config.Classes-1)
	}
	if math.IsNaN(scale) || math.IsInf(scale, 0) {
		return nil, fmt.Errorf("classify: the factor of the reward is %g; want a finite number", scale)
	}
	p, err := diff.VJP(m.net.Program, map[string]string{"logits": "seed"}, map[string]string{"x": "g"})
	if err != nil {
		return nil, err
	}
	d, k := sizeOf(shape), m.Config.Classes
	r := &Reward{m: m, class: class, scale: scale, norm: norm, team: cpu.NewTeam(1),
		x: make([]float32, d), logits: make([]float32, k), seed: make([]float32, k), g: make([]float32, d), raw: make([]float64, d), in: make([]float64, d)}
	for _, c := range []struct {
		p  *program.Program
		at **cpu.Executor
	}{{m.net.Program, &r.value}, {p, &r.run}} {
		if *c.at, err = cpu.NewExecutor(c.p, r.team, cpu.Options{}); err != nil {
			r.Close()
			return nil, err
		}
		params := map[string][]float32{}
		for i, q := range m.net.Params {
			params[q.Name] = m.net.Weights[i]
		}
		if err := (*c.at).SetParams(params); err != nil {
			r.Close()
			return nil, err
		}
	}
	return r, nil
}

// Close ends the goroutines.
func (r *Reward) Close() { r.team.Close() }

// Err is the first error of Value or Grad, which then are NaN.
func (r *Reward) Err() error { return r.err }

// Validate checks the number of coordinates.
func (r *Reward) Validate(d int) error {
	if d != len(r.x) {
		return fmt.Errorf("classify: samples of %d numbers; the classifier takes %d", d, len(r.x))
	}
	return nil
}

// judge runs the classifier on one sample of the score network.
func (r *Reward) judge(x []float64) bool {
	r.norm.Invert(r.raw, x, len(x))
	r.m.Norm.Apply(r.in, r.raw, len(x))
	for i, v := range r.in {
		r.x[i] = float32(v)
	}
	return r.take(r.value.RunContext(context.Background(), &cpu.Batch{N: 1, In: map[string][]float32{"x": r.x}, Out: map[string][]float32{"logits": r.logits}}))
}

func (r *Reward) take(err error) bool {
	if err != nil && r.err == nil {
		r.err = err
	}
	return err == nil
}

// Value is the reward of one sample.
func (r *Reward) Value(x []float64) float64 {
	if !r.judge(x) {
		return math.NaN()
	}
	return r.scale * logProbability(r.logits, r.class)
}

// Grad writes its gradient in the score network's units.
func (r *Reward) Grad(dst, x []float64) {
	if r.judge(x) {
		for c := range r.seed { // ∂ log p(class)/∂ logits
			p := math.Exp(logProbability(r.logits, c))
			r.seed[c] = float32(-r.scale * p)
			if c == r.class {
				r.seed[c] += float32(r.scale)
			}
		}
		if r.take(r.run.RunContext(context.Background(), &cpu.Batch{N: 1, In: map[string][]float32{"x": r.x, "seed": r.seed}, Out: map[string][]float32{"g": r.g}})) {
			for i, v := range r.g {
				dst[i] = float64(v)
			}
			// dx_classifier/dx_network = the network's scale over the classifier's
			data.Normalisation{Scale: r.m.Norm.Scale}.Apply(dst, dst, len(dst))
			data.Normalisation{Scale: r.norm.Scale}.Invert(dst, dst, len(dst))
			return
		}
	}
	for i := range dst {
		dst[i] = math.NaN()
	}
}

// logProbability is log softmax of the logits at c.
func logProbability(logits []float32, c int) float64 {
	top := math.Inf(-1)
	for _, v := range logits {
		top = max(top, float64(v))
	}
	sum := 0.0
	for _, v := range logits {
		sum += math.Exp(float64(v) - top)
	}
	return float64(logits[c]) - top - math.Log(sum)
}
