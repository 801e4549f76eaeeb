package sequence

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"hbar/graph"
	"hbar/kernels"
	"hbar/kernels/cpu"
	"hbar/kernels/fit"
	"hbar/nets"
)

// Example fills the inputs x [length, Inputs] and the target (nets.Memory.TrainingLosses) of one sequence, which are zeros before.
type Example func(rng *rand.Rand, x, target []float32)

// TrainOptions are the settings of Train. Zero values are the defaults.
type TrainOptions struct {
	Steps  int     // 1500
	Batch  int     // sequences in a step, 16
	Rate   float64 // of learning at its top, 4·10⁻³; it rises over 50 steps and falls as a cosine
	Seed   uint64
	Length int                                // of a sequence; 0: the window
	Scored int                                // times of a sequence that are scored; 0: all
	Report func(step int, loss float64) error // called after each step, with its mean loss in nats; an error ends the training
}

// DivergedError is training whose numbers are no longer finite.
type DivergedError struct {
	Kind  nets.MemoryKind
	Step  int
	Cause string
}

func (e *DivergedError) Error() string {
	return fmt.Sprintf("sequence: training of the %s model diverges at step %d: %s; take a lower learning rate", e.Kind, e.Step, e.Cause)
}

// Train fits a model by Adam (β 0.9, 0.99) with the gradient clipped to a norm of 1. Step k of a seed sees the same
// sequences whatever the model.
func Train(ctx context.Context, m *Model, example Example, o TrainOptions) error {
	if o.Steps == 0 {
		o.Steps = 1500
	}
	if o.Batch == 0 {
		o.Batch = 16
	}
	if o.Rate == 0 {
		o.Rate = 4e-3
	}
	if o.Length == 0 {
		o.Length = m.Window
	}
	if o.Scored == 0 {
		o.Scored = o.Length
	}
	t, err := m.trainer(o)
	if err != nil {
		return err
	}
	defer t.Close()
	src := fit.SourceFunc(func(b *fit.Tile) {
		clear(b.X)
		clear(b.Target)
		n := b.Hi - b.Lo
		dx, d := len(b.X)/n, len(b.Target)/n
		for i := range n {
			rng := rand.New(kernels.NewSource(o.Seed, kernels.StreamBatch, uint64(b.Step)*uint64(o.Batch)+uint64(b.Lo+i)))
			example(rng, b.X[i*dx:(i+1)*dx], b.Target[i*d:(i+1)*d])
			b.Weight[i] = float32(d) / float32(o.Scored) // the trainer divides by the batch and d
		}
	})
	losses := make([]float64, 1)
	for step := range o.Steps {
		rate := o.Rate * math.Min(1, float64(step+1)/50) * (0.5 + 0.5*math.Cos(math.Pi*float64(step)/float64(o.Steps)))
		taken, last, err := t.Run(ctx, src, []float64{rate}, losses)
		var bad *fit.NonFiniteError
		switch {
		case errors.As(err, &bad):
			return &DivergedError{m.Kind, step, bad.Cause}
		case err != nil:
			return err
		case taken == 0:
			return ctx.Err()
		}
		if o.Report != nil {
			if err := o.Report(step, last.Loss); err != nil {
				return err
			}
		}
	}
	for i, w := range t.Params(nil) {
		copy(m.net.Weights[i], w)
	}
	return nil
}

// trainer has Gorgonia differentiate the losses of sequences of a length.
func (m *Model) trainer(o TrainOptions) (*cpu.Trainer, error) {
	n, err := m.TrainingLosses(o.Length)
	if err != nil {
		return nil, err
	}
	var names, gradients []string
	for _, p := range n.Params {
		names, gradients = append(names, p.Name), append(gradients, graph.GradName(p.Name))
	}
	d, err := graph.DifferentiateLosses(n.Program, names, o.Batch)
	if err != nil {
		return nil, err
	}
	return cpu.NewTrainer(cpu.Training{Program: d.Program, Params: m.net.Matrices(), Gradients: gradients}, fit.Options{Batch: o.Batch, Beta2: 0.99, Clip: 1}, cpu.Options{})
}

// Symbols draws the symbols and the targets of one sequence; a target of −1 is not scored.
type Symbols func(rng *rand.Rand, symbols, targets []int32)

// Example is the sequence as indicators, for a model of symbols.
func (b Symbols) Example(m *Model) Example {
	return func(rng *rand.Rand, x, target []float32) {
		n := len(x) / m.Inputs
		s := make([]int32, 2*n)
		b(rng, s[:n], s[n:])
		indicators(x, s[:n], m.Inputs)
		indicators(target, s[n:], m.Outputs)
	}
}

// indicators writes ones for symbols to rows of zeros; −1 is none.
func indicators(rows []float32, symbols []int32, width int) {
	for i, s := range symbols {
		if s >= 0 {
			rows[i*width+int(s)] = 1
		}
	}
}

// Windows draws training sequences from a text: windows that begin anywhere.
func Windows(text []int32) Symbols {
	return func(rng *rand.Rand, symbols, targets []int32) {
		at := rng.IntN(len(text) - len(symbols))
		copy(symbols, text[at:])
		copy(targets, text[at+1:])
	}
}

// Recall draws sequences that begin with one of the symbols of the lower half of 2 … V−1, go on with distractors of the
// upper half, and end with the query 0, at which the first symbol is to be named.
func Recall(v int) Symbols {
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
