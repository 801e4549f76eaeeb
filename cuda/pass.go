//go:build gpu && cgo

package cuda

// rowsPass carries the rows of a batch through the network and back, to the gradients of all layers' sums.
type rowsPass interface {
	// resize makes room for batches of n rows.
	resize(n int) error
	// x and dz are the addresses of a layer's input and of the gradient of its sums, until the next resize. x is 0 if
	// launch makes the gradient of the layer's weights itself.
	x(layer int) uint64
	dz(layer int) uint64
	// activation is a layer's input, [n][its ldk], and input that of the first.
	activation(layer int) *Buffer
	input() *Buffer
	// launch enqueues the pass for n rows, in a captured graph too.
	launch(a drawArgs, control, rowLoss *Buffer, n int) error
	close() error
}

// lossScale is 2/(nD), the factor of ∂loss/∂net, rounded as package learn rounds it.
func lossScale(n, d int) float32 { return 2 / float32(float64(n)*float64(d)) }
