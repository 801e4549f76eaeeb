package main

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"

	"hbar/checkpoint"
	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/model"
	"hbar/data"
	"hbar/graph"
	"hbar/metrics"
	"hbar/solver"
	"hbar/solver/exact"
	"hbar/solver/likelihood"
	"hbar/solver/likelihood/ode"
)

// flowStudies are those of the density at h = 0.
func flowStudies() []study {
	return []study{
		{name: "flow-point", about: "log q⁰ of a point by 64 and by 16 Rademacher probes, mixture in 8 dimensions, against the exact divergence on the same mesh",
			rows: []row{{what: "flow, a point, 64 probes (Student, 63)"}, {what: "flow, a point, 16 probes (Student, 15)", lo: 0.90, hi: 0.97}}, start: flowPoint},
		{name: "flow-mean", about: "mean NLL of 32 points by 4 normal probes each, Gaussian in 8 dimensions, against the cross entropy",
			rows: []row{{what: "flow, mean NLL of 32 points, 4 probes each"}}, start: flowMean},
		{name: "dequantise", about: "bits per dimension of 32 points of bytes in 4 dimensions, 3 draws, 2 normal probes, against the expectation over bytes and noise",
			rows: []row{{what: "bits/dim, uniform dequantisation, 32 points (Student, 31)"}, {what: "bits/dim, truncated normal, 32 points (Student, 31)"}}, start: dequantised},
	}
}

var errFailed = errors.New("a point of the study has no value")

func flowPoint(ctx context.Context) (trial, func(), error) {
	const d = 8
	m, s, err := mixtureOf(d)
	return func(seed uint64) ([]outcome, error) {
		x := inMixture(source(seed), d)
		o := likelihood.FlowOptions{Options: likelihood.Options{Steps: 24, Method: ode.RK4}, Seed: seed}
		want, err := likelihood.Flow(ctx, m, s, x, o)
		if err != nil {
			return nil, err
		}
		o.Divergence = likelihood.Rademacher
		var out []outcome
		for _, o.Probes = range []int{64, 16} {
			got, err := likelihood.Flow(ctx, m, s, x, o)
			if err != nil {
				return nil, err
			}
			if want[0].Status != likelihood.OK || got[0].Status != likelihood.OK {
				return nil, errFailed
			}
			out = append(out, student(got[0].LogQ, got[0].StdErr, o.Probes-1, want[0].LogQ))
		}
		return out, nil
	}, nil, err
}

func flowMean(ctx context.Context) (trial, func(), error) {
	const d, n = 8, 32
	g, s, err := gaussianOf(d)
	if err != nil {
		return nil, nil, err
	}
	p := g.Data(s.Tmin())
	truth := g.At(0, s.Tmin()).CrossEntropy(p)
	return func(seed uint64) ([]outcome, error) {
		got, err := likelihood.Flow(ctx, g, s, drawn(source(seed), p, n), likelihood.FlowOptions{Options: likelihood.Options{Steps: 32, Method: ode.RK4}, Divergence: likelihood.Normal, Probes: 4, Seed: seed})
		if err != nil {
			return nil, err
		}
		logQ := make([]float64, n)
		for i, v := range got {
			logQ[i] = v.LogQ
		}
		l, err := metrics.NLL(logQ, d, 0)
		if err != nil {
			return nil, err
		}
		return []outcome{ofEstimate(l.NLLNats, truth)}, nil
	}, nil, nil
}

// ofEstimate takes an interval as it is printed.
func ofEstimate(e metrics.Estimate, truth float64) outcome {
	return outcome{value: e.Value, stderr: e.StdErr, lo: e.Lo, hi: e.Hi, truth: truth}
}

// bytesDim and bytesSpread are those of the bytes of the study of dequantisation: each coordinate is uniform on 128 ± bytesSpread.
const bytesDim, bytesSpread = 4, 90

// dequantised runs the bits per dimension of cmd/likelihood, with a network of zeros. As a network with EDM's weights of deviation ½ that
// is the exact model of N(0, ¼) in its coordinates.
func dequantised(ctx context.Context) (trial, func(), error) {
	dir, err := os.MkdirTemp("", "calibrate")
	if err != nil {
		return nil, nil, err
	}
	done := func() { os.RemoveAll(dir) }
	net, err := zeroNetwork(filepath.Join(dir, "zeros.safetensors"))
	if err != nil {
		done()
		return nil, nil, err
	}
	g, err := exact.NewGaussian(net.Schedule, make([]float64, bytesDim), []float64{0.25}, 0)
	if err != nil {
		done()
		return nil, nil, err
	}
	q := g.At(0, net.Schedule.Tmin())
	return func(seed uint64) ([]outcome, error) {
		points := bytesAround(source(seed), 32, net.Norm)
		var out []outcome
		for _, kind := range []loglik.Dequantise{loglik.DequantiseUniform, loglik.DequantiseTruncNorm} {
			b, err := net.Flow(ctx, points, loglik.Options{Seed: seed, Divergence: likelihood.Normal, Probes: 2}, loglik.BitsOptions{Dequantise: kind, Draws: 3, Steps: 32, First: 1})
			if err != nil {
				return nil, err
			}
			if b.N != points.N() {
				return nil, errFailed
			}
			out = append(out, student(b.PerDim, b.StdErr, b.N-1, bitsOfBytes(kind, net.Schedule, q)))
		}
		return out, nil
	}, func() { net.Close(); done() }, nil
}

func zeroNetwork(path string) (*loglik.Network, error) {
	m := &checkpoint.Model{Spec: graph.Spec{D: bytesDim, Width: 16, Depth: 1, Act: "silu"}, Schedule: "cosine", Prediction: "edm", SigmaData: 0.5, Norm: data.BytesNormalisation(), Version: "calibrate"}
	var err error
	if m.Params, err = m.Spec.Initial(1); err != nil {
		return nil, err
	}
	for i := range m.Params {
		clear(m.Params[i].Data)
	}
	if err := m.Save(path); err != nil {
		return nil, err
	}
	return loglik.LoadNetwork(model.Flags{Checkpoint: path, Device: flags.Device{Kind: "cpu"}, Precision: "fp64", Workers: 1})
}

func bytesAround(r *rand.Rand, n int, norm data.Normalisation) *loglik.Points {
	p := &loglik.Points{Name: "bytes", D: bytesDim, Norm: norm, Bytes: true, X: make([]float64, n*bytesDim)}
	for i := range p.X {
		p.X[i] = float64(128 - bytesSpread + r.IntN(2*bytesSpread+1))
	}
	p.Z = make([]float64, len(p.X))
	norm.Apply(p.Z, p.X, bytesDim)
	return p
}

// bitsOfBytes is the expectation of the bound over bytes and noise, for a density q whose coordinates are alike.
func bitsOfBytes(kind loglik.Dequantise, s solver.Schedule, q exact.Moments) float64 {
	alpha, sigma := s.Alpha(s.Tmin()), s.Sigma(s.Tmin())
	c := alpha / (2 * 127.5 * sigma) // truncated normals end there
	mass := math.Erf(c / math.Sqrt2)
	tail := c * math.Exp(-c*c/2) / math.Sqrt(2*math.Pi) / mass
	square, count := 0.0, 0.0 // of y − mean
	for v := 128 - bytesSpread; v <= 128+bytesSpread; v++ {
		count++
		if kind == loglik.DequantiseUniform {
			z := (float64(v)+0.5)/127.5 - 1 - q.Mean[0]
			square += z*z + 1/(12*127.5*127.5)
			continue
		}
		z := alpha*(float64(v)/127.5-1) - q.Mean[0]
		square += z*z + sigma*sigma*(1-2*tail)
	}
	nats := (square/count/q.Var[0] + math.Log(2*math.Pi*q.Var[0])) / 2
	if kind == loglik.DequantiseUniform {
		return (nats + math.Log(127.5)) / math.Ln2
	}
	entropy := math.Log(math.Sqrt(2*math.Pi*math.E)*mass) - tail
	return (nats - math.Log(sigma) - entropy) / math.Ln2
}
