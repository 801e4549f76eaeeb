package likelihood

import (
	"context"
	"fmt"
	"math"

	"hbar/kernels"
	"hbar/solver"
)

// blockStep is a step of the path integral under a schedule of matrices, between z_{k−1} at the smaller time and z_k.
type blockStep struct {
	solver.PathSteps
	inv   []float64 // C⁻¹ of the reverse step, lower triangle
	ratio float64   // log det of the two C: forward less reverse, for each coordinate
}

// blockSteps lists the steps from Tmin up.
func (p *problem) blockSteps(ctx context.Context, o PathOptions, h float64) ([]blockStep, error) {
	s := p.blocks.blocks
	if o.Sampler != solver.Exponential {
		return nil, fmt.Errorf("likelihood: under schedule %s the path integral is known for the sampler exp, not %v: steps of the others have noise that does not reach all coordinates, or no closed density", s.Name(), o.Sampler)
	}
	_, steps, err := s.PathSteps(ctx, o.Grid, o.Steps, h)
	if err != nil {
		return nil, err
	}
	b := s.Size()
	out := make([]blockStep, 0, len(steps))
	for k := len(steps) - 1; k >= 0; k-- {
		q := blockStep{PathSteps: steps[k], inv: make([]float64, b*b)}
		r, f := q.Reverse.C, q.Forward.C
		for i := range b {
			if r == nil || f == nil || !(r[i*b+i] > 0) || !(f[i*b+i] > 0) {
				return nil, fmt.Errorf("likelihood: schedule %s: %d steps at h = %g are too fine: the noise of a step is lost in rounding; take fewer steps or a larger h", s.Name(), o.Steps, h)
			}
			q.ratio += math.Log(f[i*b+i] / r[i*b+i])
		}
		for j := range b {
			q.inv[j*b+j] = 1 / r[j*b+j]
			for i := j + 1; i < b; i++ {
				v := 0.0
				for l := j; l < i; l++ {
					v -= r[i*b+l] * q.inv[l*b+j]
				}
				q.inv[i*b+j] = v / r[i*b+i]
			}
		}
		out = append(out, q)
	}
	return out, nil
}

// pathOfBlocks is PathIntegral for a schedule of matrices: a path begins with a draw of the point's velocities.
func (p *problem) pathOfBlocks(ctx context.Context, x, hs []float64, o PathOptions) ([][]PathEstimate, error) {
	n, d := len(x)/p.blocks.d, p.blocks.d
	r := &pathRun{problem: p, o: o, precision: 0x1p-24, total: n * o.Paths * len(hs)}
	out, tables := make([][]PathEstimate, n), make([][]blockStep, len(hs))
	for j, h := range hs {
		if !(h > 0) || math.IsInf(h, 1) {
			return nil, fmt.Errorf("likelihood: the path integral needs h > 0, not %v; at h = 0 use the probability flow", h)
		}
		var err error
		if tables[j], err = p.blockSteps(ctx, o, h); err != nil {
			return unlessInterrupted(ctx, interruptedPaths(out, hs), err)
		}
	}
	for i := range out {
		logw := make([][]float64, len(hs))
		for j, table := range tables {
			logw[j] = make([]float64, o.Paths)
			size := rowsAtOnce(p.d)
			for at := 0; at < o.Paths; at += size {
				part := logw[j][at:min(at+size, o.Paths)]
				if err := p.weighBlocks(ctx, part, x[i*d:(i+1)*d], table, o, o.Sample0+uint64(i), at); err != nil {
					return unlessInterrupted(ctx, interruptedPaths(out, hs), err)
				}
				r.done += len(part)
				r.report(0)
			}
		}
		out[i] = make([]PathEstimate, len(hs))
		for j := range hs {
			out[i][j] = r.estimate(logw[j], logw[0], o.Sample0+uint64(i))
			out[i][j].H = hs[j]
			if !finitePoint(x[i*d : (i+1)*d]) {
				out[i][j].Status = BadPoint
			}
		}
	}
	return out, nil
}

// weighBlocks proposes the paths first, first+1, … of a point and writes the logarithms of their weights.
func (p *problem) weighBlocks(ctx context.Context, logw, x []float64, steps []blockStep, o PathOptions, sample uint64, first int) error {
	b, d, width, n := p.blocks.blocks.Size(), p.blocks.d, p.d, len(logw)
	z := make([]float64, n*width)
	for i := range n {
		logw[i] = p.blocks.draw(z[i*width:(i+1)*width], x, o.Seed, sample, first+i)
	}
	no := kernels.Noise{Seed: o.Seed, Stream: kernels.StreamPath, Sample0: sample*uint64(o.Paths) + uint64(first)}
	x0, before, eps := make([]float64, n*d), make([]float64, len(z)), make([]float32, len(z))
	mean, rest := make([]float64, width), make([]float64, width)
	denoise := func(t float64) error { return p.blocks.Denoise(ctx, x0, z, t, no.Sample0) }
	if err := denoise(steps[0].Forward.T); err != nil {
		return err
	}
	for k := range steps {
		q := &steps[k]
		copy(before, z)
		step := q.Forward
		step.Step = uint32(k)
		kernels.Normals(eps, no, step.Step, n, width)
		for i := range n {
			e := eps[i*width : (i+1)*width]
			step.Take(z[i*width:(i+1)*width], before[i*width:(i+1)*width], x0[i*d:(i+1)*d], nil, e, b, d)
			for _, v := range e {
				logw[i] += float64(v) * float64(v) / 2
			}
			logw[i] += float64(d) * q.ratio
		}
		if err := denoise(q.Reverse.T); err != nil {
			return err
		}
		reverse := q.Reverse
		reverse.C = nil
		for i := range n {
			reverse.Take(mean, z[i*width:(i+1)*width], x0[i*d:(i+1)*d], nil, nil, b, d)
			for j := range rest {
				rest[j] = before[i*width+j] - mean[j]
			}
			for r := range b {
				for j := range d {
					v := 0.0
					for l := range r + 1 {
						v += q.inv[r*b+l] * rest[l*d+j]
					}
					logw[i] -= v * v / 2
				}
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	for i := range n {
		logw[i] += p.logPrior(z[i*width : (i+1)*width])
	}
	return nil
}
