package classify

import (
	"math"
	"strings"
	"testing"

	"hbar/data"
)

// The gradient is that of the value, in units of another network than the classifier's; values are log probabilities.
func TestReward(t *testing.T) {
	set := bars(8, 32)
	m := trained(t, set, Options{Channels: []int{4, 8}, Features: 8, Steps: 40, Batch: 16, Rate: 5e-3, Workers: 1})
	norm := data.Normalisation{Mean: []float64{100}, Scale: []float64{60}}
	var p [2]float64
	x := make([]float64, 64)
	for i := range x {
		x[i] = math.Sin(float64(3 * i))
	}
	for class := range p {
		r, err := m.NewReward(class, 2, norm, set.Shape)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		p[class] = r.Value(x)
		g := make([]float64, 64)
		r.Grad(g, x)
		// along the gradient, where differences are largest; float32 leaves some 10⁻⁴ of them
		norm := 0.0
		for _, v := range g {
			norm += v * v
		}
		step := 0.02 / math.Sqrt(norm)
		move := func(s float64) float64 {
			y := make([]float64, 64)
			for i := range y {
				y[i] = x[i] + s*step*g[i]
			}
			return r.Value(y)
		}
		got := (move(1) - move(-1)) / (2 * step)
		if norm == 0 || math.Abs(got/norm-1) > 0.02 || r.Err() != nil {
			t.Errorf("class %d: slope along the gradient %g, its square is %g (%v)", class, got, norm, r.Err())
		}
	}
	if sum := math.Exp(p[0]/2) + math.Exp(p[1]/2); math.Abs(sum-1) > 1e-5 { // float32 logits
		t.Errorf("probabilities add up to %g", sum)
	}
	for want, f := range map[string]func() error{
		"knows 0 to 1": func() error { _, err := m.NewReward(2, 1, norm, set.Shape); return err },
		"of shape":     func() error { _, err := m.NewReward(0, 1, norm, []int{64}); return err },
		"finite":       func() error { _, err := m.NewReward(0, math.NaN(), norm, set.Shape); return err },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
