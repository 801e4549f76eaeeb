package samplecmd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"hbar/cmd/internal/shard"
	"hbar/cmd/internal/ui"
	"hbar/data"
	"hbar/data/npz"
	"hbar/samples"
)

// Join writes what one process would have written as out, from the shards of all its runs, in any order.
func Join(ctx context.Context, io ui.Streams, out string, shards []*shard.Manifest) error {
	o, err := shard.Follow(shards[0], out, func(args []string) (options, error) { return parse(args, io.Out) })
	if err != nil {
		return err
	}
	runs := o.runs()
	groups := make([][]*shard.Manifest, len(runs))
	for i, r := range runs { // all are checked before anything is written
		if groups[i], err = r.collect(shards); err != nil {
			return err
		}
	}
	if err := sameJob(groups); err != nil {
		return err
	}
	outputs := []string{o.sheet}
	for _, r := range runs {
		states, times := r.trajectoryFiles()
		outputs = append(outputs, r.out, r.plot, r.tilt.weights, states, times)
	}
	if err := shard.NoOverwrite(shards, outputs...); err != nil {
		return err
	}
	shown := &sheets{}
	for i, r := range runs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.join(ctx, io, groups[i], shown); err != nil {
			return err
		}
	}
	return o.finish(io, shown)
}

// collect finds the shards of the run, and refuses them unless they are whole, belong together and are all there.
func (o options) collect(shards []*shard.Manifest) ([]*shard.Manifest, error) {
	var own []*shard.Manifest
	for _, m := range shards {
		if m.Name == o.name {
			own = append(own, m)
		}
	}
	if len(own) == 0 {
		return nil, shards[0].Incomplete(o.name)
	}
	own, err := shard.Complete(own)
	if err != nil {
		return nil, err
	}
	for _, m := range own {
		if m.N != o.n {
			return nil, fmt.Errorf("%s says that it is of %d samples, and its command line draws %d", m.Path(), m.N, o.n)
		}
		for _, role := range o.wanted() {
			if m.To > m.From && m.File(role) == "" {
				return nil, m.Broken(fmt.Errorf("%s names no file of %s", m.Path(), role))
			}
		}
		if path := m.File("samples"); path != "" && ending(path) != ending(o.out) {
			return nil, fmt.Errorf("%s is of another kind than --out %s; name the output as the shards are", path, o.out)
		}
		if err := m.Verify(); err != nil {
			return nil, m.Broken(err)
		}
	}
	return own, nil
}

// ending is that of an output's name; of a folder it is "".
func ending(path string) string {
	if st, err := os.Stat(path); err == nil && st.IsDir() || samples.IsFolder(path) {
		return ""
	}
	return strings.ToLower(filepath.Ext(path))
}

// sameJob refuses runs of different jobs.
func sameJob(groups [][]*shard.Manifest) error {
	for _, g := range groups[1:] {
		if err := shard.SameJob(groups[0][0], g[0]); err != nil {
			return err
		}
	}
	return nil
}

// join writes the files of a run.
func (o options) join(ctx context.Context, io ui.Streams, shards []*shard.Manifest, shown *sheets) error {
	var a about
	nonFinite := 0
	var full []*shard.Manifest // those with samples
	for _, m := range shards {
		if m.To == m.From {
			continue
		}
		a = about{}
		if err := json.Unmarshal(m.About, &a); err != nil {
			return fmt.Errorf("%s: %w", m.Path(), err)
		}
		nonFinite += a.NonFinite
		full = append(full, m)
	}
	if nonFinite == o.n {
		return fmt.Errorf("none of %s is finite, and nothing is written", ui.Plural(int64(o.n), "sample"))
	}
	if nonFinite > 0 {
		fmt.Fprintf(io.Err, "merge: warning: not finite: %s of %s; the file has them as they are\n", ui.Count(int64(nonFinite)), ui.Plural(int64(o.n), "sample"))
	}
	parts := func(role string) []samples.Part {
		var out []samples.Part
		for _, m := range full {
			out = append(out, samples.Part{Path: m.File(role), N: m.To - m.From})
		}
		return out
	}
	if err := o.joinTrajectory(a, parts); err != nil {
		return err
	}
	what := a.samples(o.n)
	what.Label = nil // they come with the parts
	if _, err := ui.Wait(ctx, io.Err, "joining "+o.out, func() (struct{}, error) { return struct{}{}, samples.Join(o.out, parts("samples"), what) }); err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "written   %s, %d × %s, %s, from %d shards\n", o.out, o.n, data.Size(a.Shape), o.kind(what), len(full))
	if o.tilt.weights != "" {
		if err := joinWeights(o.tilt.weights, o.n, parts("weights")); err != nil {
			return err
		}
		fmt.Fprintf(io.Out, "written   %s\n", o.tilt.weights)
	}
	return o.joinPictures(ctx, io, a, full, shown)
}

// joinTrajectory joins the recorded states; their times are the same in all parts.
func (o options) joinTrajectory(a about, parts func(role string) []samples.Part) error {
	if len(o.trajectory) == 0 {
		return nil
	}
	var times []byte
	all := parts("times")
	for _, p := range all {
		b, err := os.ReadFile(p.Path)
		if err != nil {
			return err
		}
		if times != nil && !bytes.Equal(b, times) {
			return fmt.Errorf("%s and %s have states at different times", all[0].Path, p.Path)
		}
		times = b
	}
	at, err := npz.ReadNpy(all[0].Path)
	if err != nil {
		return err
	}
	states, timesPath := o.trajectoryFiles()
	if err := samples.JoinNpy(states, parts("trajectory"), a.DType, len(o.trajectory), a.d()); err != nil {
		return err
	}
	return data.WriteNpy(timesPath, data.Float64, at.X)
}

func joinWeights(path string, n int, parts []samples.Part) error {
	all := map[string]*npz.Array{}
	for _, name := range []string{"log_weight", "reward"} {
		all[name] = &npz.Array{Shape: []int{n}}
	}
	for _, p := range parts {
		some, err := npz.Read(p.Path)
		if err != nil {
			return err
		}
		for name, a := range all {
			if some[name] == nil || len(some[name].X) != p.N {
				return fmt.Errorf("%s: no %s of %d samples", p.Path, name, p.N)
			}
			a.X = append(a.X, some[name].X...)
		}
	}
	return npz.Write(path, all)
}

// joinPictures draws what was asked for from the first samples, which the shards have kept beside their files.
func (o options) joinPictures(ctx context.Context, io ui.Streams, a about, shards []*shard.Manifest, shown *sheets) error {
	if o.sheet == "" && o.plot == "" {
		return nil
	}
	var x []float64
	for _, m := range shards {
		path := m.File("shown")
		if path == "" {
			break
		}
		some, err := npz.ReadNpy(path)
		if err != nil {
			return err
		}
		x = append(x, some.X...)
	}
	d := a.d()
	if o.sheet != "" {
		sheet, err := samples.NewSheet(a.samples(o.n), samples.SheetRoom, 0)
		if o.name != "" {
			sheet, err = samples.NewRow(a.samples(o.n))
		}
		if err != nil {
			return err
		}
		sheet.Add(x)
		if left, kept := sheet.Left(), len(x)/d; left > 0 {
			return tooFew(kept, "sheet", kept+left)
		}
		shown.add(o.name, sheet)
		if o.name == "" {
			if err := o.finish(io, shown); err != nil {
				return err
			}
			shown.rows = nil // it is drawn
		}
	}
	if o.plot == "" {
		return nil
	}
	most := min(o.n, shownSamples, max(shownNumbers/d, 400)) * d
	if len(x) < most {
		return tooFew(len(x)/d, "plot", most/d)
	}
	if _, err := ui.Wait(ctx, io.Err, "drawing the picture", func() (struct{}, error) { return struct{}{}, o.plotSamples(a, x[:most]) }); err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "picture   %s\n", o.plot)
	return nil
}

// tooFew is the error of a picture for which the shards have not kept all samples that it shows.
func tooFew(kept int, option string, shown int) error {
	return fmt.Errorf("the shards have kept %d samples for --%s, which shows %d; were some run without it?", kept, option, shown)
}
