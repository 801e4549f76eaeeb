package metrics

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// normals are n×d standard normals.
func normals(seed uint64, n, d int) []float64 {
	r := rand.New(rand.NewPCG(seed, 1))
	x := make([]float64, n*d)
	for i := range x {
		x[i] = r.NormFloat64()
	}
	return x
}

func moved(x []float64, scale float64, shift ...float64) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = scale*v + shift[i%len(shift)]
	}
	return out
}

// near fails if got is not within tol of want; NaN fails.
func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol) {
		t.Errorf("%s = %.17g, want %.17g ± %.2g", what, got, want, tol)
	}
}

// golden is testdata/golden.json, written by make_golden.py.
type golden struct {
	W2 []struct {
		N, D         int
		Scale, Shift float64
		W2Squared    float64 `json:"w2_squared"`
	}
	Discrepancy []struct {
		N, M, D                int
		Energy, Bandwidth, MMD float64
	}
	Features []struct {
		N, M, D, Dead   int
		Frechet, Kernel float64
	}
	TP            float64 `json:"t_p"`
	WilcoxonP     float64 `json:"wilcoxon_p"`
	WilcoxonTiesP float64 `json:"wilcoxon_ties_p"`
}

func readGolden(t *testing.T) golden {
	t.Helper()
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	if len(g.W2) < 5 || len(g.Discrepancy) < 2 {
		t.Fatal("golden.json lacks cases")
	}
	return g
}

// points are those of make_golden.py.
func points(seed uint32, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		seed = seed*1664525 + 1013904223
		out[i] = float64(seed) / (1 << 32)
	}
	return out
}

func TestBadSamples(t *testing.T) {
	ctx := context.Background()
	nan := []float64{1, 2, 3, 4, math.NaN(), 6, 7, 8}
	good := []float64{1, 2, 3, 4, 5, 6, 7, 8}
	all := map[string]func(x, y []float64, d int) error{
		"W2":       func(x, y []float64, d int) error { _, err := W2(ctx, x, y, d); return err },
		"SlicedW2": func(x, y []float64, d int) error { _, err := SlicedW2(ctx, x, y, d, nil); return err },
		"MMD":      func(x, y []float64, d int) error { _, err := MMD(ctx, x, y, d, 1); return err },
		"Energy":   func(x, y []float64, d int) error { _, err := Energy(ctx, x, y, d); return err },
		"PermutationTest": func(x, y []float64, d int) error {
			_, err := PermutationTest(ctx, x, y, d, nil)
			return err
		},
	}
	for name, f := range all {
		for _, c := range []struct {
			x, y []float64
			d    int
			want string
		}{
			{good, nan, 2, "point 2 of the second sample has the coordinate NaN"},
			{moved(good, math.Inf(1), 0), good, 2, "point 0 of the first sample"},
			{good, good[:7], 2, "not a whole number"},
			{nil, good, 2, "not a whole number"},
			{good, good, 0, "d is 0"},
			{good[:2], good[:2], 2, "want at least"},
		} {
			if name == "MMD" || name == "Energy" {
				c.want = strings.Replace(c.want, "want at least", "fewer than three", 1)
			}
			if err := f(c.x, c.y, c.d); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", name, err, c.want)
			}
		}
	}
	for _, name := range []string{"W2", "SlicedW2"} {
		if err := all[name](good, good[:6], 2); err == nil || !strings.Contains(err.Error(), "samples of 4 and 3 points") {
			t.Errorf("%s of unequal samples: %v", name, err)
		}
	}
	if _, err := SlicedW2(ctx, good, good, 2, &SlicedOptions{Directions: 1}); err == nil {
		t.Error("SlicedW2 with one direction: no error")
	}
	if _, err := MMD(ctx, make([]float64, 8), make([]float64, 8), 2, 0); err == nil || !strings.Contains(err.Error(), "bandwidth") {
		t.Errorf("MMD of equal points: %v", err)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	x, y := normals(1, 200, 2), normals(2, 200, 2)
	if _, err := W2(ctx, x, y, 2); err != context.Canceled {
		t.Errorf("W2: %v", err)
	}
	if _, err := SlicedW2(ctx, x, y, 2, nil); err != context.Canceled {
		t.Errorf("SlicedW2: %v", err)
	}
	if _, err := Energy(ctx, x, y, 2); err != context.Canceled {
		t.Errorf("Energy: %v", err)
	}
	if _, err := PermutationTest(ctx, x, y, 2, nil); err != context.Canceled {
		t.Errorf("PermutationTest: %v", err)
	}
}

func TestEstimateJSON(t *testing.T) {
	b, err := json.Marshal(Estimate{1.5, math.NaN(), math.Inf(-1), 2})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"value":1.5,"stderr":null,"lo":null,"hi":2}`; string(b) != want {
		t.Errorf("%s, want %s", b, want)
	}
}
