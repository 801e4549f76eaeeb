package solver

import (
	"context"
	"fmt"

	"hbar/kernels"
)

// Propagator is a step of a state z of blocks that is Gaussian given the denoised data. With z = (z_1, …, z_b) of d numbers each,
//
//	z' = F z + B x̂_0 + M m + O + C ε,    then m = x̂_0,
//
// where x̂_0 = E[x_0 | z] of d numbers is the model's at the time T, ε are the b d standard normals of step Step, and the matrices act
// on the index of the block. Any linear process with Gaussian noise has such steps, exact of any length: with B and M nil the model
// is not asked (dynamics.Propagator), and with x̂_0 held they are the exponential samplers of a schedule of matrices (Blocks).
type Propagator struct {
	T    float64
	F    []float64 // b×b
	B, M []float64 // b; nil: 0
	O    []float64 // b, equal for all d; nil: 0
	C    []float64 // b×b, lower triangle; nil: no noise
	Step uint32
}

// Denoise writes E[x_0 | z] (n×d) of n states z (n×b×d) at a time of the schedule, of the samples from number sample0 on.
type Denoise func(ctx context.Context, dst, z []float64, t float64, sample0 uint64) error

// Propagate takes n states z (n×b×d, in place) through the steps. m (n×d, in place) is the memory; nil stands for zeros that are not
// returned. denoise may be nil if no step asks for it. progress is as in Integrator.
func Propagate(ctx context.Context, denoise Denoise, z, m []float64, b, d int, steps []Propagator, no kernels.Noise, progress func(done int)) error {
	width := b * d
	n := len(z) / width
	if len(z) != n*width || m != nil && len(m) != n*d {
		return fmt.Errorf("solver: z has %d numbers and m %d; need n×%d×%d and n×%d", len(z), len(m), b, d, d)
	}
	if m == nil {
		m = make([]float64, n*d)
	}
	x0, noise := make([]float64, n*d), make([]float32, n*width)
	next := make([]float64, width)
	for k, p := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		asks := p.B != nil || p.M != nil
		if asks {
			if err := denoise(ctx, x0, z, p.T, no.Sample0); err != nil {
				return err
			}
		}
		if p.C != nil {
			kernels.Normals(noise, no, p.Step, n, width)
		}
		for s := range n {
			p.Take(next, z[s*width:(s+1)*width], x0[s*d:(s+1)*d], m[s*d:(s+1)*d], noise[s*width:(s+1)*width], b, d)
			copy(z[s*width:(s+1)*width], next)
		}
		if asks {
			copy(m, x0)
		}
		if progress != nil {
			progress(n * (k + 1) / len(steps))
		}
	}
	return nil
}

// Take writes one sample's next state, which must not share memory with z. m and noise may be nil where the step has no use for them.
func (p *Propagator) Take(next, z, x0, m []float64, noise []float32, b, d int) {
	for i := range b {
		row := next[i*d : (i+1)*d]
		offset := 0.0
		if p.O != nil {
			offset = p.O[i]
		}
		for j := range row {
			row[j] = offset
		}
		for k := range b {
			if f := p.F[i*b+k]; f != 0 {
				addTo(row, f, z[k*d:(k+1)*d])
			}
			if p.C != nil && k <= i && p.C[i*b+k] != 0 {
				c := p.C[i*b+k]
				for j, e := range noise[k*d : (k+1)*d] {
					row[j] += c * float64(e)
				}
			}
		}
		if p.B != nil {
			addTo(row, p.B[i], x0)
		}
		if p.M != nil {
			addTo(row, p.M[i], m)
		}
	}
}

// Whitened is C⁻¹B: what x̂_0 shifts the normals ε of a step by.
func (p *Propagator) Whitened() ([]float64, error) {
	out := append([]float64(nil), p.B...)
	b := len(out)
	for i := range out {
		if p.C == nil || !(p.C[i*b+i] > 0) {
			return nil, fmt.Errorf("solver: the noise of the step at t = %g does not reach all coordinates of a block, or is lost in rounding: a larger h or fewer steps would do", p.T)
		}
		for k := range i {
			out[i] -= p.C[i*b+k] * out[k]
		}
		out[i] /= p.C[i*b+i]
	}
	return out, nil
}

func addTo(dst []float64, c float64, x []float64) {
	for j, v := range x {
		dst[j] += c * v
	}
}
