package loglik

import (
	"math"

	"hbar/solver/fokkerplanck"
	"hbar/solver/likelihood"
)

// Results are what the methods found at n points.
type Results struct {
	H    []float64
	N, D int

	Probed    bool        // Flow is by random probes
	Flow      []Value     // at h = 0; nil if not run
	Expansion []Expansion // nil if not run
	Path      [][]Value   // [point][h]; nil if not run; h = 0 has no value
	Grid      [][]Value
	Solutions []*fokkerplanck.Solution // one for each h > 0, in order
	ChainOf   string                   // what the path integral is the density of
}

// Interrupted is the status of a value that was not computed because the user stopped the command.
const Interrupted = string(likelihood.Interrupted)

// interrupt fills in what the methods have not computed.
func (r *Results) interrupt(methods []Method) {
	values := func(have []Value) []Value {
		for len(have) < r.N {
			have = append(have, none(Interrupted))
		}
		return have
	}
	table := func(have [][]Value) [][]Value {
		if have != nil {
			return have
		}
		have = perStrength(r.N, r.H)
		_, at := positive(r.H)
		for i := range have {
			for _, j := range at {
				have[i][j] = none(Interrupted)
			}
		}
		return have
	}
	for _, method := range methods {
		switch method {
		case Flow:
			r.Flow = values(r.Flow)
		case WKB:
			for len(r.Expansion) < r.N {
				r.Expansion = append(r.Expansion, failed(r.D, Interrupted))
			}
		case PathIntegral:
			r.Path = table(r.Path)
		case FokkerPlanck:
			r.Grid = table(r.Grid)
		}
	}
}

// Finished reports whether a method has been through all points.
func (r *Results) Finished(method Method) bool {
	for i := range r.N {
		switch {
		case method == Flow && (r.Flow == nil || r.Flow[i].Status == Interrupted),
			method == WKB && (r.Expansion == nil || r.Expansion[i].Status == Interrupted):
			return false
		}
		for j := range r.H {
			if method == PathIntegral && (r.Path == nil || r.Path[i][j].Status == Interrupted) ||
				method == FokkerPlanck && (r.Grid == nil || r.Grid[i][j].Status == Interrupted) {
				return false
			}
		}
	}
	return true
}

// WKBAt is the expansion of point i at h, to first or second order.
func (r *Results) WKBAt(i int, h float64, order int) Value {
	e := r.Expansion[i]
	v := none(e.Status)
	if e.Status != OK {
		return v
	}
	l := e.LogQ0 + h*e.L1
	if order == 2 {
		l += h * h * e.L2
	}
	if math.IsNaN(l) {
		v.Status = "order 2 not computed"
		return v
	}
	v.LogQ, v.Err = l, h*e.L1Err
	return v
}

// At is the value of a method at point i and H[j]. At h = 0 the path integral and the grid have none; flow has one only
// there.
func (r *Results) At(m Method, i, j int) Value {
	switch {
	case m == Flow && r.H[j] == 0:
		return r.Flow[i]
	case m == WKB:
		return r.WKBAt(i, r.H[j], 1)
	case m == PathIntegral:
		return r.Path[i][j]
	case m == FokkerPlanck:
		return r.Grid[i][j]
	}
	return none("no value at h > 0")
}

// perStrength makes a table of n×len(hs) values, without a value where h = 0.
func perStrength(n int, hs []float64) [][]Value {
	t := make([][]Value, n)
	for i := range t {
		t[i] = make([]Value, len(hs))
		for j := range t[i] {
			t[i][j] = none("no value at h = 0")
		}
	}
	return t
}

func none(status string) Value {
	return Value{LogQ: math.NaN(), Err: math.NaN(), ESS: math.NaN(), Status: status}
}

func failed(d int, status string) Expansion {
	nan := math.NaN()
	e := Expansion{LogQ0: nan, Score: make([]float64, d), Laplacian: nan, L1: nan, L1Err: nan, L2: nan, Trust: nan, Status: status}
	for i := range e.Score {
		e.Score[i] = nan
	}
	return e
}
