package cpu_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"hbar/kernels/cpu"
)

// A call that waits for another, and one in float64 that is under way, end with their context.
func TestEngineCancel(t *testing.T) {
	e := engine(t, labelled(t), cpu.EngineOptions{Workers: 1})
	err := e.Lend(context.Background(), func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		x := make([]float32, e.Dim())
		return e.Forward(ctx, x, x, []float64{0.5})
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting: error %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	x := make([]float64, 5000*e.Dim()) // takes many times longer
	if err := e.Forward64(ctx, x, x, []float64{0.5}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("float64: error %v", err)
	}
}
