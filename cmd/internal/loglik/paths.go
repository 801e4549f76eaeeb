package loglik

import (
	"context"
	"fmt"
	"math"

	"hbar/engine"
	"hbar/solver"
	"hbar/solver/likelihood"
)

// networkPaths is the number of paths in one call, for networks other than MLPs: enough images to occupy all processors, and few enough
// that a run that is stopped loses little.
const networkPaths = 64

// pathPoints is the number of points of d dimensions in one call.
func (n *Network) pathPoints(d, paths int) int {
	if n.Model.Model.Net != nil {
		return max(1, networkPaths/paths)
	}
	return max(1, blockNumbers/(d*paths))
}

// Paths computes log q^h by the path integral of the points over draws of the dequantisation, for each h > 0: the values, by point
// and h, and the figures in bits of each h. If ctx ends, it returns its error with what was done before.
func (n *Network) Paths(ctx context.Context, p *Points, hs []float64, o Options, b BitsOptions) ([][]Value, []*Bits, error) {
	q, err := newDequantiser(b.Dequantise, p.Norm, n.Schedule, p.D, o.Seed)
	if err != nil {
		return nil, nil, err
	}
	r := &pathRun{Network: n, p: p, q: q, o: o, b: b, hs: hs, sets: b.labelSets(p.N()), all: make([][]pathDraws, p.N())}
	for i := range r.all {
		r.all[i] = make([]pathDraws, len(hs))
		for j := range r.all[i] {
			r.all[i][j].status = Interrupted
		}
	}
	err = r.run(ctx)
	if err != nil && ctx.Err() == nil {
		return nil, nil, err
	}
	values, bits := reducePaths(r.all, hs, q, b)
	return values, bits, err
}

// pathRun is the work of one Paths.
type pathRun struct {
	*Network
	p           *Points
	q           *dequantiser
	o           Options
	b           BitsOptions
	hs          []float64
	sets        [][]int
	all         [][]pathDraws
	done, total int // paths
}

func (r *pathRun) run(ctx context.Context) error {
	share := 1
	if r.o.Extrapolate {
		share = 3 // as PathIntegralExtrapolated counts
	}
	size := r.pathPoints(r.p.D, r.o.Path.Paths)
	r.total = len(r.sets) * r.p.N() * r.b.Draws * r.o.Path.Paths * len(r.hs) * share
	r.report(0)
	for k := range r.b.Draws {
		for at := 0; at < r.p.N(); at += size {
			part := min(size, r.p.N()-at)
			x, weights := r.draw(at, part, k)
			var of [][][]likelihood.PathEstimate // by class, point and h
			for c, labels := range r.sets {
				got, err := Saved(r.b.Journal, fmt.Sprintf("paths %d %d %d", c, k, at), func() ([][]likelihood.PathEstimate, error) { return r.weigh(ctx, x, at, k, labels) })
				if err != nil && (ctx.Err() == nil || len(r.sets) > 1) {
					return err
				}
				if of = append(of, got); err != nil {
					r.add(at, weights, of)
					return err
				}
				r.done += part * r.o.Path.Paths * len(r.hs) * share
			}
			r.add(at, weights, of)
		}
	}
	return nil
}

func (r *pathRun) report(part int) { r.o.stage(string(PathIntegral))(r.done+part, r.total) }

// draw makes draw k of count points from at on, with the weights that the dequantisation gives them.
func (r *pathRun) draw(at, count, k int) (x, weights []float64) {
	d := r.p.D
	x, weights = make([]float64, count*d), make([]float64, count)
	for i := range count {
		p := at + i
		weights[i] = r.q.draw(x[i*d:(i+1)*d], r.p.X[p*d:(p+1)*d], r.b.First+uint64(p)+uint64(k)<<drawShift)
	}
	if r.b.Dequantise == DequantiseNone {
		copy(x, r.p.Z[at*d:])
	}
	return x, weights
}

// weigh estimates log q^h of the points x, which are those from at on.
func (r *pathRun) weigh(ctx context.Context, x []float64, at, k int, labels []int) ([][]likelihood.PathEstimate, error) {
	net := r.Single
	if labels != nil {
		var err error
		if net, err = r.labelled(func(sample uint64) float64 { return float64(labels[sample/uint64(r.o.Path.Paths)-r.b.First]) }); err != nil {
			return nil, err
		}
	}
	s := r.o.Path
	s.Seed, s.Sample0 = drawSeed(r.o.Seed, k), r.b.First+uint64(at)
	if r.p.Own != nil {
		s.Own = r.p.Own[at : at+len(x)/r.p.D]
	}
	s.Progress = func(part, _ int) { r.report(part) }
	if r.o.Extrapolate {
		return likelihood.PathIntegralExtrapolated(ctx, net, r.Schedule, x, r.hs, s)
	}
	return likelihood.PathIntegral(ctx, net, r.Schedule, x, r.hs, s)
}

// add notes the estimates of points from at on, by class.
func (r *pathRun) add(at int, weights []float64, of [][][]likelihood.PathEstimate) {
	for i := range of[0] {
		for j := range r.hs {
			var each []likelihood.PathEstimate
			for _, c := range of {
				each = append(each, c[i][j])
			}
			r.all[at+i][j].add(r.o, mixEstimates(each, r.o.Path.LeastESS()), weights[i])
		}
	}
}

// drawSeed gives each draw paths of its own; that of the first draw is the seed itself, so that without dequantisation the paths are those
// of likelihood.PathIntegral.
func drawSeed(seed uint64, k int) uint64 { return seed + uint64(k)*0x9e3779b97f4a7c15 }

// labelled is the network in float32 with the label of each sample.
func (n *Network) labelled(label func(sample uint64) float64) (*solver.Network, error) {
	e, err := n.Engine.With(engine.Condition{Label: label})
	if err != nil {
		return nil, err
	}
	return solver.NewNetwork(e.Solver, n.Schedule, n.Prediction, solver.Float32)
}

// pathDraws is what is known of the draws of one point at one h.
type pathDraws struct {
	draws
	values []Value
	low    bool // a draw whose effective sample size is small
}

func (d *pathDraws) add(o Options, e likelihood.PathEstimate, weight float64) {
	v := o.pathValue(e)
	if e.Status == likelihood.Interrupted {
		return
	}
	d.values = append(d.values, v)
	if v.Status != OK {
		d.status = v.Status
		return
	}
	if d.status == Interrupted {
		d.status = OK
	}
	d.low = d.low || v.IsBound
	d.logQ, d.err, d.halving, d.weight = append(d.logQ, v.LogQ), append(d.err, v.Err), append(d.halving, 0), append(d.weight, weight)
}

// reducePaths makes values and bits of the draws.
func reducePaths(all [][]pathDraws, hs []float64, q *dequantiser, b BitsOptions) ([][]Value, []*Bits) {
	values := make([][]Value, len(all))
	for i := range all {
		values[i] = make([]Value, len(hs))
		for j := range hs {
			values[i][j] = all[i][j].value()
		}
	}
	bits := make([]*Bits, len(hs))
	for j := range hs {
		r := &Bits{H: hs[j], Points: make([]PointBits, len(all)), Kind: KindValue, byPaths: true}
		if b.Dequantise != DequantiseNone {
			r.Kind = KindBound
		}
		for i := range all {
			r.Points[i] = all[i][j].draws.point(q, true, b.Draws)
			if all[i][j].low {
				r.Kind = KindBound
			}
		}
		r.summarise(b)
		bits[j] = r
	}
	return values, bits
}

// value is the mean over draws. One draw is itself.
func (d *pathDraws) value() Value {
	switch len(d.values) {
	case 0:
		return none(d.status)
	case 1:
		return d.values[0]
	}
	v := none(d.status)
	v.IsBound = d.low
	b := &Bounds{Upper: math.NaN(), UpperErr: math.NaN()}
	var lower, ess []float64
	for _, w := range d.values {
		ess, lower = append(ess, w.ESS), append(lower, w.Bounds.Lower)
	}
	k := float64(len(lower))
	mean, variance := meanVariance(lower)
	b.Lower, b.LowerErr = mean, math.Sqrt(variance/k)
	v.ESS, _ = meanVariance(ess)
	v.Bounds = b
	if d.status == OK {
		mean, variance = meanVariance(d.logQ)
		v.LogQ, v.Err = mean, math.Sqrt(variance/k)
	}
	return v
}
