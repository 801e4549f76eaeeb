package loglik

import (
	"context"
	"fmt"
	"math"

	"hbar/engine"
	"hbar/solver"
	"hbar/solver/likelihood"
)

// BitsOptions are those of log q⁰ over draws of a dequantisation, and of its mesh.
type BitsOptions struct {
	Dequantise Dequantise
	Draws      int // of the dequantisation for each point; 1 without
	// Steps of the fixed mesh (likelihood.FlowFixed); 0: steps by the tolerance.
	Steps int
	// Labels are those of the points, nil for a network without classes.
	Labels []int
	First  uint64 // number of the first point for its random numbers
}

// draws is what is known of the draws of one point, in nats.
type draws struct {
	logQ    []float64 // log q⁰ of the network's coordinates, the mean over probes
	err     []float64 // standard error over the probes
	halving []float64 // difference that halving the steps made
	weight  []float64 // what the tight bound adds to log q⁰
	status  string    // of the first draw that failed, else OK; Interrupted if none was done
}

const (
	// blockNumbers bounds the coordinates of the rows that are integrated together: enough to fill the machine with images, few
	// enough to keep what is done when a run is stopped.
	blockNumbers = 1 << 17
	blockRows    = 4096
	netRows      = 32 // of networks other than MLPs, for which a row is much work
)

// BlockRows is how many points of d dimensions, with k probes each, are integrated together.
func (n *Network) BlockRows(d, k int) int {
	most := blockRows
	if n.Model.Model.Net != nil {
		most = netRows
	}
	return max(1, min(most, blockNumbers/d)/k)
}

// Flow computes log q⁰ of the points over draws of the dequantisation. If ctx ends, it returns its error with what was done before.
func (n *Network) Flow(ctx context.Context, p *Points, o Options, b BitsOptions) (*Bits, error) {
	q, err := newDequantiser(b.Dequantise, p.Norm, n.Schedule, p.D, o.Seed)
	if err != nil {
		return nil, err
	}
	all := make([]draws, p.N())
	for i := range all {
		all[i].status = Interrupted
	}
	total, done := p.N()*b.Draws, 0
	for _, group := range byLabel(b.Labels, p.N()) {
		net, err := n.under(b.Labels, group[0])
		if err != nil {
			return nil, err
		}
		rows := n.BlockRows(p.D, max(1, o.Probes))
		if o.Divergence == likelihood.Exact {
			rows = n.BlockRows(p.D, 1)
		}
		count := len(group) * b.Draws
		for at := 0; at < count; at += rows {
			part := min(rows, count-at)
			x, samples, weights := make([]float64, part*p.D), make([]uint64, part), make([]float64, part)
			for r := range part {
				i, k := group[(at+r)%len(group)], (at+r)/len(group)
				samples[r] = b.First + uint64(i) + uint64(k)<<drawShift
				weights[r] = q.draw(x[r*p.D:(r+1)*p.D], p.X[i*p.D:(i+1)*p.D], samples[r])
			}
			f := likelihood.FlowOptions{Divergence: o.Divergence, Probes: o.Probes, Seed: o.Seed, Samples: samples}
			f.Tol, f.Steps = o.Tol, b.Steps
			f.Progress = func(part, _ int) { o.stage(string(Flow))((done+part)/b.Draws, total/b.Draws) }
			solve := likelihood.Flow
			if b.Steps > 0 {
				solve = likelihood.FlowFixed
			}
			got, err := solve(ctx, net, n.Schedule, x, f)
			for r := range got {
				all[group[(at+r)%len(group)]].add(got[r], weights[r], b.Steps > 0)
			}
			if err != nil {
				if ctx.Err() == nil {
					return nil, err
				}
				return n.bits(all, q, o, b), err
			}
			done += part
		}
	}
	return n.bits(all, q, o, b), nil
}

// drawShift puts the number of the draw above that of the point, so that the noise of a draw does not depend on how many there are.
const drawShift = 44

// add notes one draw. A point with a draw that failed has no value: to leave such draws out would favour the others.
func (d *draws) add(p likelihood.FlowPoint, weight float64, halved bool) {
	switch {
	case p.Status == likelihood.Interrupted:
		return
	case p.Status != likelihood.OK:
		d.status = string(p.Status)
		return
	case d.status == Interrupted:
		d.status = OK
	}
	if !halved {
		p.Halving = math.NaN()
	}
	d.logQ, d.err, d.halving, d.weight = append(d.logQ, p.LogQ), append(d.err, p.StdErr), append(d.halving, p.Halving), append(d.weight, weight)
}

// under is the network that is told the label of point i.
func (n *Network) under(labels []int, i int) (*solver.Network, error) {
	if labels == nil {
		return n.Net, nil
	}
	y := float64(labels[i])
	e, err := n.Engine.With(engine.Condition{Label: func(uint64) float64 { return y }})
	if err != nil {
		return nil, err
	}
	return solver.NewNetwork(e.Solver, n.Schedule, n.Prediction, n.Net.Precision())
}

// byLabel are the points of each label, in order.
func byLabel(labels []int, n int) [][]int {
	var groups [][]int
	at := map[int]int{}
	for i := range n {
		label := 0
		if labels != nil {
			label = labels[i]
		}
		g, ok := at[label]
		if !ok {
			g = len(groups)
			at[label] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], i)
	}
	return groups
}

// CheckWhole refuses points that are no whole numbers for a dequantisation.
func (p *Points) CheckWhole() error {
	for i, v := range p.X {
		if v != math.Trunc(v) {
			return fmt.Errorf("%s: point %d, coordinate %d is %g, and dequantisation is for whole numbers; for continuous data take --dequantise none", p.Name, i/p.D, i%p.D, v)
		}
	}
	return nil
}
