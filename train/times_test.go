package train

import (
	"math"
	"strings"
	"testing"

	"hbar/data"
	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/solver"
)

// parts are what the options of a test make.
func parts(t *testing.T, o Options) (Options, solver.Schedule, solver.Prediction, solver.Weighting) {
	t.Helper()
	o = o.WithDefaults()
	s, err := solver.NewSchedule(o.Schedule, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.prediction(0.7)
	if err != nil {
		t.Fatal(err)
	}
	w, err := solver.ParseWeighting(o.Weight)
	if err != nil {
		t.Fatal(err)
	}
	return o, s, p, w
}

// The targets of the network are those of denoising score matching: with the exact score of one data point, −z/σ at
// x_t = α x0 + σ z, the loss vanishes; with an error e of the score, it is w(t) e².
func TestExampleIsScoreMatching(t *testing.T) {
	for _, schedule := range solver.ScheduleNames() {
		for _, prediction := range solver.PredictionNames() {
			for _, weight := range solver.WeightingNames() {
				o, s, p, w := parts(t, Options{Schedule: schedule, Prediction: prediction, Weight: weight, Times: TimesUniform})
				_ = o
				tt := s.TimeOfLambda(0.3)
				c := p.Train(s, w, tt)
				e := newExample(c, 1)
				x0, z, wrong := 0.8, -1.3, 0.01
				xt := s.Alpha(tt)*x0 + s.Sigma(tt)*z
				cin, P, Q, tau := p.Coeffs(s, tt)
				if in := float64(e.x0)*x0 + float64(e.z)*z; math.Abs(in-cin*xt) > 2e-7*math.Abs(cin)*(math.Abs(x0)+math.Abs(z)) /* two roundings of float32 */ || e.tau != tau {
					t.Errorf("%s %s %s: input %g at τ = %g, want %g at %g", schedule, prediction, weight, in, e.tau, cin*xt, tau)
				}
				score := -z/s.Sigma(tt) + wrong
				net := (score - P*xt) / Q
				diff := net - (float64(e.targetX0)*x0 + float64(e.targetZ)*z)
				loss, want := float64(e.weight)*diff*diff, w.Weight(s, p, tt)*wrong*wrong
				// Targets are float32: an error of 1e-7 of them against a difference of wrong/Q.
				if tol := 2e-4 * (1 + math.Abs(float64(e.targetX0)) + math.Abs(float64(e.targetZ))) * math.Max(1, math.Abs(Q)); math.Abs(loss-want) > tol*want {
					t.Errorf("%s %s %s: loss %g, want w e² = %g", schedule, prediction, weight, loss, want)
				}
			}
		}
	}
}

// Importance sampling keeps the mean of the weighted examples and lowers the variance of the loss.
func TestImportanceIsUnbiased(t *testing.T) {
	for _, mode := range []string{TimesGrid, TimesUniform} {
		for _, schedule := range []string{"simple", "cosine"} {
			o, s, p, w := parts(t, Options{Schedule: schedule, Times: mode})
			plain := newTimes(o, s, p, w, 0.7)
			o.Importance = true
			drawn := newTimes(o, s, p, w, 0.7)
			// A fine grid of u makes the mean an integral: no chance in it. f is the loss of the linear score, and 1.
			const n = 1 << 18
			mean := func(d times) (one, tau, loss, square float64) {
				for i := range n {
					e := d.draw((float64(i) + 0.5) / n)
					l := linearLoss(s, p, w, 0.7, e.tau)                 // without the ratio
					r := float64(e.weight) / p.Train(s, w, e.tau).Weight // the ratio
					one += r / n
					tau += r * e.tau / n
					loss += r * l / n
					square += r * l * r * l / n
				}
				return
			}
			one0, tau0, loss0, sq0 := mean(plain)
			one1, tau1, loss1, sq1 := mean(drawn)
			const tol = 2e-3 // cells of 1/1000 cut by the grid of u, ratios up to 10, float32 weights
			for _, v := range []struct {
				name string
				a, b float64
			}{{"1", one1, 1}, {"1 (plain)", one0, 1}, {"t", tau1, tau0}, {"the loss", loss1, loss0}} {
				if !(math.Abs(v.a-v.b) <= tol*math.Abs(v.b)) {
					t.Errorf("%s %s: mean of %s is %g, want %g", mode, schedule, v.name, v.a, v.b)
				}
			}
			if v0, v1 := sq0-loss0*loss0, sq1-loss1*loss1; !(v1 < 0.2*v0) { // importance sampling would make it 0; the cells of its table leave some
				t.Errorf("%s %s: variance over t %g with importance sampling, %g without", mode, schedule, v1, v0)
			}
		}
	}
}

// EDM's times: mean −1.2 and deviation 1.2 of log σ.
func TestLogNormalTimes(t *testing.T) {
	o, s, p, w := parts(t, Options{Schedule: "edm"})
	d := newTimes(o, s, p, w, 0.5)
	const n = 1 << 16
	mean, square := 0.0, 0.0
	for i := range n {
		l := 4 * d.draw((float64(i)+0.5)/n).tau // EDM's time input is log(σ)/4
		mean += l / n
		square += l * l / n
	}
	// The cut at σ = 0.002 and 80, 4.2 and 4.7 deviations out, moves neither by a thousandth.
	if std := math.Sqrt(square - mean*mean); math.Abs(mean+1.2) > 2e-3 || math.Abs(std-1.2) > 2e-3 {
		t.Errorf("log σ has mean %.4f and deviation %.4f, want -1.2 and 1.2", mean, std)
	}
	for _, u := range []float64{0, 1 - 0x1p-53} {
		if e := d.draw(u); math.IsNaN(e.tau) || math.IsInf(float64(e.weight), 0) {
			t.Errorf("example %+v at u = %g", e, u)
		}
	}
}

// fill draws rows lo … hi−1 of a batch by a worker.
func fill(b *batches, step int64, lo, hi, worker int) *fit.Tile {
	n := hi - lo
	tile := &fit.Tile{Step: step, Lo: lo, Hi: hi, Worker: worker, X: make([]float32, n*b.d), Tau: make([]float64, n),
		Target: make([]float32, n*b.d), Weight: make([]float32, n)}
	b.Fill(tile)
	return tile
}

// Rows do not depend on the tile, and the numbers behind them are those that the package documents.
func TestBatchRows(t *testing.T) {
	for _, d := range []int{1, 2, 5, 64} {
		o, s, p, w := parts(t, Options{Batch: 50, Workers: 2, Seed: 9, Prediction: "eps"})
		x := make([]float32, 37*d)
		for i := range x {
			x[i] = float32(i)
		}
		b := newBatches(x, d, o, newTimes(o, s, p, w, 1))
		whole := fill(b, 4, 0, 50, 0)
		part := fill(b, 4, 20, 33, 1)
		for i := range 13 {
			if part.Tau[i] != whole.Tau[20+i] || part.Weight[i] != whole.Weight[20+i] {
				t.Errorf("d = %d: row %d depends on the tile", d, 20+i)
			}
		}
		for i, v := range part.X {
			if v != whole.X[20*d+i] {
				t.Errorf("d = %d: input %d depends on the tile", d, i)
			}
		}
		// With ε prediction the target is the noise itself: the normals of sample 4·50 + row, step 0.
		z := make([]float32, 50*d)
		kernels.Normals(z, kernels.Noise{Seed: 9, Stream: kernels.StreamBatch, Sample0: 200}, 0, 50, d)
		for i, v := range whole.Target {
			if v != z[i] {
				t.Fatalf("d = %d: target %d is %g, want the normal %g", d, i, v, z[i])
			}
		}
		// Input and noise give the data row back.
		for i := range 50 {
			tt := whole.Tau[i]
			x0 := (float64(whole.X[i*d]) - s.Sigma(tt)*float64(z[i*d])) / s.Alpha(tt)
			if row := x0 / float64(d); s.Alpha(tt) > 0.1 && math.Abs(row-math.Round(row)) > 1e-2 {
				t.Errorf("d = %d: row %d comes from no data row: %g", d, i, row)
			}
		}
	}
}

// Data rows and grid points are drawn with equal frequency.
func TestBatchIsUniform(t *testing.T) {
	o, s, p, w := parts(t, Options{Batch: 1 << 16, GridPoints: 16})
	x := make([]float32, 8)
	for i := range x {
		x[i] = float32(i)
	}
	b := newBatches(x, 1, o, newTimes(o, s, p, w, 1))
	b.times = uniformCopy{} // x itself, so that the row can be read off
	tile := fill(b, 0, 0, 1<<16, 0)
	rows := make([]float64, 8)
	points := make([]float64, 16)
	for i := range tile.X {
		rows[int(tile.X[i])]++
		points[int(tile.Tau[i]*16)]++
	}
	for _, c := range []struct {
		name  string
		count []float64
		limit float64
	}{{"rows", rows, 24.3}, {"times", points, 37.7}} { // χ² at probability 10⁻³ for 7 and 15 degrees of freedom
		want, chi := float64(1<<16)/float64(len(c.count)), 0.0
		for _, n := range c.count {
			chi += (n - want) * (n - want) / want
		}
		if chi > c.limit {
			t.Errorf("%s: χ² = %.1f > %.1f", c.name, chi, c.limit)
		}
	}
}

// uniformCopy passes the data through and makes u the time.
type uniformCopy struct{}

func (uniformCopy) draw(u float64) example   { return example{x0: 1, weight: 1, tau: u} }
func (uniformCopy) table() kernels.TimeTable { panic("not asked for") }

// What devices draw times from agrees with what the CPU does: bit for bit on a grid, else to a part of the rounding to
// float32 that follows.
func TestTable(t *testing.T) {
	for _, c := range []struct {
		o   Options
		tol float64
	}{
		{Options{Times: TimesGrid, GridPoints: 300}, 0}, {Options{Times: TimesGrid, Importance: true}, 0},
		{Options{Times: TimesUniform}, 1e-9}, {Options{Times: TimesUniform, Importance: true}, 1e-9}, {Options{Times: TimesLogNormal}, 1e-9},
	} {
		for _, schedule := range solver.ScheduleNames() {
			for _, prediction := range solver.PredictionNames() {
				for _, weight := range solver.WeightingNames() {
					tol := c.tol
					if tol > 0 && strings.HasPrefix(schedule, "ddpm") {
						// log α has a thousand kinks, where g² jumps by up to a fifth; the table rounds them off
						if tol = 2e-3; weight == "g2" {
							tol = 0.15
						}
					}
					o := c.o
					o.Schedule, o.Prediction, o.Weight = schedule, prediction, weight
					o, s, p, w := parts(t, o)
					times := newTimes(o, s, p, w, 0.7)
					table := times.table()
					guide := table.Guide()
					worst := 0.0
					for i := range 1000 {
						u := (float64(i) + 0.5) / 1000
						if i%2 == 1 {
							_, u = kernels.Choose(1, uint64(i), 1)
						}
						got, e := table.At(u), times.draw(u)
						for q, want := range e.coefficients() {
							v := got[q]
							if q != kernels.CoefTau {
								// at most the rounding of want itself
								v -= math.Copysign(math.Min(math.Abs(v-want), math.Abs(want)*0x1p-24), v-want)
							}
							worst = math.Max(worst, math.Abs(v-want)/math.Max(math.Abs(want), 1e-30))
						}
						if guide == nil {
							continue
						}
						k, _ := kernels.Cell(table.Cumulative, u)
						if from := int(guide[int(u*float64(len(guide)))]); from > k || k-from > 12 {
							t.Errorf("%s: the search for cell %d begins at %d", o.Times, k, from)
						}
					}
					if !(worst <= tol) {
						t.Errorf("%s %s %s %s: coefficients differ by %.2g, want at most %g", o.Times, schedule, prediction, weight, worst, tol)
					}
				}
			}
		}
	}
}

// The table of times that other executors get gives the times that are drawn here, to the last bit where times are on a grid.
func TestDescribe(t *testing.T) {
	const n, d = 50, 3
	o, s, p, w := parts(t, Options{Batch: n, Seed: 1<<33 + 1, Importance: true, Prediction: "v"})
	x := make([]float32, 7*d)
	for i := range x {
		x[i] = float32(i) / 10
	}
	src := newBatches(x, d, o, newTimes(o, s, p, w, 1))
	tile, b := fill(src, 4, 0, n, 0), src.describe()
	z := make([]float32, n*d)
	kernels.Normals(z, kernels.Noise{Seed: b.Seed, Stream: kernels.StreamBatch, Sample0: 4 * n}, 0, n, d)
	for i := range n {
		row, u := kernels.Choose(b.Seed, uint64(4*n+i), uint64(len(b.X)/d))
		c := b.Times.At(u)
		for j := range d {
			in := float32(c[kernels.CoefX0])*b.X[row*d+uint64(j)] + float32(c[kernels.CoefZ])*z[i*d+j]
			target := float32(c[kernels.CoefTargetX0])*b.X[row*d+uint64(j)] + float32(c[kernels.CoefTargetZ])*z[i*d+j]
			if in != tile.X[i*d+j] || target != tile.Target[i*d+j] {
				t.Errorf("row %d: input %v and target %v, want %v and %v", i, in, target, tile.X[i*d+j], tile.Target[i*d+j])
			}
		}
		if float32(c[kernels.CoefWeight]) != tile.Weight[i] || c[kernels.CoefTau] != tile.Tau[i] {
			t.Errorf("row %d: weight %v, time %v, want %v, %v", i, c[kernels.CoefWeight], c[kernels.CoefTau], tile.Weight[i], tile.Tau[i])
		}
	}
}

func BenchmarkFill(b *testing.B) {
	set, err := data.ByName("swissroll", 3000, 0)
	if err != nil {
		b.Fatal(err)
	}
	for _, mode := range []struct {
		name string
		o    Options
	}{{"grid", Options{}}, {"grid/importance", Options{Importance: true}}, {"uniform", Options{Times: TimesUniform}}} {
		b.Run(mode.name, func(b *testing.B) {
			o := mode.o.WithDefaults()
			s, _ := solver.ParseSchedule("simple")
			src := newBatches(set.Normalised(), 2, o, newTimes(o, s, solver.Prediction{}, solver.WeightG2, 1))
			tile := &fit.Tile{Hi: 32, X: make([]float32, 64), Tau: make([]float64, 32), Target: make([]float32, 64), Weight: make([]float32, 32)}
			b.ReportAllocs()
			for b.Loop() {
				tile.Step++
				src.Fill(tile)
			}
			b.ReportMetric(32*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// The loss of a network that says zero is the mean over batches of the weight times the squared target.
func TestZeroLoss(t *testing.T) {
	set, err := data.ByName("swissroll", 500, 0)
	if err != nil {
		t.Fatal(err)
	}
	x := set.Normalised()
	_, stats, err := Options{}.look(set)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{{}, {Importance: true}, {Prediction: "x0"}, {Prediction: "v"}, {Prediction: "edm", Times: TimesUniform, Importance: true}, {Schedule: "edm"}} {
		o = o.WithDefaults()
		s, err := solver.NewSchedule(o.Schedule, nil)
		if err != nil {
			t.Fatal(err)
		}
		p, err := o.prediction(stats.deviation)
		if err != nil {
			t.Fatal(err)
		}
		w, err := solver.ParseWeighting(o.Weight)
		if err != nil {
			t.Fatal(err)
		}
		dist := newTimes(o, s, p, w, stats.deviation)
		b := newBatches(x, 2, o, dist)
		const n = 20000
		tile := fill(b, 0, 0, n, 0)
		values := make([]float64, n)
		mean := 0.0
		for i := range values {
			for _, v := range tile.Target[2*i : 2*i+2] {
				values[i] += float64(tile.Weight[i]) * float64(v) * float64(v) / 2
			}
			mean += values[i] / n
		}
		square := 0.0
		for _, v := range values {
			square += (v - mean) * (v - mean) / n
		}
		if got, e := zeroLoss(dist, stats.square), math.Sqrt(square/n); math.Abs(got-mean) > 4*e {
			t.Errorf("%s, %s, times %s: %g, batches give %g ± %g", o.Schedule, o.Prediction, o.Times, got, mean, e)
		}
	}
}

// The moments of bytes, by counting, are those of the numbers that they become.
func TestMomentsOfBytes(t *testing.T) {
	set := &data.Dataset{D: 3, Shape: []int{1, 3, 1}, Bytes: []byte{0, 3, 255, 9, 9, 17, 200, 201, 3}, Norm: data.BytesNormalisation()}
	print, got, err := Options{}.look(set)
	if err != nil {
		t.Fatal(err)
	}
	plain := &data.Dataset{D: 3, Shape: set.Shape, X: set.Values(), Norm: set.Norm}
	same, want, err := Options{}.look(plain)
	const rounding = 1e-15 // of sums of nine numbers of size one
	if err != nil || math.Abs(got.deviation-want.deviation) > rounding || math.Abs(got.square-want.square) > rounding || print != same {
		t.Errorf("%+v, %s, want %+v, %s, %v", got, print, want, same, err)
	}
	set.Bytes = []byte{7, 7, 7}
	if _, _, err := (Options{}).look(set); err == nil {
		t.Error("equal bytes are no error")
	}
	// The deviation of numbers about 10⁶ that differ by 1 is that of the differences. float32 holds these exactly.
	far := &data.Dataset{D: 1, Shape: []int{1}, X: []float64{1e6, 1e6 + 1, 1e6 + 1, 1e6 + 2}, Norm: data.Normalisation{Mean: []float64{0}, Scale: []float64{1}}}
	if _, got, err := (Options{}).look(far); err != nil || math.Abs(got.deviation-math.Sqrt(0.5)) > rounding {
		t.Errorf("deviation %v, want √½; %v", got.deviation, err)
	}
	far.X = []float64{1e6, 1e6, 1e6}
	if _, _, err := (Options{}).look(far); err == nil {
		t.Error("equal numbers are no error")
	}
}
