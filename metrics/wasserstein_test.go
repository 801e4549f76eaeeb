package metrics

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

var ctx = context.Background()

func TestW2AgainstScipy(t *testing.T) {
	for _, c := range readGolden(t).W2 {
		x := points(1, c.N*c.D)
		y := moved(points(2, c.N*c.D), c.Scale, c.Shift)
		w, err := W2(ctx, x, y, c.D)
		if err != nil {
			t.Fatal(err)
		}
		near(t, fmt.Sprintf("W2² of n %d, d %d", c.N, c.D), w.W2Squared.Value, c.W2Squared, 1e-13*c.W2Squared+1e-15) // sums of n terms
		near(t, "W2", w.W2.Value, math.Sqrt(c.W2Squared), 1e-14*math.Sqrt(c.W2Squared)+1e-15)
	}
}

// bruteForce is the least mean cost over all matchings.
func bruteForce(x, y []float64, d int) float64 {
	n := len(x) / d
	perm := make([]int, n)
	for i := range perm {
		perm[i] = i
	}
	best := math.Inf(1)
	var walk func(k int, cost float64)
	walk = func(k int, cost float64) {
		if k == n {
			best = min(best, cost)
			return
		}
		for q := k; q < n; q++ {
			perm[k], perm[q] = perm[q], perm[k]
			var c float64
			for j := range d {
				r := x[k*d+j] - y[perm[k]*d+j]
				c += r * r
			}
			walk(k+1, cost+c)
			perm[k], perm[q] = perm[q], perm[k]
		}
	}
	walk(0, 0)
	return best / float64(n)
}

func TestW2AgainstAllMatchings(t *testing.T) {
	for n := 2; n <= 7; n++ {
		for d := 1; d <= 3; d++ {
			for rep := range 4 {
				x, y := normals(uint64(10*n+rep), n, d), normals(uint64(1000+10*n+rep), n, d)
				if rep == 3 { // ties
					for i := range x {
						x[i], y[i] = math.Round(x[i]), math.Round(y[i])
					}
				}
				w, err := W2(ctx, x, y, d)
				if err != nil {
					t.Fatal(err)
				}
				near(t, fmt.Sprintf("n %d, d %d, W2²", n, d), w.W2Squared.Value, bruteForce(x, y, d), 1e-14) // sums of few terms
			}
		}
	}
}

// certificate checks that the matching is one to one and optimal by duality: u_i + v_j ≤ c_ij everywhere, and equal on
// the matched pairs.
func certificate(t *testing.T, what string, x, y []float64, d int, a *assignment) {
	t.Helper()
	n := len(x) / d
	seen := make([]bool, n)
	row := make([]float64, n)
	for i, j := range a.toCol {
		if j < 0 || seen[j] {
			t.Fatalf("%s: not a matching: row %d has column %d", what, i, j)
		}
		seen[j] = true
		squaredDistances(row, x[i*d:(i+1)*d], y)
		for q, c := range row {
			tol := 1e-10 * (c + math.Abs(a.u[i]) + math.Abs(a.v[q])) // roundings of potentials that were moved a thousand times
			if !(a.u[i]+a.v[q] <= c+tol) {
				t.Fatalf("%s: u[%d] + v[%d] = %g exceeds the cost %g", what, i, q, a.u[i]+a.v[q], c)
			}
			if q == j && !(a.u[i]+a.v[q] >= c-tol) {
				t.Fatalf("%s: matched pair %d, %d: u + v = %g, cost %g", what, i, j, a.u[i]+a.v[q], c)
			}
		}
	}
}

// Clouds on which an assignment method may stumble: clusters, duplicates, grids, order, far apart, unequal scales.
func TestAssignmentIsOptimal(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	const n = 600
	same := make([]float64, 2*n)
	grid, sorted, clusters, few, line := make([]float64, 2*n), normals(1, n, 2), make([]float64, 2*n), make([]float64, 2*n), make([]float64, 2*n)
	for i := range n {
		grid[2*i], grid[2*i+1] = float64(i%25), float64(i/25)
		k := r.IntN(25)
		clusters[2*i], clusters[2*i+1] = 2*float64(k%5)+0.05*r.NormFloat64(), 2*float64(k/5)+0.05*r.NormFloat64()
		few[2*i], few[2*i+1] = float64(r.IntN(3)), float64(r.IntN(2))
		line[2*i] = float64(i)
	}
	slices.Sort(sorted)
	outlier := normals(3, n, 2)
	outlier[5] = 1e6
	for _, c := range []struct {
		name string
		x, y []float64
		d    int
	}{
		{"normal", normals(1, n, 2), normals(2, n, 2), 2},
		{"d = 3", normals(1, n, 3), normals(2, n, 3), 3},
		{"d = 40", normals(1, 300, 40), normals(2, 300, 40), 40},
		{"odd size", normals(1, 257, 2), normals(2, 257, 2), 2},
		{"narrow", normals(1, n, 2), moved(normals(2, n, 2), 1e-3, 0), 2},
		{"far", normals(1, n, 2), moved(normals(2, n, 2), 1, 1e6, -1e6), 2},
		{"equal", clusters, clusters, 2},
		{"one point", same, moved(same, 1, 1, 2), 2},
		{"one point against many", same, normals(2, n, 2), 2},
		{"grid", grid, grid, 2},
		{"grid against normal", grid, normals(2, n, 2), 2},
		{"few values", few, few, 2},
		{"few values against clusters", few, clusters, 2},
		{"collapsed cluster", clusters, moved(clusters, 0, 4, 4), 2},
		{"sorted", sorted, normals(2, n, 2), 2},
		{"outlier", outlier, normals(2, n, 2), 2},
		{"line", line, moved(line, 0.5, 3), 2},
		{"tiny", moved(normals(1, n, 2), 1e-150, 0), moved(normals(2, n, 2), 1e-150, 0), 2},
	} {
		a, err := assign(ctx, cloud{len(c.x) / c.d, c.d, c.x, c.y})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		certificate(t, c.name, c.x, c.y, c.d, a)
	}
	x, y := normals(1, 500, 1), moved(normals(2, 500, 1), 0.3, 1)
	certificate(t, "d = 1", x, y, 1, assignSorted(x, y))
	x, y = []float64{2, 1, 1, 1, 2}, []float64{3, 0, 3, 3, 0}
	certificate(t, "d = 1, ties", x, y, 1, assignSorted(x, y))
}

// A translation moves every point by the shift: W2 = |shift|.
func TestW2OfTranslation(t *testing.T) {
	x := normals(5, 400, 3)
	y := moved(x, 1, 3, -4, 12)
	// In another order.
	for i := 0; i < len(y)/2; i += 3 {
		j := len(y) - 3 - i
		for k := range 3 {
			y[i+k], y[j+k] = y[j+k], y[i+k]
		}
	}
	w, err := W2(ctx, x, y, 3)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "W2", w.W2.Value, 13, 1e-13) // rounding of sums of n equal terms
	near(t, "W2²", w.W2Squared.Value, 169, 1e-12)
	s, err := SlicedW2(ctx, x, y, 3, &SlicedOptions{Directions: 2000})
	if err != nil {
		t.Fatal(err)
	}
	// E (θ·shift)² = |shift|²/3; four of its own standard errors, which are of the directions alone here.
	near(t, "sliced W2²", s.W2Squared.Value, 169.0/3, 4*s.W2Squared.StdErr)
	if s.W2Squared.StdErr > 2 {
		t.Errorf("sliced W2²: standard error %g, want about 169·√(4/45)/√2000 = 1.1", s.W2Squared.StdErr)
	}
}

// In one dimension, for N(0,1) against N(1, 4), W2² = 1 + 1.
func TestW2OfGaussians(t *testing.T) {
	x, y := normals(1, 20000, 1), moved(normals(2, 20000, 1), 2, 1)
	w, err := W2(ctx, x, y, 1)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "W2²", w.W2Squared.Value, 2, 4*w.W2Squared.StdErr)
	if w.W2Squared.StdErr > 0.05 { // else the comparison would say little
		t.Errorf("standard error %g", w.W2Squared.StdErr)
	}
	s, err := SlicedW2(ctx, x, y, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "sliced W2² in one dimension", s.W2Squared.Value, w.W2Squared.Value, 1e-12) // rounding of sums of 20000 terms, over a thousand directions
	near(t, "its standard error", s.W2Squared.StdErr, w.W2Squared.StdErr, 1e-14)
}

// coverage repeats an estimate on fresh samples and returns the mean, and how often the interval holds the mean.
func coverage(t *testing.T, reps int, estimate func(seed uint64) Estimate) (mean, share float64) {
	t.Helper()
	var es []Estimate
	for k := range reps {
		e := estimate(uint64(k))
		es = append(es, e)
		mean += e.Value / float64(reps)
	}
	for _, e := range es {
		if e.Lo <= mean && mean <= e.Hi {
			share += 1 / float64(reps)
		}
	}
	return mean, share
}

// 300 repetitions of a 95 % interval: the share has a standard deviation of 1.3 %; the plug-in variance brings a few more.
const (
	coverageReps = 300
	coverageLow  = 0.90
	coverageHigh = 0.99
)

func TestW2IntervalCovers(t *testing.T) {
	const n = 150
	_, share := coverage(t, coverageReps, func(seed uint64) Estimate {
		w, err := W2(ctx, normals(2*seed, n, 2), moved(normals(2*seed+1, n, 2), 0.5, 1, 0), 2)
		if err != nil {
			t.Fatal(err)
		}
		return w.W2Squared
	})
	if share < coverageLow || share > coverageHigh {
		t.Errorf("W2²: the 95 %% interval covers in %.0f %% of repetitions", 100*share)
	}
	_, share = coverage(t, coverageReps, func(seed uint64) Estimate {
		w, err := SlicedW2(ctx, normals(2*seed, n, 2), moved(normals(2*seed+1, n, 2), 0.5, 1, 0), 2, &SlicedOptions{Directions: 64, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		return w.W2Squared
	})
	if share < coverageLow || share > coverageHigh {
		t.Errorf("sliced W2²: the 95 %% interval covers in %.0f %% of repetitions", 100*share)
	}
}

func TestSameForAnyNumberOfCPUs(t *testing.T) {
	x, y := normals(1, 300, 2), moved(normals(2, 300, 2), 0.8, 0.2)
	results := func() string {
		w, err := W2(ctx, x, y, 2)
		if err != nil {
			t.Fatal(err)
		}
		s, err := SlicedW2(ctx, x, y, 2, nil)
		if err != nil {
			t.Fatal(err)
		}
		m, err := MMD(ctx, x, y, 2, 0)
		if err != nil {
			t.Fatal(err)
		}
		p, err := PermutationTest(ctx, x, y, 2, nil)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(*w, *s, *m, *p)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	one := results()
	runtime.GOMAXPROCS(7)
	if seven := results(); seven != one {
		t.Errorf("results differ:\n%s\n%s", one, seven)
	}
}

func BenchmarkW2(b *testing.B) {
	for _, n := range []int{1000, 3000} {
		x, y := normals(1, n, 2), moved(normals(2, n, 2), 0.7, 0.3)
		b.Run(fmt.Sprintf("n=%d/d=2", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := W2(ctx, x, y, 2); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
