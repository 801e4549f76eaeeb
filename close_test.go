package hbar_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"hbar"
)

// A model may be closed, and called, by the function that takes its samples: the run ends, and calls after Close are errors.
func TestCloseWithinCall(t *testing.T) {
	path, _ := mlp(t)
	m, err := hbar.Open(path, hbar.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	ended := make(chan error, 1)
	go func() {
		_, err := m.SampleEach(ctx, hbar.SampleOptions{N: 10, Steps: 2}, func([]float64) error {
			if _, err := m.Score(ctx, []float64{1, 2}, 0.5, hbar.ScoreOptions{}); err != nil {
				return err
			}
			if err := m.Close(); err != nil {
				return err
			}
			if _, err := m.Score(ctx, []float64{1, 2}, 0.5, hbar.ScoreOptions{}); err == nil || !strings.Contains(err.Error(), "closed") {
				t.Errorf("closed: %v", err)
			}
			return nil
		})
		ended <- err
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the call waits for Close, and Close for the call")
	}
}
