package train

import (
	"context"
	"errors"
	"strings"
	"testing"

	"hbar/kernels"
	"hbar/kernels/fit"
)

// ends is a trainer that learns nothing and notes how it ends.
type ends struct {
	step            int64
	size            []int // of the parameters
	failure         error // of the step after ten
	weights         error // of the weights after that
	closed, aborted int
}

func (e *ends) Steps() int64 { return e.step }
func (e *ends) Run(_ context.Context, lrs, losses []float64) (int, fit.Result, error) {
	for i := range lrs {
		if e.step == 10 && e.failure != nil {
			return i, fit.Result{}, e.failure
		}
		losses[i] = 1
		e.step++
	}
	return len(lrs), fit.Result{Loss: 1}, nil
}
func (e *ends) State() (*fit.State, error) { return &fit.State{Step: e.step}, nil }
func (e *ends) SetState(*fit.State) error  { return nil }
func (e *ends) Params(dst [][]float32) ([][]float32, error) {
	for _, n := range e.size {
		dst = append(dst, make([]float32, n))
	}
	if e.step >= 10 {
		return dst, e.weights
	}
	return dst, nil
}
func (e *ends) Averages([][]float32) ([][]float32, error) { return nil, nil }
func (e *ends) Close() error                              { e.closed++; return nil }
func (e *ends) Abort(error) error                         { e.aborted++; return nil }

// A run closes its trainer at an end that all processes have, and aborts it at an error that only one may have.
func TestTrainerEnds(t *testing.T) {
	lost, full := errors.New("a device is lost"), errors.New("the disk is full")
	for _, c := range []struct {
		name   string
		ends   ends
		report error
		want   string // the error
		aborts bool
	}{
		{"the last step", ends{}, nil, "", false},
		{"a loss that is not finite", ends{failure: &fit.NonFiniteError{}}, nil, "step 11", false},
		{"a device", ends{failure: lost, weights: lost}, nil, "train: step 11: a device is lost", true},
		{"a report", ends{}, full, "the disk is full", true},
		{"the weights", ends{weights: lost}, nil, "train: the weights: a device is lost", true},
	} {
		e := c.ends
		o := small()
		o.NewTrainer = func(p *kernels.ChainTraining, _ fit.Options, _ *kernels.Batches) (Trainer, error) {
			for _, q := range p.Params {
				e.size = append(e.size, len(q.Data))
			}
			return &e, nil
		}
		_, err := Fit(t.Context(), swissRoll(t), o, &log{err: c.report})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: error %v; want %q", c.name, err, c.want)
		}
		if closed := e.closed == 1 && e.aborted == 0; closed == c.aborts || e.closed+e.aborted != 1 {
			t.Errorf("%s: closed %d times, aborted %d times", c.name, e.closed, e.aborted)
		}
	}
}
