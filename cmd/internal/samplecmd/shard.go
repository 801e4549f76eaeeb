package samplecmd

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/model"
	"hbar/cmd/internal/shard"
	"hbar/cmd/internal/ui"
	"hbar/data"
	"hbar/samples"
	"hbar/train"
)

// part is what the samples of a shard are of.
type part struct {
	all    int    // samples of the whole
	from   int    // the first of the shard among them
	first  uint64 // number of the first of the whole
	values map[string]string
	line   []string
}

// unlike are the options that shards of one job may differ in, and the files that are compared by their hashes.
var unlike = append(shard.Names(), "out", "sheet", "plot", "weights", "workers", "batch", "device", "checkpoint")

// divide reads the options of the shard, and leaves the samples that are its.
func (o *options) divide(set *flags.Set) error {
	if err := o.shard.Parse(); err != nil {
		return err
	}
	from, to := o.shard.Shard.Range(o.n)
	o.part = part{all: o.n, from: from, first: o.first, values: set.Values(unlike...), line: set.Line(shard.Names()...)}
	if o.rewardFile() {
		delete(o.part.values, "reward")
	}
	if o.shard.Shard.Given() && o.shard.Shard.Path(o.out) != suffixed(o.out, o.shard.Shard.Suffix()) {
		return ui.Usagef("--out %s: a shard is a file of its own, to be joined with the others; name a file", o.out)
	}
	if o.shard.Shard.Given() && o.show != "" {
		return ui.Usagef("--show draws the samples of a whole job, not those of a shard; leave it out")
	}
	o.n, o.first = to-from, o.first+uint64(from)
	return nil
}

// rewardFile reports whether --reward names a file.
func (o options) rewardFile() bool {
	return strings.EqualFold(filepath.Ext(o.tilt.reward), ".npz") || o.tilt.classifier()
}

// claim takes the files of all runs of a shard for this process, until release is called.
func (o options) claim() (release func(), err error) {
	var all []func()
	release = func() {
		for _, f := range all {
			f()
		}
	}
	if !o.shard.Shard.Given() {
		return release, nil
	}
	for _, r := range o.runs() {
		one, err := shard.Claim(r.out)
		if err != nil {
			release()
			return nil, err
		}
		all = append(all, one)
	}
	return release, nil
}

// mostOnSheet is how many samples a contact sheet may show, by any of its layouts.
const mostOnSheet = samples.SheetRoom

// shows is how many of the run's samples are kept for pictures: of a shard those among the first of the whole, which are drawn when the shards
// are joined.
func (o options) shows(d int) int {
	most := 0
	if o.plot != "" || o.show != "" {
		most = min(o.part.all, shownSamples, max(shownNumbers/d, 400))
	}
	if o.shard.Shard.Given() && o.sheet != "" {
		most = max(most, min(o.part.all, mostOnSheet))
	}
	return min(max(most-o.part.from, 0), o.n)
}

// about is what is known of samples beyond their numbers.
type about struct {
	Shape     []int      `json:"shape"`
	DType     data.DType `json:"dtype"`
	Low       float64    `json:"low"` // values of black and white
	High      float64    `json:"high"`
	Rate      int        `json:"rate"`
	Alphabet  string     `json:"alphabet,omitempty"` // of text
	Labels    []int      `json:"labels,omitempty"`   // of the first samples of the whole
	Columns   []string   `json:"columns,omitempty"`
	Data      string     `json:"data"`
	Schedule  string     `json:"schedule"`
	NonFinite int        `json:"not_finite"` // samples of this part
}

func (a about) d() int {
	d := 1
	for _, v := range a.Shape {
		d *= v
	}
	return d
}

// about describes the samples of a run.
func (o options) about(m *model.Model, what samples.Options) about {
	a := about{Shape: what.Shape, DType: what.DType, Low: what.Low, High: what.High, Rate: what.SampleRate, Alphabet: string(what.Alphabet), Columns: m.Columns, Data: m.Data, Schedule: m.Schedule.Name()}
	if what.Label != nil {
		for i := range min(o.part.all, mostOnSheet) {
			a.Labels = append(a.Labels, int(m.Label(o.part.first+uint64(i))))
		}
	}
	return a
}

// samples are the options of n of them, with labels if they are among the first of the whole.
func (a about) samples(n int) samples.Options {
	s := samples.Options{N: n, Shape: a.Shape, DType: a.DType, Low: a.Low, High: a.High, SampleRate: a.Rate}
	if a.Alphabet != "" {
		s.Alphabet = data.Alphabet(a.Alphabet)
	}
	if len(a.Labels) > 0 {
		s.Label = func(i int) int { return a.Labels[min(i, len(a.Labels)-1)] }
	}
	return s
}

// introduceShard says which samples are drawn.
func (o options) introduceShard(w io.Writer) {
	if s := o.shard.Shard; s.Given() {
		fmt.Fprintf(w, "shard     %d of %d by %s: samples %d to %d of %d\n", s.Index, s.Count, s.Source, o.part.from, o.part.from+o.n-1, o.part.all)
	}
}

// manifest says what the shard is, before it has files.
func (o options) manifest(m *model.Model, a about) (*shard.Manifest, error) {
	s := o.shard.Shard
	out := &shard.Manifest{Format: shard.Format, Command: "sample", Shard: s.Index, Shards: s.Count, Source: s.Source, Items: "samples",
		From: o.part.from, To: o.part.from + o.n, N: o.part.all, Name: o.name, Device: "cpu", Options: o.part.values, Args: o.part.line}
	out.Version, _ = train.Versions()
	if m.OnGPU() {
		out.Device = "cuda"
	}
	var err error
	if out.Model, err = o.shard.Inputs.Sum(o.Checkpoint, shard.HashModel); err == nil && o.rewardFile() {
		out.Reward, err = o.shard.Inputs.Sum(o.tilt.reward, shard.Hash)
	}
	if err == nil {
		out.About, err = json.Marshal(a)
	}
	return out, err
}

// written is a file of a run with its role in a manifest.
type written struct{ role, path string }

// writeShard writes the samples for the pictures, and the manifest, which makes the shard complete.
func (o options) writeShard(io ui.Streams, m *model.Model, out *output) error {
	a := o.about(m, out.what)
	a.NonFinite = out.nonFinite
	manifest, err := o.manifest(m, a)
	if err != nil {
		return err
	}
	files := out.paths
	if o.tilt.weights != "" {
		files = append(files, written{"weights", o.tilt.weights})
	}
	if len(out.shown) > 0 {
		path := shard.Beside(o.out, "-shown.npy")
		if err := data.WriteNpy(path, data.Float64, out.shown, a.d()); err != nil {
			return err
		}
		files = append(files, written{"shown", path})
	}
	for _, f := range files {
		if err := manifest.Add(f.role, f.path); err != nil {
			return err
		}
	}
	path := shard.Beside(o.out, ".json")
	if err := manifest.Write(path); err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "shard     %s\n", path)
	return nil
}

// empty writes the manifests of a shard without samples.
func (o options) empty(io ui.Streams, m *model.Model, runs []options) error {
	for _, r := range runs {
		what, err := r.describe(m.Model, m.Norm.DType(m.D()))
		if err != nil {
			return err
		}
		if m.Label != nil && o.class != model.ClassNone {
			what.Label = func(int) int { return 0 } // there are labels
		}
		if err := r.writeShard(io, m, &output{what: what}); err != nil {
			return err
		}
	}
	fmt.Fprintf(io.Out, "%v is empty: %s samples are fewer than the parts\n", o.shard.Shard, ui.Count(int64(o.part.all)))
	return nil
}

// wanted are the roles of the files that each shard with samples has.
func (o options) wanted() []string {
	roles := []string{"samples"}
	if len(o.trajectory) > 0 {
		roles = append(roles, "trajectory", "times")
	}
	if o.tilt.weights != "" {
		roles = append(roles, "weights")
	}
	return slices.Clip(roles)
}
