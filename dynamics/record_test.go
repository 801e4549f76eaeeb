package dynamics

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// The density of data is refused under a model whose outputs have other names, or the same in another order.
func TestNamesOfOutputs(t *testing.T) {
	m := &Model{Space: &StateSpace{System: &System{A: mat.NewDense(2, 2, []float64{-1, 0, 0, -2}), Q: identity(2)}, C: identity(2), R: mat.NewDense(2, 2, nil), M0: make([]float64, 2), P0: identity(2)},
		Names: []string{"x", "y, z"}}
	one := func(names ...string) *Data {
		return &Data{P: 2, Names: names, Records: []Record{{Times: []float64{0, 1}, X: []float64{1, 2, 3, 4}}}}
	}
	for _, names := range [][]string{nil, {"x", "y, z"}, {"x", "y; z"}} {
		if l, err := m.LogLik(one(names...)); err != nil || math.IsNaN(l.LogLik) {
			t.Errorf("outputs %q: %v, %v", names, l, err)
		}
	}
	if _, err := m.LogLik(one("y, z", "x")); err == nil || !contains(err.Error(), `output 1 of the data is "y, z", and of the model it is "x"`) {
		t.Errorf("swapped outputs: error %v", err)
	}
}
