package sequence

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hbar/dynamics"
	"hbar/nets"
)

// oscillator is a driven damped oscillator at equal steps, seen without noise: y_t = 2 r cos(θ) y_{t−1} − r² y_{t−2} + s ε.
func oscillator(n int, r, theta, s float64, seed uint64) *dynamics.Data {
	rng := rand.New(rand.NewPCG(seed, 1))
	rec := dynamics.Record{}
	a, b := 0.0, 0.0
	for i := range n + 200 {
		a, b = 2*r*math.Cos(theta)*a-r*r*b+s*rng.NormFloat64(), a
		if i >= 200 {
			rec.Times, rec.X = append(rec.Times, 0.5*float64(i-200)), append(rec.X, a)
		}
	}
	return &dynamics.Data{P: 1, Records: []dynamics.Record{rec}}
}

// The density of the next value of an autoregression of order two, which a linear memory can express, comes near its entropy on
// records that were not seen: ½ log(2πe s²) a value. With a learned encoder too.
func TestFitNumbers(t *testing.T) {
	data, held := oscillator(4000, 0.9, 0.6, 1, 1), oscillator(2000, 0.9, 0.6, 1, 2)
	entropy := math.Log(2*math.Pi*math.E) / 2
	for _, encoder := range []int{0, 8} {
		f, err := FitData(context.Background(), data, false, FitOptions{Net: nets.Memory{Kind: nets.Dissipative, Modes: 4, Width: 4, Encoder: encoder, Window: 32},
			Train: TrainOptions{Steps: 600, Batch: 16, Rate: 1e-2, Seed: 1}})
		if err != nil {
			t.Fatal(err)
		}
		l, _, err := f.LogLik(context.Background(), held)
		if err != nil {
			t.Fatal(err)
		}
		got := -l.LogLik / float64(l.Observations)
		// The mean of 2000 entropies has the standard error 0.016; five of them, for training has an error too. A memoryless Gaussian is 0.9 above.
		if l.Observations != 2000 || math.Abs(got-entropy) > 0.08 {
			t.Errorf("encoder %d: %.4f nats a value, the entropy is %.4f", encoder, got, entropy)
		}
	}
}

// What generate draws has the log density that LogLik gives it, through a file; gaps, symbols and several stretches too.
func TestGenerateLogLik(t *testing.T) {
	gaps := oscillator(300, 0.9, 0.6, 1, 3)
	gaps.Records[0].X[17] = math.NaN()
	symbols := &dynamics.Data{P: 3, Names: []string{"'a'", "'b'", "others"}, Records: []dynamics.Record{{}}}
	for i := range 300 {
		row := make([]float64, 3)
		row[i%3*i%3] = 1
		symbols.Records[0].X, symbols.Records[0].Times = append(symbols.Records[0].X, row...), append(symbols.Records[0].Times, float64(i))
	}
	for name, data := range map[string]*dynamics.Data{"numbers": oscillator(300, 0.9, 0.6, 1, 3), "gaps": gaps, "symbols": symbols} {
		f, err := FitData(context.Background(), data, name == "symbols", FitOptions{Net: nets.Memory{Kind: nets.Free, Modes: 3, Width: 4, MLP: true, Window: 16},
			Train: TrainOptions{Steps: 20, Batch: 4, Seed: 1}})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "model.json")
		if err := f.Save(path); err != nil {
			t.Fatal(err)
		}
		if f, err = Load(path); err != nil {
			t.Fatal(err)
		}
		const n = 2*stretch + 30
		records, lik, _, err := f.Generate(context.Background(), n, 7, 0, 3)
		if err != nil {
			t.Fatal(err)
		}
		for k := range records {
			l, _, err := f.LogLik(context.Background(), &dynamics.Data{P: data.P, Records: records[k : k+1]})
			// float32 in the network: 10⁻⁵ of n values
			if err != nil || math.Abs(l.LogLik-lik[k]) > 1e-5*n || l.Observations != n {
				t.Errorf("%s: log density %.6f of %d rows, as drawn %.6f (%v)", name, l.LogLik, l.Observations, lik[k], err)
			}
		}
		again, _, _, err := f.Generate(context.Background(), 40, 7, 2, 1)
		// float32 in the network, whose sums depend on the number of sequences, and forty steps that go on from what was drawn
		if err != nil || math.Abs(again[0].X[39]-records[2].X[39]) > 1e-4 && name != "symbols" {
			t.Errorf("%s: sequence 2 depends on what is drawn beside it (%v)", name, err)
		}
	}
}

func TestFitErrors(t *testing.T) {
	fit := func(data *dynamics.Data, window int) error {
		_, err := FitData(context.Background(), data, false, FitOptions{Net: nets.Memory{Kind: nets.Free, Modes: 1, Width: 1, Window: window}, Train: TrainOptions{Steps: 1}})
		return err
	}
	irregular := oscillator(50, 0.9, 0.6, 1, 1)
	irregular.Records[0].Times[7] += 0.13
	if err := fit(irregular, 8); err == nil || !strings.Contains(err.Error(), "--method ml takes any times") {
		t.Errorf("irregular times: %v", err)
	}
	if err := fit(oscillator(50, 0.9, 0.6, 1, 1), 50); err == nil || !strings.Contains(err.Error(), "no trajectory is longer than a window of 50") {
		t.Errorf("a short trajectory: %v", err)
	}
	path := filepath.Join(t.TempDir(), "model.json")
	if err := os.WriteFile(path, []byte(`{"format":"hbar dynamics 1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); !errors.Is(err, ErrOther) {
		t.Errorf("another file: %v", err)
	}
	if err := os.WriteFile(path, []byte(`{"format":"hbar dynamics sequence 1","note":"","net":{"kind":"free","inputs":1,"outputs":1,"modes":1,"width":1,"window":4},"scale":{"dt":1},"weights":{}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "parameter theta has 0 numbers; want 1") {
		t.Errorf("a file without weights: %v", err)
	}
}
