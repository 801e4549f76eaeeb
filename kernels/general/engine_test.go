package general_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"hbar/kernels"
	"hbar/kernels/general"
	"hbar/program"
	"hbar/program/ops"
)

// labelled is a network whose output is a row of a table, which the label chooses, plus the sample.
func labelled(t *testing.T) *program.Program {
	t.Helper()
	p, err := program.Build(func(b *program.Builder) {
		x := b.Input("x", program.Sample, 2)
		b.Input("t", program.Sample, 1)
		y := b.Input("y", program.Sample, 1)
		b.Output("out", ops.Sum(b, x, b.Apply(ops.Embedding{}, b.Param("table", 4, 2), y)[0]))
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// runner is a back end that takes parameters only if fails is nil.
type runner struct {
	fails  error
	closed *int
}

func (r runner) SetParams(map[string][]float32) error             { return r.fails }
func (r runner) RunContext(context.Context, *general.Batch) error { return nil }
func (r runner) Block() int                                       { return 1 }
func (r runner) Bytes(int) int64                                  { return 0 }
func (r runner) Close() error                                     { *r.closed++; return nil }

// A program that is bound, but whose parameters are not, is closed.
func TestRunnerOfNoParameters(t *testing.T) {
	full := errors.New("the memory is full")
	closed := 0
	_, err := general.New(labelled(t), []kernels.Param{{Name: "table", Data: make([]float32, 8)}}, general.Condition{}, func(*program.Program) (general.Runner, error) {
		return runner{full, &closed}, nil
	})
	if !errors.Is(err, full) || closed != 1 {
		t.Errorf("error %v, closed %d times", err, closed)
	}
}

// Labels that are no rows of their table are an error that names them.
func TestLabels(t *testing.T) {
	p := labelled(t)
	table := make([]float32, 8)
	closed := 0
	e, err := general.New(p, []kernels.Param{{Name: "table", Data: table}}, general.Condition{None: 4}, func(*program.Program) (general.Runner, error) {
		return runner{nil, &closed}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = "input y has the label 4; its table has 4 rows, so labels are 0 to 3"
	x := make([]float64, 2)
	if err := e.Forward64(t.Context(), x, x, []float64{1}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("in float64: %v", err)
	}
	if err := e.With(func(uint64) float64 { return 3 }, 0).Forward64(t.Context(), x, x, []float64{1}); err != nil {
		t.Errorf("the last row: %v", err)
	}
	has := func(program.ID) bool { return true }
	b := &general.Batch{N: 2, In: map[string][]float32{"x": make([]float32, 4), "y": {0, 4}}, Wide: map[string][]float64{"t": {1, 1}}}
	if err := b.Check("cpu", p, has); err == nil || !strings.Contains(err.Error(), "cpu: "+want) {
		t.Errorf("a label in float32: %v", err)
	}
	b.Wide["y"] = []float64{0, 4}
	if err := b.Check("cpu", p, has); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a label in float64: %v", err)
	}
	b.Wide["y"][1] = 3
	if err := b.Check("cpu", p, has); err != nil {
		t.Errorf("the last row: %v", err)
	}
}
