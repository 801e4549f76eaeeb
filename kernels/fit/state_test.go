package fit

import (
	"strings"
	"testing"
)

// A state of another network is refused by what differs.
func TestFits(t *testing.T) {
	tensor := func(i int) (string, int) { return []string{"weight", "bias"}[i], []int{6, 3}[i] }
	lists := func() [][]float32 { return [][]float32{make([]float32, 6), make([]float32, 3)} }
	s := func() *State { return &State{Params: lists(), M: lists(), V: lists()} }
	if err := s().Fits(2, tensor); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(s *State){
		"step -1; steps count from 0":                       func(s *State) { s.Step = -1 },
		"parameters for 1 tensor; the network has 2":        func(s *State) { s.Params = s.Params[:1] },
		"4 mean gradients for weight; want 6":               func(s *State) { s.M[0] = s.M[0][:4] },
		"mean squared gradients for 0 tensors; the network": func(s *State) { s.V = nil },
		"2 averaged weights for bias; want 3":               func(s *State) { s.EMA = [][]float32{make([]float32, 6), make([]float32, 2)} },
	} {
		q := s()
		change(q)
		if err := q.Fits(2, tensor); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
