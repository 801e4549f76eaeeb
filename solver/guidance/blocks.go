package guidance

import (
	"context"
	"fmt"
	"math/rand/v2"

	"hbar/kernels"
	"hbar/solver"
)

// sampleBlocks is Sample under a schedule of matrices. The denoised sample is all that guidance changes, since x₀ depends on one number of
// each block; a step with it held has the mean F z + B x̂₀ and the covariance C Cᵀ, guided or not.
func sampleBlocks(ctx context.Context, model, guided solver.Model, b *solver.Blocks, r Reward, o Options) (*Result, error) {
	if o.Sampler != solver.Exponential {
		return nil, fmt.Errorf("guidance: under schedule %s the weights of paths are known for the sampler exp, not %v", b.Name(), o.Sampler)
	}
	_, steps, err := b.PathSteps(ctx, o.Grid, o.Steps, o.H)
	if err != nil {
		return nil, err
	}
	d, size := model.Dim(), b.Size()
	res := &Result{X: make([]float64, o.N*d), LogWeight: make([]float64, o.N), LogRatio: make([]float64, o.N)}
	for from := 0; from < o.N; from += o.Chunk {
		n := min(o.Chunk, o.N-from)
		z := make([]float64, n*size*d)
		rng := make([]*rand.Rand, n)
		priorStates(z, rng, b, d, o, from)
		plain, tilted := make([]float64, n*d), make([]float64, n*d)
		next, eps := make([]float64, size*d), make([]float32, size*d)
		for k := range steps {
			p := &steps[k].Reverse
			shift, err := p.Whitened()
			if err != nil {
				return nil, err
			}
			if err := solver.Lift(model, b).Denoise(ctx, plain, z, p.T, o.First+uint64(from)); err != nil {
				return nil, err
			}
			if err := solver.Lift(guided, b).Denoise(ctx, tilted, z, p.T, o.First+uint64(from)); err != nil {
				return nil, err
			}
			for i := range n {
				for j := range eps {
					eps[j] = float32(rng[i].NormFloat64())
					e := float64(eps[j])
					g := e + shift[j/d]*(tilted[i*d+j%d]-plain[i*d+j%d])
					res.LogRatio[from+i] += (e*e - g*g) / 2
				}
				at := z[i*size*d : (i+1)*size*d]
				p.Take(next, at, tilted[i*d:(i+1)*d], nil, eps, size, d)
				copy(at, next)
			}
			if o.Progress != nil {
				o.Progress(from + n*(k+1)/len(steps))
			}
		}
		for i := range n {
			copy(res.X[(from+i)*d:(from+i+1)*d], z[i*size*d:])
			res.LogWeight[from+i] = logWeight(res.LogRatio[from+i], r, res.X[(from+i)*d:(from+i+1)*d])
		}
	}
	return res, nil
}

// priorStates draws states of the prior, and the generators of their samples.
func priorStates(z []float64, rng []*rand.Rand, b *solver.Blocks, d int, o Options, from int) {
	size := b.Size()
	factor := b.PriorFactor()
	eps := make([]float64, size*d)
	for s := range rng {
		rng[s] = rand.New(kernels.NewSource(o.Seed, kernels.StreamNoise, o.First+uint64(from+s)))
		for j := range eps {
			eps[j] = rng[s].NormFloat64()
		}
		at := z[s*size*d : (s+1)*size*d]
		for i := range size {
			for k := range i + 1 {
				for j := range d {
					at[i*d+j] += factor[i*size+k] * eps[k*d+j]
				}
			}
		}
	}
}
