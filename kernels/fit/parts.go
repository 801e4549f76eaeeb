package fit

import "context"

// The gradient of a batch is a sum over parts of it, in their order, and the sum of a part runs over its rows in their order. What
// the parts are depends on the size of the batch alone. So a batch that several processes share, each of which computes whole
// parts, has the same gradient in all bits as one process has.

// PartRows is the number of rows of each part but the last of a batch of n rows: about a sixteenth of the batch, but at least least,
// with which a kernel is fast, and at most most. The result is a multiple of 16, as least and most are.
func PartRows(n, least, most int) int {
	rows := (n + 15) / 16
	rows = (rows + 15) / 16 * 16
	return min(max(rows, least), most)
}

// Parts is the number of parts of n rows. All parts but the last have rows rows.
func Parts(n, rows int) int { return (n + rows - 1) / rows }

// Partial is a trainer that can compute the gradient of rows of a batch, and take a step with the sum of such gradients.
type Partial interface {
	// Steps is the number of steps taken.
	Steps() int64
	// PartRows is the number of rows of each part but the last of a batch of n rows.
	PartRows(n int) int
	// SetRows makes the following calls apply to rows [lo, lo+n) of batches of total rows.
	SetRows(lo, n, total int)
	// Sums computes the gradient of these rows in the batch that src draws for step Steps(), and returns the terms of which the
	// loss is the sum, in the order of the rows: TermRows rows make a term. They are valid until the next call.
	Sums(ctx context.Context, src Source) (terms []float64, err error)
	TermRows() int
	// Grads is the memory of the gradient, which Sums writes and Apply reads. The order of the parameters is the trainer's.
	Grads() [][]float32
	// Apply takes a step of Adam with learning rate lr and the gradient in Grads. The terms are those of the whole batch. A loss or
	// gradient that is not finite is a *NonFiniteError; then nothing has changed.
	Apply(lr float64, terms []float64) (Result, error)
}
