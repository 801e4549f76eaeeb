package fit

// Source draws batches. Fill is called by several workers at once, for disjoint rows of one batch. What it writes for a row must
// depend on the step and the row alone (random numbers by counter, kernels.Block). Then a batch is the same for any number of
// workers and any tiling.
type Source interface {
	Fill(t *Tile)
}

// Tile is rows [Lo, Hi) of the batch of a step, which a Source fills. Slices hold Hi−Lo rows; their old contents are
// arbitrary.
type Tile struct {
	Step   int64 // steps taken before this one
	Lo, Hi int
	Worker int // in [0, Workers): the number of the calling goroutine, for scratch memory of the source

	X      []float32 // n×D: the network's sample input, already scaled by c_in
	Tau    []float64 // n: the network's time input c_noise(t)
	Target []float32 // n×D: what the network should give; of a classifier, n×K probabilities of the classes
	Weight []float32 // n: weight of the row's squared error
	Label  []float64 // n: the label, for networks with labels; nil for those without

	// Features, n×F, are computed from Tau after Fill. A source that has them instead of times sets HasFeatures.
	Features    []float32
	HasFeatures bool
}

// SourceFunc is a function as a Source.
type SourceFunc func(t *Tile)

// Fill calls f.
func (f SourceFunc) Fill(t *Tile) { f(t) }
