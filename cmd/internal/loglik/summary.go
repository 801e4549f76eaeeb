package loglik

import (
	"math"

	"hbar/metrics"
)

// Summary is the NLL of one method at one h: over the points that have a value, in nats of the network's coordinates.
type Summary struct {
	Method   string         `json:"method"` // flow, wkb1, wkb2, pathintegral, fokkerplanck
	H        Number         `json:"h"`
	Mean     Number         `json:"mean"`
	Median   Number         `json:"median"`
	StdErr   Number         `json:"stderr"` // of the mean, over points
	N        int            `json:"n"`
	Failures int            `json:"failures"` // points without a value: what the mean leaves out
	Reasons  map[string]int `json:"failure_reasons,omitempty"`
	// Change is the mean of NLL(h) − NLL(0) over the points that have both, h = 0 by the flow, else by the expansion.
	Change *metrics.Paired `json:"change_from_h0,omitempty"`
	// Bounds counts the points whose value is a lower bound on log q, for want of an effective sample size: the mean is then an upper
	// bound on the NLL.
	Bounds int `json:"bounds,omitempty"`
	// Enclosed are the means of the bounds on log q, of points that have both.
	Enclosed *Enclosed `json:"enclosed,omitempty"`
	// DataUnits is the same in data units, and in bits; nil if there is no value.
	DataUnits *metrics.LogLikelihood `json:"data_units"`
}

// Summarise reduces the values of one method at one h; zeroth are the log q⁰ of the same points, or nil.
func Summarise(method string, h float64, values []Value, zeroth []float64, d int, logDet float64) Summary {
	nan := Number(math.NaN())
	s := Summary{Method: method, H: Number(h), Mean: nan, Median: nan, StdErr: nan}
	logQ := make([]float64, len(values))
	for i, v := range values {
		logQ[i] = v.LogQ
		if v.IsBound {
			s.Bounds++
		}
		if v.Status == OK {
			s.N++
			continue
		}
		logQ[i] = math.NaN()
		if s.Failures++; s.Reasons == nil {
			s.Reasons = map[string]int{}
		}
		s.Reasons[v.Status]++
	}
	if u, err := metrics.NLL(logQ, d, 0); err == nil {
		s.Mean, s.Median, s.StdErr = Number(u.NLLNats.Value), Number(u.MedianNats), Number(u.NLLNats.StdErr)
	}
	if u, err := metrics.NLL(logQ, d, logDet); err == nil {
		s.DataUnits = u
	}
	s.Enclosed = enclosed(values)
	if zeroth != nil && h != 0 {
		if p, err := metrics.Compare(zeroth, logQ); err == nil { // −log q^h − (−log q⁰)
			s.Change = p
		}
	}
	return s
}

// Zeroth are the log q⁰ of the points: the flow's, else the expansion's; nil if neither was run.
func (r *Results) Zeroth() []float64 {
	switch {
	case r.Flow != nil:
		out := make([]float64, r.N)
		for i, v := range r.Flow {
			out[i] = v.LogQ
		}
		return out
	case r.Expansion != nil:
		out := make([]float64, r.N)
		for i, e := range r.Expansion {
			out[i] = e.LogQ0
		}
		return out
	}
	return nil
}

// Summaries are those of all methods at all h where they have a value.
func (r *Results) Summaries(logDet float64) []Summary {
	zeroth := r.Zeroth()
	column := func(f func(i int) Value) []Value {
		out := make([]Value, r.N)
		for i := range out {
			out[i] = f(i)
		}
		return out
	}
	var out []Summary
	add := func(method string, h float64, f func(i int) Value) {
		out = append(out, Summarise(method, h, column(f), zeroth, r.D, logDet))
	}
	if r.Flow != nil {
		add(string(Flow), 0, func(i int) Value { return r.Flow[i] })
	}
	for order := 1; r.Expansion != nil && order <= 2; order++ {
		if order == 2 && !r.SecondOrder() {
			break
		}
		for _, h := range r.H {
			add([]string{"wkb1", "wkb2"}[order-1], h, func(i int) Value { return r.WKBAt(i, h, order) })
		}
	}
	for j, h := range r.H {
		if h == 0 {
			continue
		}
		if r.Path != nil {
			add(string(PathIntegral), h, func(i int) Value { return r.Path[i][j] })
		}
		if r.Grid != nil {
			add(string(FokkerPlanck), h, func(i int) Value { return r.Grid[i][j] })
		}
	}
	return out
}

// SecondOrder reports whether any point has ℓ₂.
func (r *Results) SecondOrder() bool {
	for _, e := range r.Expansion {
		if !math.IsNaN(e.L2) {
			return true
		}
	}
	return false
}
