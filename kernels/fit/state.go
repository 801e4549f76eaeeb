package fit

// State is everything a step depends on but the batch: what a checkpoint holds. Values are in the natural layout and
// order of Chain.Params.
type State struct {
	Step   int64 // steps taken
	Params [][]float32
	M, V   [][]float32 // Adam's mean gradient and mean squared gradient
	EMA    [][]float32 // averaged weights; nil if none are kept
}
