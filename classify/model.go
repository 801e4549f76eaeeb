package classify

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"hbar/data"
	"hbar/kernels/cpu"
	"hbar/nets"
	"hbar/program"
)

// Model is a trained classifier. Use it from one goroutine.
type Model struct {
	Config     nets.Classifier
	Norm       data.Normalisation // of the data that it was trained on, and of all that it judges
	ClassNames []string           // nil: the classes have numbers only
	Data       string             // name of the training set
	Options    Options            // of the training
	Test       *Test              // on data that it was not trained on; nil: unknown

	net *nets.Network
}

// Test is what a classifier was tested on, and how well it did.
type Test struct {
	Data     string     `json:"data"`
	Accuracy Proportion `json:"accuracy"`
}

// Judged are the results of a classifier for n samples.
type Judged struct {
	N        int
	Logits   []float32 // n×Classes
	Features []float64 // n×Config.Features
}

// Best is the class that the classifier gives to sample i.
func (j *Judged) Best(i int) int {
	k := len(j.Logits) / j.N
	best := 0
	for c, v := range j.Logits[i*k : (i+1)*k] {
		if v > j.Logits[i*k+best] {
			best = c
		}
	}
	return best
}

// Judge runs the classifier on samples in data units. Samples of another shape than that of the training and values that are not
// finite are errors. workers 0: GOMAXPROCS.
func (m *Model) Judge(ctx context.Context, set *data.Dataset, workers int, report func(done int)) (*Judged, error) {
	if err := m.fits(set); err != nil {
		return nil, err
	}
	team := cpu.NewTeam(workers)
	defer team.Close()
	x, err := cpu.NewExecutor(m.net.Program, team, cpu.Options{})
	if err != nil {
		return nil, err
	}
	params := map[string][]float32{}
	for i, p := range m.net.Params {
		params[p.Name] = m.net.Weights[i]
	}
	if err := x.SetParams(params); err != nil {
		return nil, err
	}
	n, d, k, f := set.N(), set.D, m.Config.Classes, m.Config.Features
	out := &Judged{N: n, Logits: make([]float32, n*k), Features: make([]float64, 0, n*f)}
	own := *set
	own.Norm = m.Norm
	const most = 256 // samples at a time
	in, features := make([]float32, most*d), make([]float32, most*f)
	for lo := 0; lo < n; lo += most {
		c := min(most, n-lo)
		for i := range c {
			own.NormalisedRow(in[i*d:(i+1)*d], lo+i)
		}
		if err := x.RunContext(ctx, &cpu.Batch{N: c, In: map[string][]float32{"x": in[:c*d]}, Out: map[string][]float32{"logits": out.Logits[lo*k : (lo+c)*k], "features": features[:c*f]}}); err != nil {
			return nil, err
		}
		for _, v := range features[:c*f] {
			out.Features = append(out.Features, float64(v))
		}
		if report != nil {
			report(lo + c)
		}
	}
	return out, nil
}

// fits checks that samples are of the kind that the classifier was trained on.
func (m *Model) fits(set *data.Dataset) error {
	if !program.SameShape(set.Shape, m.Config.Shape) {
		return fmt.Errorf("classify: %s has samples of shape %v; the classifier was trained on %v", set.Name, set.Shape, m.Config.Shape)
	}
	if set.N() == 0 {
		return errors.New("classify: there are no samples")
	}
	for i, v := range set.X {
		if v-v != 0 {
			return fmt.Errorf("classify: %s: sample %d has the value %g; leave such samples out", set.Name, i/set.D, v)
		}
	}
	return nil
}

// CheckUnits refuses images or sequences whose values are on another scale than those of the training: 0 … 1 in place
// of bytes, say, or bytes in place of 0 … 1.
func (m *Model) CheckUnits(set *data.Dataset) error {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, v := range set.X {
		lo, hi = min(lo, v), max(hi, v)
	}
	scale := m.Norm.Scale
	if len(m.Config.Shape) < 2 || len(scale) != 1 || !program.SameShape(set.Shape, m.Config.Shape) {
		return nil
	}
	// Values of the training's units lie within some scales. Of bytes in place of 0 … 1 most samples have a value hundreds of them away; a few
	// samples may, where a sampler diverged.
	const most = 100
	own, row, far := *set, make([]float32, set.D), 0
	own.Norm = m.Norm
	for i := range set.N() {
		own.NormalisedRow(row, i)
		if slices.ContainsFunc(row, func(v float32) bool { return v > most || v < -most }) {
			far++
		}
	}
	if 2*far > set.N() {
		return fmt.Errorf("classify: %s has values more than %d times as far from the mean as the scale of those that the classifier was trained on, %g: give samples in the same units", set.Name, most, scale[0])
	}
	if set.Bytes == nil && hi-lo < scale[0]/8 {
		return fmt.Errorf("classify: %s has values from %g to %g; the classifier was trained on values whose scale is %g: give samples in the same units", set.Name, lo, hi, scale[0])
	}
	return nil
}
