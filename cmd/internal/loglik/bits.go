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
	// SlopeSteps is the mesh of ℓ₁; 0: steps by the tolerance.
	SlopeSteps int
	// Labels are those of the points, nil for a network without classes.
	Labels []int
	// Marginal > 0 takes the mean of q over that many classes, in place of Labels.
	Marginal int
	First    uint64   // number of the first point for its random numbers
	Journal  *Journal // of blocks that are done, nil for none
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

// BlockRows is the number of points of d dimensions, with k probes each, that are integrated in one call.
func (n *Network) BlockRows(d, k int) int {
	most := blockRows
	if n.Model.Model.Net != nil {
		most = netRows
	}
	return max(1, min(most, blockNumbers/d)/k)
}

// meshStage is the stage of the progress of a fixed mesh.
const meshStage = "flow mesh"

// Flow computes log q⁰ of the points over draws of the dequantisation. If ctx ends, it returns its error with what was done before.
func (n *Network) Flow(ctx context.Context, p *Points, o Options, b BitsOptions) (*Bits, error) {
	q, err := newDequantiser(b.Dequantise, p.Norm, n.Schedule, p.D, o.Seed)
	if err != nil {
		return nil, err
	}
	var mixed [][]draws
	sets := b.labelSets(p.N())
	for c, labels := range sets {
		f := flowRun{Network: n, p: p, q: q, o: o, b: b, labels: labels, class: c, total: len(sets) * p.N() * b.Draws, done: c * p.N() * b.Draws}
		var all []draws
		all, err = f.run(ctx)
		if err != nil && ctx.Err() == nil {
			return nil, err
		}
		mixed = append(mixed, all)
		if err != nil {
			break
		}
	}
	return n.bits(mixDraws(mixed, len(sets)), q, o, b), err
}

// flowRun is Flow under one set of labels.
type flowRun struct {
	*Network
	p           *Points
	q           *dequantiser
	o           Options
	b           BitsOptions
	labels      []int
	class       int // number of the set
	done, total int // draws of points, of all sets
}

func (f *flowRun) run(ctx context.Context) ([]draws, error) {
	all := make([]draws, f.p.N())
	for i := range all {
		all[i].status = Interrupted
	}
	shared := f.o.Part.ofDraws(f.p, f.q, f.b)
	rows := f.BlockRows(f.p.D, max(1, f.o.Probes))
	if f.o.Divergence == likelihood.Exact {
		rows = f.BlockRows(f.p.D, 1)
	}
	for g, group := range byLabel(f.labels, f.p.N()) {
		net, err := f.under(f.labels, group[0])
		if err != nil {
			return nil, err
		}
		count := len(group) * f.b.Draws
		for at := 0; at < count; at += rows {
			block := newFlowBlock(f, group, at, min(rows, count-at))
			if f.b.Steps == 0 {
				block.part = shared
				block.part.Number = func(r int) int {
					if (at+r)/len(group) > 0 {
						return -1 // a further draw
					}
					return f.o.Part.First + group[(at+r)%len(group)]
				}
			}
			got, err := Saved(f.b.Journal, fmt.Sprintf("flow %d %d %d", f.class, g, at), func() ([]likelihood.FlowPoint, error) { return f.solve(ctx, net, block) })
			for r := range got {
				all[group[(at+r)%len(group)]].add(got[r], block.weights[r], f.b.Steps > 0)
			}
			if err != nil {
				return all, err
			}
			f.done += len(got)
		}
	}
	return all, nil
}

// flowBlock are draws of points that are integrated together.
type flowBlock struct {
	x, weights []float64
	samples    []uint64
	part       likelihood.Part // of the points, for steps by tolerance
}

func newFlowBlock(f *flowRun, group []int, at, rows int) *flowBlock {
	d := f.p.D
	b := &flowBlock{x: make([]float64, rows*d), weights: make([]float64, rows), samples: make([]uint64, rows)}
	for r := range rows {
		i, k := group[(at+r)%len(group)], (at+r)/len(group)
		b.samples[r] = f.b.First + uint64(i) + uint64(k)<<drawShift
		b.weights[r] = f.q.draw(b.x[r*d:(r+1)*d], f.p.X[i*d:(i+1)*d], b.samples[r])
		if f.b.Dequantise == DequantiseNone {
			copy(b.x[r*d:(r+1)*d], f.p.Z[i*d:(i+1)*d])
		}
	}
	return b
}

func (f *flowRun) solve(ctx context.Context, net *solver.Network, b *flowBlock) ([]likelihood.FlowPoint, error) {
	o := likelihood.FlowOptions{Divergence: f.o.Divergence, Probes: f.o.Probes, Seed: f.o.Seed, Samples: b.samples}
	o.Tol, o.Steps, o.Velocities, o.Part = f.o.Tol, f.b.Steps, f.o.Velocities, b.part
	solve := likelihood.FlowFixed
	o.Progress = func(part, _ int) { f.o.stage(meshStage)(f.done*o.Steps+part, f.total*o.Steps) }
	if o.Steps == 0 {
		solve = likelihood.Flow
		o.Progress = func(part, _ int) { f.o.stage(string(Flow))((f.done+part)/f.b.Draws, f.total/f.b.Draws) }
	}
	got, err := solve(ctx, net, f.Schedule, b.x, o)
	for i := range got {
		got[i].End = nil
	}
	return got, err
}

// drawShift places the number of the draw in the bits above that of the point, so that the noise of a draw does not depend on their number.
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

// under is the network under the label of point i.
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
