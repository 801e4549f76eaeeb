package detect

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"hbar/kernels"
	"hbar/solver"
)

// Names are the statistics of a sample x, in the order of [Statistics]: along the flow dx/dt = a x − ½ g² s from Tmin to Tmax,
// times in equal parts of λ = log(α/σ).
var Names = []string{
	"log_q0",        // log density of the flow, nats
	"action",        // ½ ∫ g² |s|² dt
	"end_norm",      // |x(Tmax)|²/D
	"turning_early", // the angle by which d(x/α)/d(σ/α) turns in the first half, radians
	"turning_late",  // and in the second
	"divergence_1",  // σ² ∇·s / D at a fifth of the way, two, three and four fifths
	"divergence_2",
	"divergence_3",
	"divergence_4",
	"denoising_1", // |E[x₀|x_t] − x|²/D for noised x, at six λ from small noise to large
	"denoising_2",
	"denoising_3",
	"denoising_4",
	"denoising_5",
	"denoising_6",
	"score_norm", // |s|/√D at Tmin
}

// Options are the settings of Statistics. Zero values are the defaults.
type Options struct {
	Steps int    // of the flow by Heun's method; 100
	Seed  uint64 // of probes and of the noise of the denoising errors
	First uint64 // numbers the first sample, so that a set cut in pieces gives the same numbers
	// Progress, unless nil, is called with the number of steps that are done.
	Progress func(done, total int)
}

// exactDivergence is the dimension up to which ∇·s is exact; beyond, one Rademacher probe of each sample estimates it.
const exactDivergence = 128

// Statistics computes those of the samples x (n×D, as the model sees them), n×len(Names). What overflows is not finite.
func Statistics(ctx context.Context, m solver.Model, s solver.Schedule, x []float64, o Options) ([]float64, error) {
	d := m.Dim()
	n := len(x) / d
	if len(x) != n*d || n == 0 {
		return nil, fmt.Errorf("detect: %d numbers are not rows of %d", len(x), d)
	}
	if err := solver.NeedScalars(s, "the detector"); err != nil {
		return nil, fmt.Errorf("detect: %w", err)
	}
	if o.Steps == 0 {
		o.Steps = 100
	}
	w := &walk{ctx: ctx, m: m, s: s, n: n, d: d, o: o, out: make([]float64, n*len(Names)), x: append([]float64(nil), x...)}
	if err := w.probes(); err != nil {
		return nil, err
	}
	if err := w.denoising(x); err != nil {
		return nil, err
	}
	return w.out, w.flow()
}

// walk integrates all samples along the flow, step by step.
type walk struct {
	ctx   context.Context
	m     solver.Model
	s     solver.Schedule
	n, d  int
	o     Options
	out   []float64
	x     []float64
	probe []float64 // nil where the divergence is exact
	div   []float64
}

func (w *walk) at(i int, name string) *float64 {
	for j, n := range Names {
		if n == name {
			return &w.out[i*len(Names)+j]
		}
	}
	panic("detect: statistic " + name)
}

// rng is the random numbers of one sample.
func (w *walk) rng(i int) *rand.Rand {
	return rand.New(kernels.NewSource(w.o.Seed, kernels.StreamProbe, w.o.First+uint64(i)))
}

func (w *walk) probes() error {
	w.div = make([]float64, w.n)
	if w.d <= exactDivergence {
		if _, ok := w.m.(solver.Diverger); ok {
			return nil
		}
	}
	if _, ok := w.m.(solver.JVPer); !ok {
		return fmt.Errorf("detect: the model has neither divergence nor directional derivatives")
	}
	w.probe = make([]float64, w.n*w.d)
	for i := range w.n {
		rng := w.rng(i)
		for j := range w.d {
			w.probe[i*w.d+j] = float64(2*rng.IntN(2) - 1)
		}
	}
	return nil
}

// score computes s, and ∇·s in w.div.
func (w *walk) score(dst, x []float64, t float64) error {
	if w.probe == nil {
		return w.m.(solver.Diverger).ScoreDiv(w.ctx, dst, w.div, x, []float64{t})
	}
	jv := make([]float64, len(x))
	if err := w.m.(solver.JVPer).ScoreJVP(w.ctx, dst, jv, x, w.probe, 1, []float64{t}); err != nil {
		return err
	}
	for i := range w.n {
		sum := 0.0
		for j := i * w.d; j < (i+1)*w.d; j++ {
			sum += jv[j] * w.probe[j]
		}
		w.div[i] = sum
	}
	return nil
}

// levels are the six λ of the denoising errors, as shares of the way.
var levels = []float64{0.08, 0.2, 0.32, 0.44, 0.56, 0.7}

func (w *walk) time(share float64) float64 {
	lo, hi := w.s.Lambda(w.s.Tmin()), w.s.Lambda(w.s.Tmax())
	return w.s.TimeOfLambda(lo + share*(hi-lo))
}

// denoising adds noise to the samples and takes it off again by one evaluation.
func (w *walk) denoising(x []float64) error {
	noised, score := make([]float64, len(x)), make([]float64, len(x))
	rngs := make([]*rand.Rand, w.n)
	for i := range rngs {
		rngs[i] = rand.New(kernels.NewSource(w.o.Seed, kernels.StreamNoise, w.o.First+uint64(i)))
	}
	for k, share := range levels {
		t := w.time(share)
		alpha, sigma := w.s.Alpha(t), w.s.Sigma(t)
		for i := range w.n {
			for j := i * w.d; j < (i+1)*w.d; j++ {
				noised[j] = alpha*x[j] + sigma*rngs[i].NormFloat64()
			}
		}
		if err := w.m.Score(w.ctx, score, noised, []float64{t}); err != nil {
			return err
		}
		name := fmt.Sprintf("denoising_%d", k+1)
		for i := range w.n {
			sum := 0.0
			for j := i * w.d; j < (i+1)*w.d; j++ {
				e := (noised[j]+sigma*sigma*score[j])/alpha - x[j]
				sum += e * e
			}
			*w.at(i, name) = sum / float64(w.d)
		}
	}
	return nil
}

// flow integrates from Tmin to Tmax by Heun's method, the integrals by the trapezoid rule.
func (w *walk) flow() error {
	times, err := solver.GridLambda.Times(w.s, w.o.Steps)
	if err != nil {
		return err
	}
	n, d := w.n, w.d
	score, next, x := make([]float64, n*d), make([]float64, n*d), make([]float64, n*d)
	direction, before := make([]float64, n*d), []float64(nil)
	record := map[int]string{}
	for k := 1; k <= 4; k++ {
		record[k*w.o.Steps/5] = fmt.Sprintf("divergence_%d", k)
	}
	steps := w.o.Steps
	var last rates
	for k := 0; k <= steps; k++ {
		t := times[steps-k]
		if err := w.score(score, w.x, t); err != nil {
			return err
		}
		now := w.rates(t, score)
		if k == 0 {
			for i := range n {
				*w.at(i, "score_norm") = math.Sqrt(squared(score[i*d:(i+1)*d]) / float64(d))
			}
		} else {
			dt := t - times[steps-k+1]
			for i := range n {
				*w.at(i, "log_q0") += dt / 2 * (last.div[i] + now.div[i])
				*w.at(i, "action") += dt / 2 * (last.action[i] + now.action[i])
			}
		}
		last = now
		if name, ok := record[k]; ok {
			f := w.s.Sigma2(t) / float64(d)
			for i := range n {
				*w.at(i, name) = f * w.div[i]
			}
		}
		// d(x/α)/d(σ/α) = −σ s: the noise that the model sees
		for j, v := range score {
			direction[j] = -w.s.Sigma(t) * v
		}
		if before != nil {
			name := "turning_early"
			if 2*k > steps {
				name = "turning_late"
			}
			for i := range n {
				*w.at(i, name) += angle(before[i*d:(i+1)*d], direction[i*d:(i+1)*d])
			}
		} else {
			before = make([]float64, n*d)
		}
		copy(before, direction)
		if w.o.Progress != nil {
			w.o.Progress(k, steps)
		}
		if k == steps {
			break
		}
		u := times[steps-k-1]
		h := u - t
		a, g2 := w.s.Drift(t), w.s.Diffusion2(t)
		au, gu := w.s.Drift(u), w.s.Diffusion2(u)
		for j, v := range w.x {
			x[j] = v + h*(a*v-0.5*g2*score[j])
		}
		if err := w.m.Score(w.ctx, next, x, []float64{u}); err != nil {
			return err
		}
		for j, v := range w.x {
			w.x[j] = v + h/2*(a*v-0.5*g2*score[j]+au*x[j]-0.5*gu*next[j])
		}
	}
	w.end()
	return nil
}

// rates are what the flow integrates at one time: the divergence ∇·F of its field, and the action.
type rates struct{ div, action []float64 }

func (w *walk) rates(t float64, s []float64) rates {
	a, g2 := w.s.Drift(t), w.s.Diffusion2(t)
	r := rates{make([]float64, w.n), make([]float64, w.n)}
	for i := range w.n {
		r.div[i] = a*float64(w.d) - 0.5*g2*w.div[i]
		r.action[i] = 0.5 * g2 * squared(s[i*w.d:(i+1)*w.d])
	}
	return r
}

// end adds what the prior says of the states at Tmax.
func (w *walk) end() {
	prior := w.s.PriorStd()
	for i := range w.n {
		square := squared(w.x[i*w.d : (i+1)*w.d])
		*w.at(i, "end_norm") = square / float64(w.d)
		*w.at(i, "log_q0") += -0.5*square/(prior*prior) - float64(w.d)*math.Log(prior*math.Sqrt(2*math.Pi))
	}
}

func squared(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v * v
	}
	return s
}

// angle is that between two vectors.
func angle(a, b []float64) float64 {
	ab, aa, bb := 0.0, 0.0, 0.0
	for i, v := range a {
		ab, aa, bb = ab+v*b[i], aa+v*v, bb+b[i]*b[i]
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return math.Acos(math.Max(-1, math.Min(1, ab/math.Sqrt(aa*bb))))
}
