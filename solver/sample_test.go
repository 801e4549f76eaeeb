package solver

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hbar/kernels"
)

// gaussModel is gauss as a Model of any dimension, coordinates independent.
type gaussModel struct {
	gauss
	s Schedule
	d int
}

func (g gaussModel) Dim() int { return g.d }
func (g gaussModel) Score(_ context.Context, dst, x, t []float64) error {
	for i := range x {
		ti := t[0]
		if len(t) > 1 {
			ti = t[i/g.d]
		}
		c, b := g.score(g.s, ti)
		dst[i] = c*x[i] + b
	}
	return nil
}

// collect runs Sample and keeps everything.
func collect(t *testing.T, model Model, s Schedule, o Options) (x []float64, states [][]float64, r Result) {
	t.Helper()
	states = make([][]float64, len(o.Record))
	r, err := Sample(context.Background(), model, s, o, func(c Chunk) error {
		if c.Start*c.D != len(x) || len(c.X) != c.N*c.D {
			t.Errorf("chunk at %d of %d samples after %d numbers", c.Start, c.N, len(x))
		}
		x = append(x, c.X...)
		for i, v := range c.States {
			states[i] = append(states[i], v...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Samples != o.N || len(x) != o.N*model.Dim() {
		t.Errorf("%d samples, %d numbers; want %d samples", r.Samples, len(x), o.N)
	}
	return x, states, r
}

// ks is the Kolmogorov–Smirnov statistic √n sup|F_n − Φ| against N(0, 1).
func ks(x []float64) float64 {
	x = slices.Clone(x)
	slices.Sort(x)
	n := float64(len(x))
	var d float64
	for i, v := range x {
		f := math.Erfc(-v/math.Sqrt2) / 2
		d = max(d, f-float64(i)/n, float64(i+1)/n-f)
	}
	return d * math.Sqrt(n)
}

// ksLimit is passed by chance with probability 2·exp(−2·2.23²) = 10⁻⁴. The seeds are fixed: a failure is a change.
const ksLimit = 2.23

// The prior and the increments of the noise are standard normals, coordinate by coordinate, and unrelated between
// coordinates, steps and samples: |correlation| < 4.5/√n, which chance passes with probability 10⁻⁵.
func TestNoiseIsNormal(t *testing.T) {
	const n, d, steps = 4000, 3, 6
	s := named(t, "ve")               // ve: the prior has standard deviation 50
	flat := gaussModel{gauss{}, s, d} // its score is replaced below
	model := zeroScore{flat}
	times, err := GridTime.Times(s, steps)
	if err != nil {
		t.Fatal(err)
	}
	_, states, r := collect(t, model, s, Options{TableOptions: TableOptions{Steps: steps, H: 1}, N: n, Seed: 3, Record: times})
	var columns [][]float64
	for k := range states {
		for j := range d {
			col := make([]float64, n)
			for i := range col {
				if k == 0 {
					col[i] = states[0][i*d+j] / s.PriorStd()
				} else {
					row := r.Table.Rows[k-1]
					col[i] = (states[k][i*d+j] - row.State*states[k-1][i*d+j]) / row.Noise
				}
			}
			if v := ks(col); !(v < ksLimit) {
				t.Errorf("step %d coordinate %d: KS statistic %.2f", k, j, v)
			}
			columns = append(columns, col)
		}
	}
	limit := 4.5 / math.Sqrt(n) // standard errors of a correlation of independent columns
	for i, a := range columns {
		for _, b := range columns[:i] {
			if c := correlation(a, b); !(math.Abs(c) < limit) {
				t.Errorf("columns %d: correlation %.3f", i, c)
			}
		}
		if c := correlation(a[1:], a[:n-1]); !(math.Abs(c) < limit) {
			t.Errorf("column %d: correlation of neighbouring samples %.3f", i, c)
		}
	}
}

type zeroScore struct{ gaussModel }

func (zeroScore) Score(_ context.Context, dst, x, t []float64) error {
	clear(dst)
	return nil
}

func correlation(a, b []float64) float64 {
	var sa, sb, saa, sbb, sab float64
	for i := range a {
		sa, sb = sa+a[i], sb+b[i]
		saa, sbb, sab = saa+a[i]*a[i], sbb+b[i]*b[i], sab+a[i]*b[i]
	}
	n := float64(len(a))
	return (sab - sa*sb/n) / math.Sqrt((saa-sa*sa/n)*(sbb-sb*sb/n))
}

// The samples have the moments that the table's chain has exactly, whatever the method.
func TestSampleMoments(t *testing.T) {
	const n, d = 2000, 2
	g := gauss{0.7, 0.5}
	eachMethod(t, func(t *testing.T, s Schedule, m Sampler, h float64) {
		o := Options{TableOptions: TableOptions{Sampler: m, Grid: GridLambda, Steps: 12, H: h}, N: n, Seed: 11}
		x, _, r := collect(t, gaussModel{g, s, d}, s, o)
		if r.NonFinite != 0 || r.FirstNonFinite != -1 || r.Evaluations != 12*r.Table.Stride {
			t.Errorf("result %+v", r)
		}
		mean, std := g.chain(s, Prediction{}, r.Table)
		z := make([]float64, len(x))
		for i, v := range x {
			z[i] = (v - mean) / std
		}
		if v := ks(z); !(v < ksLimit) {
			t.Errorf("KS statistic %.2f against N(%v, %v²)", v, mean, std)
		}
	})
}

// Any chunk and any starting number give the same samples, and recording does not change them.
func TestSplits(t *testing.T) {
	g := gauss{0.7, 0.5}
	s := named(t, "cosine")
	model := gaussModel{g, s, 3}
	for i := range samplers {
		o := Options{TableOptions: TableOptions{Sampler: Sampler(i), Grid: GridLambda, Steps: 9, H: 0.5}, N: 37, Seed: 5, First: 1 << 40}
		want, _, _ := collect(t, model, s, o)
		for _, size := range []int{1, 5, 36, 37, 100} {
			c := o
			c.Chunk, c.Overlap = size, size%2 == 1
			c.Record = []float64{0.2, s.Tmin(), 0.7, s.Tmax()}
			got, states, r := collect(t, model, s, c)
			if !slices.Equal(got, want) {
				t.Errorf("%v: chunks of %d change the samples", Sampler(i), size)
			}
			if !slices.Equal(states[1], got) {
				t.Errorf("%v: the state recorded at Tmin is not the sample", Sampler(i))
			}
			for j, tt := range c.Record {
				for _, tk := range r.Table.Times {
					if math.Abs(tk-tt) < math.Abs(r.Recorded[j]-tt) {
						t.Errorf("recorded t = %v for %v; %v is nearer", r.Recorded[j], tt, tk)
					}
				}
			}
		}
		late := o
		late.First, late.N = o.First+20, 17
		got, _, _ := collect(t, model, s, late)
		if !slices.Equal(got, want[20*3:]) {
			t.Errorf("%v: samples 20 to 36 by themselves differ", Sampler(i))
		}
		other := o
		other.Seed++
		if got, _, _ := collect(t, model, s, other); got[0] == want[0] {
			t.Errorf("%v: another seed, the same sample", Sampler(i))
		}
	}
}

// counting is a model that counts how often it is asked.
type counting struct {
	gaussModel
	asked *atomic.Int64
}

func (m counting) Score(ctx context.Context, dst, x, t []float64) error {
	m.asked.Add(1)
	return m.gaussModel.Score(ctx, dst, x, t)
}

// With Overlap the next chunk is computed during a delivery: this one waits for it.
func TestOverlap(t *testing.T) {
	s := named(t, "simple")
	model := counting{gaussModel{gauss{0, 1}, s, 2}, new(atomic.Int64)}
	const steps, chunk, n = 2, 2, 6
	_, err := Sample(context.Background(), model, s, Options{TableOptions: TableOptions{Steps: steps}, N: n, Chunk: chunk, Overlap: true}, func(c Chunk) error {
		done := c.Start + c.N
		for end := time.Now().Add(10 * time.Second); done < n && model.asked.Load() <= int64(done/chunk*steps); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Error("the model is not asked while a chunk is delivered")
				break
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A recorded state is the state: the loop written out by hand passes through it.
func TestRecordedStates(t *testing.T) {
	s := named(t, "simple")
	g := gauss{0.7, 0.5}
	o := Options{TableOptions: TableOptions{Steps: 5}, N: 1, Seed: 2}
	times, err := GridTime.Times(s, 5)
	if err != nil {
		t.Fatal(err)
	}
	o.Record = times
	_, states, _ := collect(t, gaussModel{g, s, 1}, s, o)
	x := states[0][0]
	for k := range 5 {
		c, b := g.score(s, times[k])
		dt := times[k] - times[k+1]
		x -= dt * (s.Drift(times[k])*x - s.Diffusion2(times[k])/2*(c*x+b))
		if !(math.Abs(states[k+1][0]-x) < 1e-14) { // roundings of numbers of size one
			t.Errorf("state %d is %v, want %v", k+1, states[k+1][0], x)
		}
	}
}

// nanAt is a model that breaks for some samples.
type nanAt struct{ gaussModel }

func (m nanAt) Score(ctx context.Context, dst, x, t []float64) error {
	if err := m.gaussModel.Score(ctx, dst, x, t); err != nil {
		return err
	}
	for i := range dst {
		if x[i] > 1.5 {
			dst[i] = math.Inf(1)
		}
	}
	return nil
}

// Samples that are not finite are delivered and counted, never dropped.
func TestNonFinite(t *testing.T) {
	s := named(t, "simple")
	model := nanAt{gaussModel{gauss{0, 1}, s, 2}}
	x, _, r := collect(t, model, s, Options{TableOptions: TableOptions{Steps: 20, H: 1}, N: 200, Chunk: 64, Seed: 1})
	count, first := 0, -1
	for i := range 200 {
		if !finiteRowOf(x[2*i : 2*i+2]) {
			count++
			if first < 0 {
				first = i
			}
		}
	}
	if count == 0 || count == 200 || r.NonFinite != count || r.FirstNonFinite != first {
		t.Errorf("%d samples are not finite, first %d; reported %d, %d", count, first, r.NonFinite, r.FirstNonFinite)
	}
}

func TestSampleErrors(t *testing.T) {
	s := named(t, "simple")
	model := gaussModel{gauss{0, 1}, s, 2}
	full := errors.New("disk full")
	for _, overlap := range []bool{false, true} {
		for _, last := range []int{3, 10} {
			count := 0
			o := Options{TableOptions: TableOptions{Steps: 2}, N: 100, Chunk: 10, Overlap: overlap}
			r, err := Sample(context.Background(), model, s, o, func(c Chunk) error {
				if count++; count == last {
					return full
				}
				return nil
			})
			if !errors.Is(err, full) || r.Samples != 10*(last-1) {
				t.Errorf("overlap %t: error %v after %d samples; want the deliverer's after %d", overlap, err, r.Samples, 10*(last-1))
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	r, err := Sample(ctx, model, s, Options{N: 100, Chunk: 10}, func(c Chunk) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) || r.Samples != 10 {
		t.Errorf("error %v after %d samples; want context.Canceled after 10", err, r.Samples)
	}
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{N: -1}, "N = -1"},
		{Options{N: 1, Chunk: -1}, "Chunk = -1"},
		{Options{N: 2, First: math.MaxUint64}, "pass 2⁶⁴"},
		{Options{N: 1, Record: []float64{2}}, "cannot record at t = 2; the run goes from 1 to 0.01"},
		{Options{N: 1, Record: []float64{math.NaN()}}, "cannot record at t = NaN"},
		{Options{N: 1, TableOptions: TableOptions{H: -1}}, "h = -1"},
	} {
		_, err := Sample(context.Background(), model, s, c.o, func(Chunk) error { return nil })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want %s", c.o, err, c.want)
		}
	}
	rows := mustTable(t, s, Prediction{Target: PredictEDM}, TableOptions{Steps: 3}).Rows
	if err := Integrate64(context.Background(), model, make([]float64, 2), nil, rows, kernels.Noise{}, nil); err == nil || !strings.Contains(err.Error(), "not for the score") {
		t.Errorf("rows of another prediction: error %v", err)
	}
}

func ExampleSample() {
	s, _ := ParseSchedule("simple")
	model := gaussModel{gauss{mean: 0.7, variance: 0.5}, s, 1} // any Model
	var sum float64
	r, err := Sample(context.Background(), model, s, Options{
		TableOptions: TableOptions{Sampler: Exponential2, Grid: GridLambda, Steps: 50, H: 1},
		N:            10000,
	}, func(c Chunk) error {
		for _, x := range c.X {
			sum += x
		}
		return nil
	})
	fmt.Printf("%d samples, %d evaluations each, mean %.2f, error %v\n", r.Samples, r.Evaluations, sum/10000, err)
	// Output: 10000 samples, 50 evaluations each, mean 0.70, error <nil>
}
