package sequence

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"

	"hbar/kernels"
)

// Batch fills symbols and targets of one sequence for training; a target of −1 is not scored.
type Batch func(rng *rand.Rand, symbols, targets []int32)

// TrainOptions are the settings of Train. Zero values are the defaults.
type TrainOptions struct {
	Steps  int     // 1500
	Batch  int     // sequences in a step, 16
	Rate   float64 // of learning at its top, 4·10⁻³; it rises over 50 steps and falls as a cosine
	Seed   uint64
	Length int                                // of a sequence; 0: the window
	Report func(step int, loss float64) error // called after each step, with its mean loss in nats; an error ends the training
}

// shards are the parts of a batch that have sums of their own, so that results do not depend on the number of processors.
const shards = 4

// Train fits a model by Adam (β 0.9, 0.99) with the gradient clipped to a norm of 1. Step k of a seed sees the same
// sequences whatever the model.
func Train(ctx context.Context, m *Model, batch Batch, o TrainOptions) error {
	if o.Steps == 0 {
		o.Steps = 1500
	}
	if o.Batch == 0 {
		o.Batch = 16
	}
	if o.Rate == 0 {
		o.Rate = 4e-3
	}
	t := o.Length
	if t == 0 {
		t = m.Window
	}
	n := len(m.Theta)
	first, second := make([]float64, n), make([]float64, n)
	symbols, targets := make([]int32, o.Batch*t), make([]int32, o.Batch*t)
	passes, grads, losses := make([]*pass, shards), make([]*Model, shards), make([]float64, shards)
	for i := range shards {
		passes[i], grads[i] = &pass{m: m}, view(m.Config, make([]float32, n))
	}
	for step := range o.Steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		scored := 0
		for i := range o.Batch {
			rng := rand.New(kernels.NewSource(o.Seed, kernels.StreamBatch, uint64(step*o.Batch+i)))
			batch(rng, symbols[i*t:(i+1)*t], targets[i*t:(i+1)*t])
		}
		for _, v := range targets {
			if v >= 0 {
				scored++
			}
		}
		var wg sync.WaitGroup
		for s := range shards {
			from, to := s*o.Batch/shards, (s+1)*o.Batch/shards
			wg.Go(func() {
				clear(grads[s].Theta)
				losses[s] = 0
				if from == to {
					return
				}
				passes[s].forward(symbols[from*t:to*t], to-from, t)
				losses[s], _ = passes[s].loss(targets[from*t:to*t], 1/float32(scored))
				passes[s].backward(grads[s])
			})
		}
		wg.Wait()
		norm, loss := 0.0, 0.0
		for s := range shards {
			loss += losses[s] / float64(scored)
		}
		g := grads[0].Theta
		for i := range g {
			for s := 1; s < shards; s++ {
				g[i] += grads[s].Theta[i]
			}
			norm += float64(g[i]) * float64(g[i])
		}
		rate := o.Rate * math.Min(1, float64(step+1)/50) * (0.5 + 0.5*math.Cos(math.Pi*float64(step)/float64(o.Steps)))
		adam(m.Theta, g, first, second, step, rate, math.Min(1, 1/math.Max(math.Sqrt(norm), 1e-30)))
		if o.Report != nil {
			if err := o.Report(step, loss); err != nil {
				return err
			}
		}
	}
	return nil
}

// adam is one step with gradients times clip.
func adam(x, g []float32, first, second []float64, step int, rate, clip float64) {
	const b1, b2, eps = 0.9, 0.99, 1e-8
	c1, c2 := 1-math.Pow(b1, float64(step+1)), 1-math.Pow(b2, float64(step+1))
	for i := range x {
		v := float64(g[i]) * clip
		first[i] = b1*first[i] + (1-b1)*v
		second[i] = b2*second[i] + (1-b2)*v*v
		x[i] -= float32(rate * (first[i] / c1) / (math.Sqrt(second[i]/c2) + eps))
	}
}

// Evaluate is the mean −log p in nats of the symbols at places from … length−1 of windows of a text, each given those before
// it in its window; windows start so that the scored places follow each other. Growth is clamped where length exceeds the
// training window.
func (m *Model) Evaluate(ctx context.Context, text []int32, from, length int) (float64, error) {
	p := &pass{m: m, clamped: length > m.Window}
	const together = 16
	var starts []int
	for s := 0; s+length+1 <= len(text); s += length - from {
		starts = append(starts, s)
	}
	sum, count := 0.0, 0
	symbols, targets := make([]int32, together*length), make([]int32, together*length)
	for i := 0; i < len(starts); i += together {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n := min(together, len(starts)-i)
		for k := range n {
			s := starts[i+k]
			copy(symbols[k*length:(k+1)*length], text[s:])
			copy(targets[k*length:(k+1)*length], text[s+1:])
			for j := range from {
				targets[k*length+j] = -1
			}
		}
		p.forward(symbols, n, length)
		l, c := p.loss(targets, 0)
		sum, count = sum+l, count+c
	}
	return sum / float64(count), nil
}

// Windows draws training sequences from a text: windows that begin anywhere.
func Windows(text []int32) Batch {
	return func(rng *rand.Rand, symbols, targets []int32) {
		at := rng.IntN(len(text) - len(symbols))
		copy(symbols, text[at:])
		copy(targets, text[at+1:])
	}
}

// Recall draws sequences that begin with one of the symbols of the lower half of 2 … V−1, go on with distractors of the
// upper half, and end with the query 0, at which the first symbol is to be named.
func Recall(v int) Batch {
	return func(rng *rand.Rand, symbols, targets []int32) {
		half := (v - 2) / 2 // the remembered symbols, then the distractors
		for i := range symbols {
			symbols[i], targets[i] = int32(2+half+rng.IntN(v-2-half)), -1
		}
		symbols[0] = int32(2 + rng.IntN(half))
		symbols[len(symbols)-1] = 0
		targets[len(targets)-1] = symbols[0]
	}
}
