package dynamics

import (
	"math"
	"testing"
)

// A window that no snapshot follows has the density of a first window.
func TestDensityOfWindowsAlone(t *testing.T) {
	data := decaying()
	m := mustFit(t, data, LiftOptions{}, FitOptions{}).Lifted()
	cut := func(from, to int) Record {
		r := &data.Records[0]
		return Record{Times: r.Times[from:to], X: append([]float64(nil), r.X[from:to]...)}
	}
	density := func(r ...Record) Likelihood {
		l, err := m.LogLik(&Data{P: 1, Records: r})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	gap := cut(0, 7)
	gap.X[5] = math.NaN()
	five, one, got := density(cut(0, 5)), density(cut(6, 7)), density(gap)
	const rounding = 1e-9 // of six log densities of size up to a thousand
	if math.Abs(got.LogLik-five.LogLik-one.LogLik) > rounding || got.Observations != 6 || one.Observations != 1 || got.Values != 6 {
		t.Errorf("%v; want %v and %v", got, five, one)
	}
	long := mustFit(t, data, LiftOptions{Delays: 3}, FitOptions{OmitBranch: true}).Lifted()
	if _, err := long.LogLik(&Data{P: 1, Records: []Record{cut(0, 2)}}); err == nil || !contains(err.Error(), "needs 3 snapshots") {
		t.Errorf("records shorter than a window: error %v", err)
	}
}
