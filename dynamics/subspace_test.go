package dynamics

import (
	"context"
	"testing"
)

// One time far behind the others is refused, with its gap, before it takes memory for all steps up to it.
func TestFarOutlier(t *testing.T) {
	data := decaying()
	r := &data.Records[0]
	r.Times, r.X = append(r.Times, 5e5), append(r.X, 1)
	if _, err := FitLikelihood(context.Background(), data, LikelihoodOptions{Order: 1}); err == nil || !contains(err.Error(), "the gap from time 7.9 to 500000 is 5e+06 steps of 0.1") {
		t.Errorf("error %v", err)
	}
}
