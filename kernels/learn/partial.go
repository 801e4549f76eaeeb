package learn

import (
	"context"
	"errors"

	"hbar/kernels/fit"
)

// Trainer is a fit.Partial.
var _ fit.Partial = (*Trainer)(nil)

// TermRows is the rows of a term of the loss.
func (t *Trainer) TermRows() int { return chunkRows }

// Grads is the memory of the gradient.
func (t *Trainer) Grads() [][]float32 { return [][]float32{t.g} }

// Sums computes the gradient of the rows that SetRows named, and the terms of their loss, the sums of the weighted squared errors
// of 16 rows each.
func (t *Trainer) Sums(ctx context.Context, src fit.Source) ([]float64, error) {
	t.ended = ctx.Done()
	_, err := t.do(src, sums)
	t.ended = nil
	if errors.Is(err, errHalted) || t.halted[1].Load() {
		return nil, ctx.Err()
	}
	return t.chunkLoss[:t.chunks()], err
}

// Apply takes a step with the gradient in Grads; terms are those of the whole batch.
func (t *Trainer) Apply(lr float64, terms []float64) (fit.Result, error) {
	t.adam = t.opt.Adam(t.step, lr)
	if t.lossSum = t.meanLoss(terms); !finite(t.lossSum) {
		return fit.Result{Loss: t.lossSum}, t.lossError(t.lossSum)
	}
	return t.do(nil, check|update)
}
