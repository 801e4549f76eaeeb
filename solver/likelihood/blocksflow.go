package likelihood

import (
	"context"
	"math"

	"hbar/solver/likelihood/ode"
)

// blockFlowRows is how many states are integrated together.
func (p *problem) blockFlowRows() int { return max(1, min(block, rowsAtOnce(p.d))/4) }

// flowOfBlocks is Flow for a schedule of matrices: log q⁰ of each point over draws of its velocities.
func (p *problem) flowOfBlocks(ctx context.Context, x []float64, o FlowOptions) ([]FlowPoint, error) {
	n, v := len(x)/p.blocks.d, o.velocities()
	k, err := p.probes(o)
	if err != nil {
		return nil, err
	}
	if err := o.checkSamples(n); err != nil {
		return nil, err
	}
	points := make([]FlowPoint, n)
	for i := range points {
		points[i] = interruptedPoint
	}
	size := max(1, p.blockFlowRows()/v)
	for at := 0; at < n; at += size {
		part := min(size, n-at)
		z, logw := p.blocks.draws(x[at*p.blocks.d:(at+part)*p.blocks.d], v, o.Seed, func(i int) uint64 { return o.sample(at + i) })
		set := forward(o.settings())
		if o.Progress != nil {
			set.Progress = func(done, _ int) { o.Progress(at+done/v, n) }
		}
		got, err := p.flow(ctx, z, o, k, func(r int) uint64 { return o.sample(at+r/v)*uint64(v) + uint64(r%v) }, set)
		if err != nil {
			return unlessInterrupted(ctx, points, err)
		}
		for i := range part {
			points[at+i] = overVelocities(got[i*v:(i+1)*v], logw[i*v:(i+1)*v])
		}
	}
	return points, nil
}

// fixedOfBlocks is FlowFixed for a schedule of matrices.
func (p *problem) fixedOfBlocks(ctx context.Context, x []float64, n, k int, o FlowOptions) ([]FlowPoint, error) {
	v := o.velocities()
	z, logw := p.blocks.draws(x, v, o.Seed, o.sample)
	states := o
	states.Samples = make([]uint64, n*v)
	for r := range states.Samples {
		states.Samples[r] = o.sample(r/v)*uint64(v) + uint64(r%v)
	}
	if o.Progress != nil {
		states.Progress = func(done, _ int) { o.Progress(done/v, n*o.Steps) }
	}
	got, err := p.fixed(ctx, z, n*v, k, states)
	if err != nil {
		return nil, err
	}
	points := make([]FlowPoint, n)
	for i := range points {
		of, w := got[i*v:(i+1)*v], logw[i*v:(i+1)*v]
		points[i] = overVelocities(of, w)
		for j := range of {
			of[j].LogQ -= of[j].Halving
		}
		points[i].Halving = points[i].LogQ - overVelocities(of, w).LogQ
	}
	return points, nil
}

// overVelocities is log q⁰ of a point from those of its states, with −log r of each. A draw that fails spoils the point: to leave it out
// would favour the others.
func overVelocities(states []FlowPoint, logw []float64) FlowPoint {
	q := FlowPoint{LogQ: math.NaN(), StdErr: math.NaN(), Status: OK}
	w := make([]float64, len(states))
	for i, s := range states {
		q.Steps, q.Evals = max(q.Steps, s.Steps), q.Evals+s.Evals
		if s.Status != OK && q.Status == OK {
			q.Status = s.Status
		}
		w[i] = s.LogQ + logw[i]
	}
	if q.Status != OK {
		return q
	}
	q.LogQ, q.StdErr = logMeanExp(w), deltaStdErr(w, nil)
	if len(w) == 1 {
		q.StdErr = math.NaN()
	}
	if !finitePoint([]float64{q.LogQ}) {
		q.LogQ, q.Status = math.NaN(), NotFinite
	}
	return q
}

// estimateOfBlocks is ℓ₁ of points under a schedule of matrices. The derivative of log ∫q^h(x, v) dv is the mean of ℓ₁(x, v) under
// q⁰(v | x), which the draws have with self-normalised weights.
func (p *problem) estimateOfBlocks(ctx context.Context, x []float64, o EstimateOptions, dual bool, run estimation) ([]Estimate, error) {
	n, v := len(x)/p.blocks.d, o.velocities()
	f := FlowOptions{Options: o.Options, Seed: o.Seed, Probes: 1}
	if p.blocks.d > exactDim {
		f.Divergence = Rademacher
	}
	k, err := p.probes(f)
	if err != nil {
		return nil, err
	}
	out := make([]Estimate, 0, n)
	size := max(1, p.blockFlowRows()/v)
	for at := 0; at < n; at += size {
		part := min(size, n-at)
		sample := func(i int) uint64 { return o.Sample0 + uint64(at+i) }
		z, logw := p.blocks.draws(x[at*p.blocks.d:(at+part)*p.blocks.d], v, o.Seed, sample)
		flow, err := p.flow(ctx, z, f, k, func(r int) uint64 { return sample(r/v)*uint64(v) + uint64(r%v) }, forward(o.settings()))
		if err != nil {
			return nil, err
		}
		sub := o
		sub.Sample0, sub.Progress = sample(0)*uint64(v), nil
		first, err := p.estimates(ctx, z, sub, dual, run)
		if err != nil {
			return nil, err
		}
		for i := range part {
			out = append(out, meanFirst(flow[i*v:(i+1)*v], first[i*v:(i+1)*v], logw[i*v:(i+1)*v]))
		}
		if o.Progress != nil {
			o.Progress(len(out), n)
		}
	}
	return out, nil
}

// exactDim is the dimension up to which the divergence is exact where no option says.
const exactDim = 128

// meanFirst is the weighted mean of ℓ₁ of the states of a point.
func meanFirst(flow []FlowPoint, first []Estimate, logw []float64) Estimate {
	nan := math.NaN()
	e := Estimate{L1: nan, StdErr: nan, DivTerm: nan, DivTermStdErr: nan, GradTerm: nan, GradTermStdErr: nan, Trust: nan, Status: OK}
	w := make([]float64, len(flow))
	for i, s := range flow {
		e.Evals += first[i].Evals + s.Evals
		for _, st := range []ode.Status{s.Status, first[i].Status} {
			if st != OK {
				e.Failed++
				if e.Status == OK {
					e.Status = st
				}
			}
		}
		w[i] = s.LogQ + logw[i]
	}
	if e.Status != OK {
		return e
	}
	share := shares(w)
	average := func(of func(Estimate) (float64, float64)) (mean, stderr float64) {
		for i, p := range share {
			value, _ := of(first[i])
			mean += p * value
		}
		for i, p := range share {
			value, err := of(first[i])
			if math.IsNaN(err) {
				err = 0 // of a single replicate: it is part of the deviation between draws
			}
			stderr += p * p * ((value-mean)*(value-mean) + err*err)
		}
		return mean, math.Sqrt(stderr)
	}
	e.L1, e.StdErr = average(func(f Estimate) (float64, float64) { return f.L1, f.StdErr })
	e.DivTerm, e.DivTermStdErr = average(func(f Estimate) (float64, float64) { return f.DivTerm, f.DivTermStdErr })
	e.GradTerm, e.GradTermStdErr = average(func(f Estimate) (float64, float64) { return f.GradTerm, f.GradTermStdErr })
	return e
}

// blockIntegrand is integrand for a state z of a schedule of matrices, ½β[tr Q(∂s/∂z − H) + (s − u)ᵀQ u] per unit of time: s and sw are
// those of the pseudo score, β Q s − 2β A z and its derivative along w.
func (p *blockProblem) blockIntegrand(half float64, x, w, dual, s, sw, hw, u1, u2 []float64) (div, grad float64) {
	qs, qsw := append([]float64(nil), s...), append([]float64(nil), sw...)
	p.apply(qs, 2, p.a, x)
	p.apply(qsw, 2, p.a, w)
	return integrand(half, dual, qs, qsw, p.product(p.q, hw), u1, u2, p.product(p.q, u2))
}
