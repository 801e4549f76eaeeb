package sweepcmd

import (
	"fmt"
	"strings"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/rundir"
	"hbar/cmd/internal/shard"
	"hbar/cmd/internal/ui"
	"hbar/metrics"
	"hbar/train"
)

// part is what the manifest of a shard takes from the command line.
type part struct {
	values map[string]string
	line   []string
}

// notCompared are the options that shards of one sweep may differ in, and the files that are compared by their hashes.
var notCompared = append(shard.Names(), "out", "csv", "plot", "plot-nll", "sheet", "workers", "device", "checkpoint", "data", "classifier", "metric", "resume")

// divide reads the options of the shard.
func (o *options) divide(set *flags.Set) error {
	if err := o.shard.Parse(); err != nil {
		return err
	}
	o.part = part{values: set.Values(notCompared...), line: set.Line(append(shard.Names(), "resume")...)}
	if o.resume && !o.shard.Shard.Given() {
		return ui.Usagef("--resume goes on with a shard; without --shard a sweep that is stopped begins anew")
	}
	if o.shard.Shard.Given() && o.out != "" {
		o.out = shard.Beside(o.shard.Shard.Path(o.out), ".json")
	}
	return nil
}

// shardFile is what a shard writes: what it is of, and what it has found, from which cmd/merge makes the result.
type shardFile struct {
	*shard.Manifest
	Versions map[string]string `json:"versions"`
	ModelIs  modelInfo         `json:"model"`
	DataIs   dataInfo          `json:"data"`
	Measures []string          `json:"measures"`
	Methods  []loglik.Method   `json:"methods"`
	Sampler  string            `json:"sampler"`
	Distance string            `json:"distance_data_sha256,omitempty"` // of what samples are compared with
	Shown    *shownInfo        `json:"shown,omitempty"`
	Seconds  float64           `json:"seconds"`
	Values   []byte            `json:"values"` // a record
}

// shownInfo is what a sheet needs to know of its samples.
type shownInfo struct {
	Shape     []int `json:"shape"`
	Low, High float64
}

// record is what a shard has found, to all digits and with what is not finite.
type record struct {
	Cells  []Cell
	At     []int // their numbers among those of the whole sweep
	Shown  [][]float64
	Floor  *metrics.Floor
	Floors map[string]*metrics.Resampled
	Bands  []*Bands
	// Base and Paths are the likelihoods of the shard's points, none if it has none; Grid those of all points by fokkerplanck.
	Base, Grid *loglik.Record
	Paths      []*loglik.Record
}

func recordOf(res *result, f found) record {
	r := record{Cells: res.Cells, At: f.at, Floor: res.Floor, Floors: res.Floors, Bands: res.Bands}
	if res.sheet != nil {
		r.Shown = res.sheet.shown
	}
	if f.base != nil {
		r.Base = loglik.NewRecord(f.base, nil, nil, nil)
	}
	if f.grid != nil {
		r.Grid = loglik.NewRecord(f.grid, nil, nil, nil)
	}
	for _, p := range f.paths {
		r.Paths = append(r.Paths, loglik.NewRecord(p, nil, nil, nil))
	}
	return r
}

// writeShard writes what the process has found.
func (o options) writeShard(io ui.Streams, net *loglik.Network, res *result, f found, methods []loglik.Method) error {
	m, err := o.manifest(net, f)
	if err != nil {
		return err
	}
	out := &shardFile{Manifest: m, Versions: res.Versions, ModelIs: res.Model, DataIs: res.Data, Measures: o.measures.names, Methods: methods, Sampler: o.sampler,
		Distance: f.distances, Seconds: res.Seconds}
	if res.sheet != nil {
		w := res.sheet.what
		out.Shown = &shownInfo{w.Shape, w.Low, w.High}
	}
	if out.Values, err = shard.Seal(recordOf(res, f)); err != nil {
		return err
	}
	if err := rundir.WriteJSON(o.out, out); err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "shard     %s\n", o.out)
	return nil
}

// manifest says what the shard is. Its items are the parts themselves: each has its share of the cells and of the points.
func (o options) manifest(net *loglik.Network, f found) (*shard.Manifest, error) {
	s := o.shard.Shard
	m := &shard.Manifest{Format: shard.Format, Command: "sweep", Shard: s.Index, Shards: s.Count, Source: s.Source, Items: "parts", From: s.Index, To: s.Index + 1, N: s.Count,
		Device: "cpu", Data: f.points, Options: o.part.values, Args: o.part.line}
	m.Version, _ = train.Versions()
	if net.OnGPU() {
		m.Device = "cuda"
	}
	var err error
	if m.Model, err = o.shard.Inputs.Sum(o.Checkpoint, shard.HashModel); err != nil {
		return nil, err
	}
	if m.Options["classifier"] = ""; o.measures.features() {
		if m.Options["classifier"], err = o.shard.Inputs.Sum(o.classifier, shard.Hash); err != nil {
			return nil, err
		}
	}
	names := make([]string, len(o.measures.names))
	for i, name := range o.measures.names {
		names[i] = name
		if path := o.measures.files[name]; path != "" {
			sum, err := o.shard.Inputs.Sum(path, shard.Hash)
			if err != nil {
				return nil, err
			}
			names[i] += ":" + sum
		}
	}
	m.Options["metric"] = strings.Join(names, ",")
	return m, nil
}

// digest names the data that samples are compared with.
func (m *distances) digest() string {
	if !m.o.shard.Shard.Given() {
		return ""
	}
	var all []float64
	var labels []int32
	for _, batch := range m.data {
		all = append(all, batch...)
	}
	if m.q != nil {
		all, labels = append(all, m.q.pixels...), m.q.labels
		for _, name := range []string{metricFrechet, metricKernel} {
			if f := m.q.reference[name]; f != nil {
				all = append(all, f.X...)
			}
		}
	}
	return (&loglik.Points{X: all, Labels: labels}).Digest()
}
