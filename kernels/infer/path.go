package infer

import (
	"context"
	"fmt"
	"math"

	"hbar/kernels"
)

// PathWeights proposes a path from each row x_0 of x (n×D), overwrites the row with the path's end x_N, and adds to logw (n)
// the logarithm of Π_{k=1}^{N} R_k(x_{k−1} | x_k)/Q_k(x_k | x_{k−1}) (see kernels.PathRow). The caller adds the prior
// log π(x_N).
//
// The states are float32, and the densities are those of the rounded states. With μ = State x_{k−1} + Net n_{k−1} in float64, the
// proposal's density is taken at z = (x_k − μ)/Noise, not at the normals that were drawn:
//
//	log R_k/Q_k = ½ (|z|² − ReversePrecision |x_{k−1} − ReverseState x_k − ReverseNet n_k|²) + LogNorm
//
// in float64. The rounding δ of x_k then changes both squares by almost the same amount, and the changes cancel to first order. With
// the drawn normals an error of z·δ/Noise would be left in every step. State, Net and Noise are the numbers that the proposal
// was made with, rounded to float32, in LogNorm too.
//
// ctx and progress are as in Trajectory. When an error is returned, x and logw are partly updated.
func (e *Engine) PathWeights(ctx context.Context, x []float32, logw []float64, rows []kernels.PathRow, no kernels.Noise, progress func(done int)) error {
	n := e.net32
	if len(x)%n.d != 0 {
		return fmt.Errorf("infer: x has %d elements, want a multiple of D = %d", len(x), n.d)
	}
	samples := len(x) / n.d
	if err := length("logw", len(logw), samples); err != nil {
		return err
	}
	if len(rows) < 2 {
		return fmt.Errorf("infer: a path of %d states, want at least 2", len(rows))
	}
	steps, err := pathSteps(rows, n.d)
	if err != nil {
		return err
	}
	tau := make([]float64, len(rows))
	for k, r := range rows {
		tau[k] = r.Tau
	}
	size := e.split(n.rows, samples, 1)
	meter := newMeter(progress, samples, len(rows))
	times := newTimeRows(n, tau)
	get := func() *sampler { return e.newSampler(size, times, no) }
	err = tiles(ctx, e.workers, samples, size, get, e.putSampler, func(s *sampler, lo, hi int) error {
		s.start(x, lo, hi)
		prev, z := s.prev[:len(s.x)], s.z[:len(s.x)]
		for k := range steps {
			if k%checkRows == 0 && k > 0 {
				if err := ctx.Err(); err != nil {
					return err
				}
				meter.add(checkRows * (hi - lo))
			}
			st := &steps[k]
			y := s.eval(k, st.cin)
			if k > 0 {
				st.weigh(logw[lo:hi], s.zz, prev, s.x, y)
			}
			if k == len(steps)-1 {
				break
			}
			s.normals.fill(z, st.noise)
			copy(prev, s.x)
			e.impl.Update(s.x, y, nil, z, &st.coef)
			st.squares(s.zz[:s.m], prev, s.x, y)
		}
		copy(x[lo*n.d:hi*n.d], s.x)
		meter.add(((len(steps)-1)%checkRows + 1) * (hi - lo))
		return nil
	})
	if err == nil {
		meter.finish()
	}
	return err
}

// pathStep is a kernels.PathRow as the loops take it.
type pathStep struct {
	step
	state, net, invNoise     float64 // of the proposal, rounded to float32
	reverseState, reverseNet float64
	reversePrecision         float64
	logNorm                  float64
}

func pathSteps(rows []kernels.PathRow, d int) ([]pathStep, error) {
	steps := make([]pathStep, len(rows))
	for k, r := range rows {
		if err := finiteRow(k, r.Tau, r.Cin, r.State, r.Net, r.Noise, r.ReverseState, r.ReverseNet, r.ReversePrecision, r.LogNorm); err != nil {
			return nil, err
		}
		c := float32(r.Noise)
		if c == 0 && k < len(rows)-1 {
			return nil, fmt.Errorf("infer: row %d of the path table has Noise = %g: a step without noise has no density", k, r.Noise)
		}
		steps[k] = pathStep{
			step:  step{cin: float32(r.Cin), noise: r.Step, coef: [8]float32{0: float32(r.State), 1: float32(r.Net), 3: c}},
			state: float64(float32(r.State)), net: float64(float32(r.Net)), invNoise: 1 / float64(c),
			reverseState: r.ReverseState, reverseNet: r.ReverseNet, reversePrecision: r.ReversePrecision, logNorm: r.LogNorm,
		}
		if k > 0 {
			steps[k].logNorm += float64(d) * math.Log(float64(float32(rows[k-1].Noise))/rows[k-1].Noise)
		}
	}
	return steps, nil
}

// weigh adds log R/Q of the step from prev to x to logw. y are the network's values at x, zz the |z|² of the proposals.
func (s *pathStep) weigh(logw, zz []float64, prev, x, y []float32) {
	d := len(x) / len(logw)
	for i := range logw {
		at := i * d
		rr := residualSquared(prev[at:at+d], x[at:at+d], y[at:at+d], s.reverseState, s.reverseNet)
		logw[i] += 0.5*(zz[i]-rr*s.reversePrecision) + s.logNorm
	}
}

// squares writes |z|² of the proposal from prev to x.
func (s *pathStep) squares(zz []float64, prev, x, y []float32) {
	d := len(x) / len(zz)
	for i := range zz {
		at := i * d
		zz[i] = residualSquared(x[at:at+d], prev[at:at+d], y[at:at+d], s.state, s.net) * s.invNoise * s.invNoise
	}
}

// residualSquared is |u - a x - b y|², summed as four interleaved sums so that additions need not wait for each other.
func residualSquared(u, x, y []float32, a, b float64) float64 {
	x, y = x[:len(u)], y[:len(u)]
	var s [4]float64
	j := 0
	for ; j+4 <= len(u); j += 4 {
		u, x, y := u[j:j+4:j+4], x[j:j+4:j+4], y[j:j+4:j+4]
		r0 := float64(u[0]) - (a*float64(x[0]) + b*float64(y[0]))
		r1 := float64(u[1]) - (a*float64(x[1]) + b*float64(y[1]))
		r2 := float64(u[2]) - (a*float64(x[2]) + b*float64(y[2]))
		r3 := float64(u[3]) - (a*float64(x[3]) + b*float64(y[3]))
		s[0] += r0 * r0
		s[1] += r1 * r1
		s[2] += r2 * r2
		s[3] += r3 * r3
	}
	for ; j < len(u); j++ {
		r := float64(u[j]) - (a*float64(x[j]) + b*float64(y[j]))
		s[0] += r * r
	}
	return s[0] + s[1] + (s[2] + s[3])
}
