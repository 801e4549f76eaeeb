package likelihoodcmd

import (
	"context"
	"fmt"
	"io"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/rundir"
	"hbar/cmd/internal/shard"
	"hbar/cmd/internal/ui"
	"hbar/internal/memory"
	"hbar/solver/likelihood"
	"hbar/train"
)

// part is what the points of a shard are of.
type part struct {
	n, from, to int    // points of the whole set, and the range that is the shard's
	hash        string // of the whole set
	values      map[string]string
	line        []string
}

// unlike are the options that shards of one job may differ in, and the files that are compared by their hashes.
var unlike = append(shard.Names(), "out", "csv", "plot", "workers", "device", "checkpoint", "data", "resume")

// divide reads the options of the shard.
func (o *options) divide(set *flags.Set) error {
	if err := o.shard.Parse(); err != nil {
		return err
	}
	o.part = part{values: set.Values(unlike...), line: set.Line(append(shard.Names(), "resume")...)}
	if !o.shard.Shard.Given() {
		return nil
	}
	if o.Image != "" {
		return ui.Usagef("--image shows the densities of fokkerplanck, which shards do not keep; draw it without --shard, with a small --n")
	}
	if o.Out != "" {
		o.Out = shard.Beside(o.shard.Shard.Path(o.Out), ".json")
	}
	o.CSV, o.Plot = "", "" // they are made when the shards are joined
	return nil
}

// share is how many of n points are the process's own.
func (o *options) share(n int) int {
	from, to := o.shard.Shard.Range(n)
	return to - from
}

// pointsOfShard reads or generates the points that are the process's own, all without --shard, and tells the methods of what set they are.
func (o *options) pointsOfShard(ctx context.Context, streams ui.Streams, net *loglik.Network, s *loglik.Options, own memory.Need) (*loglik.Points, error) {
	if !o.shard.Shard.Given() {
		return o.points(ctx, streams, net, *s, own)
	}
	if o.Generated > 0 {
		return o.generateShard(ctx, streams, net, s, own)
	}
	whole, err := o.points(ctx, streams, net, *s, own)
	if err != nil {
		return nil, err
	}
	o.part.n, o.part.hash = whole.N(), whole.Digest()
	o.part.from, o.part.to = o.shard.Shard.Range(whole.N())
	s.Part = loglik.Part{First: o.part.from, N: whole.N(), Pilots: whole.Pick(likelihood.PilotNumbers(whole.N()))}
	return whole.Range(o.part.from, o.part.to), nil
}

// generateShard draws the points of the range, and the pilots where a mesh is made of them.
func (o *options) generateShard(ctx context.Context, streams ui.Streams, net *loglik.Network, s *loglik.Options, own memory.Need) (*loglik.Points, error) {
	o.part.n = o.Generated
	o.part.from, o.part.to = o.shard.Shard.Range(o.Generated)
	draw := func(from, to int) (*loglik.Points, error) {
		q := *o
		q.shard.Shard = shard.Shard{}
		q.First, q.Generated = o.First+uint64(from), to-from
		return q.points(ctx, streams, net, *s, own)
	}
	pilots := &loglik.Points{}
	for _, i := range likelihood.PilotNumbers(o.Generated) {
		p, err := draw(i, i+1)
		if err != nil {
			return nil, err
		}
		pilots.X, pilots.Z = append(pilots.X, p.X...), append(pilots.Z, p.Z...)
	}
	s.Part = loglik.Part{First: o.part.from, N: o.Generated, Pilots: pilots}
	if o.part.from == o.part.to {
		return &loglik.Points{Name: "no points", D: net.Net.Dim(), Norm: net.Norm}, nil
	}
	return draw(o.part.from, o.part.to)
}

// introduceShard says which points are computed.
func (o options) introduceShard(w io.Writer) {
	if s := o.shard.Shard; s.Given() {
		fmt.Fprintf(w, "shard     %d of %d by %s: points %d to %d of %d\n", s.Index, s.Count, s.Source, o.part.from, o.part.to-1, o.part.n)
	}
}

// shardInfo is what cmd/merge needs of a shard.
type shardInfo struct {
	*shard.Manifest
	// Values are the results to all digits, a sealed loglik.Record; none of a shard without points.
	Values []byte `json:"values,omitempty"`
}

// writeShard writes the result of the shard's points with what it is of. res is nil if it has none.
func (o options) writeShard(streams ui.Streams, net *loglik.Network, p *loglik.Points, res *result, record *loglik.Record) error {
	m, err := o.manifest(net)
	if err != nil {
		return err
	}
	if res == nil {
		res = &result{Options: o.record()}
	}
	res.Shard = &shardInfo{Manifest: m}
	if record != nil {
		if o.Generated > 0 {
			record.X, record.Labels = p.X, p.Labels
		}
		if res.Shard.Values, err = shard.Seal(record); err != nil {
			return err
		}
	}
	if err := rundir.WriteJSON(o.Out, res); err != nil {
		return err
	}
	fmt.Fprintf(streams.Out, "shard     %s\n", o.Out)
	return nil
}

func (o options) manifest(net *loglik.Network) (*shard.Manifest, error) {
	s := o.shard.Shard
	m := &shard.Manifest{Format: shard.Format, Command: "likelihood", Shard: s.Index, Shards: s.Count, Source: s.Source, Items: "points",
		From: o.part.from, To: o.part.to, N: o.part.n, Device: "cpu", Data: o.part.hash, Options: o.part.values, Args: o.part.line}
	m.Version, _ = train.Versions()
	if net.OnGPU() {
		m.Device = "cuda"
	}
	if o.OwnScore != ownOff && o.OwnScore != ownFit {
		m.Options["own-score"] = o.ownDigest()
	}
	var err error
	m.Model, err = o.shard.Inputs.Sum(o.Checkpoint, shard.HashModel)
	return m, err
}
