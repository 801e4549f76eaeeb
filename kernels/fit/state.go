package fit

import "fmt"

// State is everything that a step depends on besides the batch, as a checkpoint holds it. Values have the layout and order of
// Chain.Params.
type State struct {
	Step   int64 // steps taken
	Params [][]float32
	M, V   [][]float32 // Adam's mean gradient and mean squared gradient
	EMA    [][]float32 // averaged weights; nil if none are kept
}

// Averages are the averaged weights. Where none are kept they are the parameters, from which they start.
func (s *State) Averages() [][]float32 {
	if s.EMA == nil {
		return s.Params
	}
	return s.EMA
}

// Fits returns an error unless the state is one of a network of n tensors, the i-th of which has this name and size.
func (s *State) Fits(n int, tensor func(i int) (name string, size int)) error {
	if s.Step < 0 {
		return fmt.Errorf("the state has step %d; steps count from 0", s.Step)
	}
	for _, l := range []struct {
		what    string
		tensors [][]float32
	}{{"parameters", s.Params}, {"mean gradients", s.M}, {"mean squared gradients", s.V}, {"averaged weights", s.Averages()}} {
		if err := TensorsFit(l.what, l.tensors, n, tensor); err != nil {
			return err
		}
	}
	return nil
}

// TensorsFit returns an error unless there are n tensors, the i-th of this size. what they are, and the names, are for the error.
func TensorsFit(what string, tensors [][]float32, n int, tensor func(i int) (name string, size int)) error {
	if len(tensors) != n {
		return fmt.Errorf("%s for %s; the network has %d", what, count(len(tensors), "tensor"), n)
	}
	for i, v := range tensors {
		if name, size := tensor(i); len(v) != size {
			return fmt.Errorf("%d %s for %s; want %d", len(v), what, name, size)
		}
	}
	return nil
}

// count is a number of things: 1 tensor, 8 tensors.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
