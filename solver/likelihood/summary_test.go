package likelihood

import (
	"math"
	"testing"
)

func TestSummarize(t *testing.T) {
	v := []float64{4, 1, math.NaN(), 3, 2, math.NaN(), 100}
	s := Summarize(v, []Status{OK, OK, NotFinite, OK, OK, NotFinite, LowESS})
	if s.N != 4 || s.Mean != 2.5 || s.Median != 2.5 || s.Failed != 3 || s.Reasons[NotFinite] != 2 || s.Reasons[LowESS] != 1 {
		t.Errorf("%+v", s)
	}
	near(t, "standard error", s.StdErr, math.Sqrt(5.0/3/4), 1e-15)
	if s := Summarize(v[:1], []Status{BadPoint}); s.N != 0 || s.Failed != 1 || !math.IsNaN(s.Mean) || !math.IsNaN(s.Median) {
		t.Errorf("nothing good: %+v", s)
	}
}
