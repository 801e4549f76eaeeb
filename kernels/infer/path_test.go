package infer

import (
	"math"
	"slices"
	"testing"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// logNormal is the log density of N(mean, sd²) summed over coordinates.
func logNormal(x, mean []float64, sd float64) float64 {
	s := 0.0
	for j := range x {
		r := (x[j] - mean[j]) / sd
		s -= r*r/2 + math.Log(sd) + math.Log(2*math.Pi)/2
	}
	return s
}

// pathRows has different variances of proposal and reverse step, and coefficients that float32 rounds.
func pathRows(n, d int) []kernels.PathRow {
	rows := make([]kernels.PathRow, n+1)
	for k := range rows {
		f := float64(k)
		rows[k] = kernels.PathRow{Tau: 0.1 + f/10, Cin: 1 / (1 + f/7), State: 0.99, Net: 0.03, Noise: 0.1 + 0.013*f, ReverseState: 1.01, ReverseNet: 0.02, Step: uint32(k)}
		if k > 0 {
			r := 0.11 + 0.012*(f-1) // the reverse step's deviation
			rows[k].ReversePrecision = 1 / (r * r)
			rows[k].LogNorm = float64(d) * math.Log(rows[k-1].Noise/r)
		}
	}
	return rows
}

// The weights against the densities of the float32 path itself, which Trajectory reproduces step by step.
func TestPathWeights(t *testing.T) {
	each(t, func(t *testing.T, im *simd.Impl) {
		for _, s := range shapes {
			d := s.d
			e := newEngine(t, s.program(), Options{Impl: im, Workers: 2, Tile: 3})
			const n, steps = 7, 5
			rows := pathRows(steps, d)
			no := kernels.Noise{Seed: 3, Stream: kernels.StreamPath, Sample0: 11}
			x0, _ := points(n, d)
			path := [][]float32{narrow(x0)}
			nets := make([][]float32, steps+1)
			for k, r := range rows {
				nets[k] = make([]float32, n*d)
				// net(Cin x, T), as a table of one row that leaves nothing of x.
				copy(nets[k], path[k])
				if err := e.Trajectory(ctx, nets[k], nil, []kernels.Row{{Tau: r.Tau, Cin: r.Cin, Net: 1}}, no, nil); err != nil {
					t.Fatal(err)
				}
				if k == steps {
					break
				}
				x := slices.Clone(path[k])
				if err := e.Trajectory(ctx, x, nil, []kernels.Row{{Tau: r.Tau, Cin: r.Cin, State: r.State, Net: r.Net, Noise: r.Noise, Step: r.Step}}, no, nil); err != nil {
					t.Fatal(err)
				}
				path = append(path, x)
			}
			want := make([]float64, n)
			for i := range want {
				want[i] = float64(i)
				row := func(s []float32) []float64 { return widen(s[i*d : (i+1)*d]) }
				mean := func(a, b float64, x, y []float64) []float64 {
					m := make([]float64, d)
					for j := range m {
						m[j] = a*x[j] + b*y[j]
					}
					return m
				}
				for k := 1; k <= steps; k++ {
					prev, q, r := row(path[k-1]), rows[k-1], rows[k]
					x := row(path[k])
					single := func(v float64) float64 { return float64(float32(v)) }
					forth := mean(single(q.State), single(q.Net), prev, row(nets[k-1]))
					back := mean(r.ReverseState, r.ReverseNet, x, row(nets[k]))
					want[i] += logNormal(prev, back, 1/math.Sqrt(r.ReversePrecision)) - logNormal(x, forth, single(q.Noise))
				}
			}
			x, logw := narrow(x0), make([]float64, n)
			for i := range logw {
				logw[i] = float64(i) // is added to
			}
			if err := e.PathWeights(ctx, x, logw, rows, no, nil); err != nil {
				t.Fatal(err)
			}
			same(t, s.name+" end states", x, path[steps])
			// Float64 rounding of D·steps squares.
			atMost(t, s.name, worst(t, logw, want), 1e-11)
		}
	})
}

// A linear network makes the chain Gaussian: the mean weight times the prior is a known density.
func TestPathWeightsGaussian(t *testing.T) {
	const c, e2, f2, noise, steps, paths = -0.8, 1.02, 0.1, 0.3, 4, 20000
	p := shape{d: 1}.program()
	p.Params[0].Data = []float32{c, 0}
	p.Params[1].Data = []float32{0}
	e := newEngine(t, p, Options{})
	rows := make([]kernels.PathRow, steps+1)
	for k := range rows {
		rows[k] = kernels.PathRow{Tau: 0.5, Cin: 1, State: 0.95, Net: 0.05, Noise: noise, ReverseState: e2, ReverseNet: f2, ReversePrecision: 1 / (noise * noise), Step: uint32(k)}
	}
	x, logw := make([]float32, paths), make([]float64, paths)
	for i := range x {
		x[i] = 0.7
	}
	if err := e.PathWeights(ctx, x, logw, rows, kernels.Noise{Seed: 1, Stream: kernels.StreamPath}, nil); err != nil {
		t.Fatal(err)
	}
	sum, sum2 := 0.0, 0.0
	for i, l := range logw {
		w := math.Exp(l + logNormal([]float64{float64(x[i])}, []float64{0}, 1))
		sum += w
		sum2 += w * w
	}
	mean := sum / paths
	stderr := math.Sqrt((sum2/paths - mean*mean) / paths)
	variance := 1.0
	for range steps {
		variance = (e2+f2*c)*(e2+f2*c)*variance + noise*noise
	}
	want := math.Exp(logNormal([]float64{float64(float32(0.7))}, []float64{0}, math.Sqrt(variance)))
	if !(math.Abs(mean-want) < 4*stderr) || stderr > 0.01*want {
		t.Errorf("density %.5f ± %.5f, want %.5f", mean, stderr, want)
	}
}
