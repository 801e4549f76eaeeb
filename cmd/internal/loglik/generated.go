package loglik

import (
	"context"

	"hbar/solver/likelihood"
)

// Generate draws count points of the chain of o at h > 0, from number first on, with the weights of the paths that made them.
// label is the label of each by its number, nil for a network without classes.
func (n *Network) Generate(ctx context.Context, first uint64, count int, h float64, o Options, label func(sample uint64) int) (*Points, error) {
	net := n.Single
	if label != nil {
		var err error
		if net, err = n.labelled(func(sample uint64) float64 { return float64(label(sample)) }); err != nil {
			return nil, err
		}
	}
	s := o.Path
	s.Seed, s.Sample0, s.Progress = o.Seed, first, o.stage("generated")
	made, err := likelihood.Generate(ctx, net, n.Schedule, count, h, s)
	if err != nil {
		return nil, err
	}
	d := n.Net.Dim()
	p := &Points{Name: "the chain's own samples", D: d, Z: made.X, X: make([]float64, len(made.X)), Norm: n.Norm, NormSource: "checkpoint", Shape: n.SampleShape(), Own: made.LogW, Fresh: true}
	if n.Norm.IsIdentity() && n.Version == "" {
		p.NormSource = "none: the checkpoint has none"
	}
	p.Norm.Invert(p.X, p.Z, d)
	if label != nil {
		for i := range count {
			p.Labels = append(p.Labels, int32(label(first+uint64(i))))
		}
	}
	return p, nil
}
