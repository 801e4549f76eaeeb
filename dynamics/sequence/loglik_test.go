package sequence

import (
	"context"
	"math"
	"strings"
	"testing"

	"hbar/dynamics"
	"hbar/nets"
)

// Whether growing modes are clamped for a record depends on its own steps, those in gaps included.
func TestClampedByRecord(t *testing.T) {
	m, err := New(nets.Memory{Kind: nets.Free, Inputs: 2, Outputs: 1, Modes: 2, Width: 2, Window: 16}, 1)
	if err != nil {
		t.Fatal(err)
	}
	m.net.Weights[m.net.Param("nu")][0] = -0.1 // grows
	f := &Fit{Model: m, Scale: Scale{Gaps: true, Dt: 0.5, Mean: []float64{0}, SD: []float64{1}, Names: []string{"x"}}}
	short, long := oscillator(12, 0.9, 0.6, 1, 3).Records[0], oscillator(40, 0.9, 0.6, 1, 4).Records[0]
	gap := oscillator(12, 0.9, 0.6, 1, 3).Records[0]
	for i := 6; i < 12; i++ {
		gap.Times[i] += 5
	}
	density := func(r ...dynamics.Record) (float64, int) {
		l, clamped, err := f.LogLik(context.Background(), &dynamics.Data{P: 1, Records: r})
		if err != nil {
			t.Fatal(err)
		}
		return l.LogLik, clamped
	}
	a, none := density(short)
	b, one := density(long)
	both, too := density(short, long)
	if math.Abs(both-a-b) > 1e-9*math.Abs(both) /* the order of two terms */ || none != 0 || one != 1 || too != 1 {
		t.Errorf("log p %g of both, %g and %g of each; %d, %d and %d modes clamped", both, a, b, too, none, one)
	}
	if _, n := density(gap); n != 1 {
		t.Errorf("12 rows over 22 steps: %d modes clamped", n)
	}
	if _, _, err := f.LogLik(context.Background(), &dynamics.Data{P: 1, Names: []string{"y"}, Records: []dynamics.Record{short}}); err == nil || !strings.Contains(err.Error(), `output 1 of the data is "y", and of the model it is "x"`) {
		t.Errorf("another output: error %v", err)
	}
}
