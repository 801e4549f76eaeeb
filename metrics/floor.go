package metrics

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// Floor says how large a distance is between two samples of the same data: what no model can be expected to beat.
type Floor struct {
	Mean   Estimate  `json:"mean"`
	StdDev float64   `json:"stddev"` // of one distance
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Values []float64 `json:"values"`
}

// NoiseFloor measures distance between pairs of independent samples: draw(0) and draw(1), draw(2) and draw(3), …. Draws
// must be disjoint: samples that share points come out too near.
func NoiseFloor(ctx context.Context, pairs int, draw func(k int) ([]float64, error), distance func(ctx context.Context, x, y []float64) (float64, error)) (*Floor, error) {
	if pairs < 2 {
		return nil, fmt.Errorf("metrics: a noise floor from %d pairs; want at least 2, for its standard error", pairs)
	}
	f := &Floor{}
	for k := range pairs {
		x, err := draw(2 * k)
		if err != nil {
			return nil, err
		}
		y, err := draw(2*k + 1)
		if err != nil {
			return nil, err
		}
		v, err := distance(ctx, x, y)
		if err != nil {
			return nil, err
		}
		f.Values = append(f.Values, v)
	}
	f.Mean = meanEstimate(f.Values)
	_, v := meanVar(f.Values)
	f.StdDev = math.Sqrt(v)
	f.Min, f.Max = slices.Min(f.Values), slices.Max(f.Values)
	return f, nil
}
