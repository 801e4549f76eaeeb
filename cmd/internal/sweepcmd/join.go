package sweepcmd

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/shard"
	"hbar/cmd/internal/ui"
	"hbar/samples"
)

// opened is a shard with what it has found.
type opened struct {
	shardFile
	record
}

// Join writes what one process would have written as out, from all shards of a sweep, in any order.
func Join(ctx context.Context, io ui.Streams, out string, shards []*shard.Manifest) error {
	o, err := shard.Follow(shards[0], out, func(args []string) (options, error) { return parse(args, io.Out) })
	if err != nil {
		return err
	}
	if shards, err = shard.Complete(shards); err != nil {
		return err
	}
	if err := shard.NoOverwrite(shards, o.out, o.csv, o.plot, o.plotNLL, o.sheet); err != nil {
		return err
	}
	var all []opened
	for _, m := range shards {
		s, err := open(m)
		if err != nil {
			return m.Broken(fmt.Errorf("%s: %w", m.Path(), err))
		}
		all = append(all, s)
	}
	if err := alike(all); err != nil {
		return err
	}
	first := all[0]
	o.measures.names, o.sampler = first.Measures, first.Sampler
	res := &result{Options: o.record(), Versions: first.Versions, Model: first.ModelIs, Data: first.DataIs, Floors: first.Floors}
	for _, s := range all {
		res.Seconds += s.Seconds
	}
	if err := o.joinDistances(res, all); err != nil {
		return err
	}
	e, err := o.joinEstimates(all, first.Methods)
	if err != nil {
		return err
	}
	if err := o.conclude(res, e, first.Methods); err != nil {
		return err
	}
	report(io.Out, res)
	if err := o.write(ctx, io, res); err != nil {
		return err
	}
	return o.anything(res)
}

// open reads the values of a shard.
func open(m *shard.Manifest) (s opened, err error) {
	b, err := os.ReadFile(m.Path())
	if err != nil {
		return s, err
	}
	s.Manifest = m
	if err := json.Unmarshal(b, &s.shardFile); err != nil {
		return s, err
	}
	s.Manifest = m
	return s, shard.Open(s.Values, &s.record)
}

// alike refuses shards that took other data, or measured something else, though their options are the same.
func alike(all []opened) error {
	data := all[0]
	for _, s := range all {
		if !slices.Equal(s.Measures, all[0].Measures) || !slices.Equal(s.Methods, all[0].Methods) || s.Sampler != all[0].Sampler {
			return fmt.Errorf("%s and %s do not belong together: the one measures %v by %v, the other %v by %v", all[0].Path(), s.Path(), all[0].Measures, all[0].Methods, s.Measures, s.Methods)
		}
		switch {
		case s.Distance == "":
		case data.Distance == "":
			data = s
		case s.Distance != data.Distance:
			return fmt.Errorf("%s and %s do not belong together: they compare samples with other data, of SHA-256 %.12s and %.12s", data.Path(), s.Path(), data.Distance, s.Distance)
		}
	}
	return nil
}

// joinDistances puts the cells of all shards in their order.
func (o options) joinDistances(res *result, all []opened) error {
	if !o.distances() {
		return nil
	}
	n := len(o.steps) * len(o.strengths)
	cells, shown, have := make([]Cell, n), make([][]float64, n), make([]bool, n)
	for _, s := range all {
		for k, c := range s.Cells {
			if k >= len(s.At) || s.At[k] < 0 || s.At[k] >= n || have[s.At[k]] {
				return s.Broken(fmt.Errorf("%s has a cell that is not its own", s.Path()))
			}
			at := s.At[k]
			cells[at], have[at] = c, true
			if k < len(s.record.Shown) {
				shown[at] = s.record.Shown[k]
			}
		}
		if s.Floor != nil {
			res.Floor = s.Floor
		}
		res.Bands = append(res.Bands, s.Bands...)
	}
	if k := slices.Index(have, false); k >= 0 {
		owner := all[slices.IndexFunc(all, func(s opened) bool { return o.of(s).takesCell(k/len(o.strengths), k%len(o.strengths)) })]
		return owner.Broken(fmt.Errorf("%s lacks the cell of h = %v and %g steps", owner.Path(), o.strengths[k%len(o.strengths)], o.steps[k/len(o.strengths)]))
	}
	slices.SortFunc(res.Bands, func(a, b *Bands) int { return a.Steps - b.Steps })
	res.Cells = cells
	return o.joinSheet(res, all[0].shardFile.Shown, shown)
}

// of are the options as the process of a shard had them.
func (o options) of(s opened) options {
	o.shard.Shard = s.Of()
	return o
}

// joinSheet makes the rows of the sheet from the samples that the shards have kept.
func (o options) joinSheet(res *result, what *shownInfo, shown [][]float64) error {
	if o.sheet == "" {
		return nil
	}
	if what == nil {
		return fmt.Errorf("the shards have kept no samples for --sheet")
	}
	res.sheet = &rows{what: samples.Options{N: o.n, Shape: what.Shape, Low: what.Low, High: what.High}}
	for k, c := range res.Cells {
		if err := res.sheet.add(rowName(&c), shown[k]); err != nil {
			return err
		}
	}
	return nil
}

// joinEstimates puts the likelihoods of all points one after the other.
func (o options) joinEstimates(all []opened, methods []loglik.Method) (estimates, error) {
	var e estimates
	if len(methods) == 0 {
		return e, nil
	}
	var base []*loglik.Record
	paths := make([][]*loglik.Record, len(o.pathRuns()))
	points, wanted := 0, len(paths)
	if !slices.Contains(methods, loglik.PathIntegral) {
		wanted = 0
	}
	for _, s := range all {
		from, to := s.Of().Range(s.DataIs.NLLN)
		if from == to {
			continue
		}
		if s.Base == nil || s.Base.N != to-from || len(s.record.Paths) != wanted {
			return e, s.Broken(fmt.Errorf("%s lacks the likelihoods of its points", s.Path()))
		}
		points += s.Base.N
		base = append(base, s.Base)
		for k, p := range s.record.Paths {
			if p.N != s.Base.N {
				return e, s.Broken(fmt.Errorf("%s has paths of %d points; want %d", s.Path(), p.N, s.Base.N))
			}
			paths[k] = append(paths[k], p)
		}
	}
	if len(base) == 0 {
		return e, fmt.Errorf("%s has no points", all[0].Path())
	}
	e.base = loglik.Join(base).Results()
	for k := range wanted {
		e.paths = append(e.paths, loglik.Join(paths[k]).Results())
	}
	if !slices.Contains(methods, loglik.FokkerPlanck) {
		return e, nil
	}
	owner := all[o.inTurn()%len(all)]
	if owner.record.Grid == nil || owner.record.Grid.N != points {
		return e, owner.Broken(fmt.Errorf("%s lacks the likelihoods by fokkerplanck", owner.Path()))
	}
	e.base.Grid = owner.record.Grid.Grid
	return e, nil
}
