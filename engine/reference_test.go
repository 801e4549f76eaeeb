package engine_test

import (
	"context"
	"math"
	"slices"
	"testing"

	"hbar/engine"
	"hbar/solver"
)

// The reference loop in float64 gives each sample its own label and guidance, as the fused loop does: by the sample's number, in
// chunks of any size.
func TestReferenceHasEachSamplesLabel(t *testing.T) {
	e, err := engine.New(transformer(t, true), engine.Options{Condition: engine.Condition{
		Label: func(sample uint64) float64 { return float64(sample % 3) }, Guidance: 0.5}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s, err := solver.NewSchedule("cosine", nil)
	if err != nil {
		t.Fatal(err)
	}
	draw := func(p solver.Precision, chunk int, reference bool) (x []float64) {
		t.Helper()
		net, err := solver.NewNetwork(e.Solver, s, solver.Prediction{Target: solver.PredictEps}, p)
		if err != nil {
			t.Fatal(err)
		}
		_, err = solver.Sample(context.Background(), net, s, solver.Options{TableOptions: solver.TableOptions{Sampler: solver.Exponential, Steps: 4},
			N: 7, First: 2, Seed: 5, Chunk: chunk, Reference: reference},
			func(c solver.Chunk) error { x = append(x, c.X...); return nil })
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	fused := draw(solver.Float32, 0, false)
	want := draw(solver.Float64, 0, true)
	near := func(what string, got []float64) {
		t.Helper()
		for i := range want {
			if !(math.Abs(got[i]-want[i]) < 1e-4*(1+math.Abs(want[i]))) { // float32 over four steps
				t.Errorf("%s: number %d of sample %d is %v, in float64 %v", what, i%4, 2+i/4, got[i], want[i])
			}
		}
	}
	near("fused", fused)
	near("values in float32", draw(solver.Float32, 0, true))
	if got := draw(solver.Float64, 3, true); !slices.Equal(got, want) {
		t.Errorf("in chunks of three %v, at once %v", got, want)
	}
}
