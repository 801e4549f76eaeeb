package sweepcmd

import (
	"context"
	"fmt"
	"io"
	"slices"

	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/model"
	"hbar/cmd/internal/shard"
	"hbar/cmd/internal/ui"
	"hbar/solver"
)

// found is what the work of a process has found beside the result.
type found struct {
	estimates
	at        []int           // numbers of the cells among those of the whole sweep
	points    string          // digests of the points of likelihoods
	distances string          // and of what samples are compared with; "" if this process compares none
	journal   *loglik.Journal // of what a shard has done; nil: none is kept
}

// measure does the work of the process, and fills in what does not need the work of others. When ctx ends, it returns what was complete
// before.
func (o options) measure(ctx context.Context, net *loglik.Network, methods []loglik.Method, res *result, report func(string, int, int), w io.Writer) (f found, err error) {
	var points *loglik.Points
	likely := net
	if len(methods) > 0 {
		if likely, err = o.unconditional(net); err != nil {
			return f, err
		}
		if likely != net {
			defer likely.Close()
		}
		if points, err = ui.Wait(ctx, io.Discard, "reading the points", func() (*loglik.Points, error) { return o.nllPoints(net) }); err != nil {
			return f, err
		}
		if points.Pixels() && points.AreWhole() {
			if err := points.AddUniform(o.Seed); err != nil {
				return f, err
			}
		}
		points.Introduce(w)
		res.Data = dataInfo{Name: points.Name, Fresh: points.Fresh, NLLN: points.N(), LogDet: points.LogDet()}
		f.points = points.Digest()
	}
	o.introduceShard(w, points, methods)
	compares := o.distances() && (o.ownCells() > 0 || o.takesFloor())
	m := &distances{net: net, o: o, d: net.Net.Dim(), report: report, w2: o.measures.has(metricW2)}
	if compares {
		if err := m.prepare(ctx, res, points == nil, w); err != nil {
			return f, err
		}
		f.distances = m.digest()
	}
	if f.journal, err = o.journal(net, f); err != nil {
		return f, err
	}
	if done := f.journal.Done(); done > 0 {
		fmt.Fprintf(w, "resume    done: %s of %s\n", ui.Plural(int64(done), "part"), o.journalFile())
	}
	if compares {
		m.journal = f.journal
		err = m.run(ctx)
		res.Cells, res.Floor, res.sheet, res.Bands, f.at = m.cells, m.floor, m.rows, m.bands, m.at
	}
	if err != nil || len(methods) == 0 {
		return f, err
	}
	l := &likelihoods{o: o, net: likely, methods: methods, points: points, report: report, journal: f.journal}
	f.estimates, err = l.run(ctx)
	return f, err
}

// prepare reads what samples are compared with.
func (m *distances) prepare(ctx context.Context, res *result, introduce bool, w io.Writer) (err error) {
	if m.rows, err = newRows(m.net, m.o); err != nil {
		return err
	}
	res.Data.N, res.Data.Units = m.o.n, unitsData
	if len(m.o.measures.resampled()) > 0 {
		if m.q, err = newQuality(ctx, m.net, m.o); err != nil {
			return err
		}
		res.Floors = m.q.floor
		if res.Data.Name == "" {
			res.Data.Name = m.o.Data
		}
	}
	if !m.w2 {
		return nil
	}
	m.scaled = unlike(m.net.Norm.Scale) && m.q == nil
	var p *loglik.Points
	if m.data, p, err = batches(m.net, m.o, m.scaled); err != nil {
		return err
	}
	if introduce {
		p.Introduce(w)
	}
	m.classes = p.Labels
	res.Data.Name, res.Data.Fresh, res.Data.N = p.Name, p.Fresh, len(m.data[0])/m.d
	if m.scaled {
		res.Data.Units = unitsNetwork
	}
	return nil
}

// unconditional is the network as likelihoods take it: of one class, or without labels.
func (o options) unconditional(net *loglik.Network) (*loglik.Network, error) {
	if net.Config().Classes() == 0 || o.class != "" && o.class != model.ClassAll {
		return net, nil
	}
	n, err := shard.Input(o.shard.Inputs, o.Checkpoint, shard.HashModel, func() (*loglik.Network, error) { return loglik.LoadNetwork(o.Flags) })
	if err != nil {
		return nil, fmt.Errorf("likelihoods by sweep are of one class or of none: %w; --class K names one, and --metric without nll leaves likelihoods out", err)
	}
	return n, nil
}

// nllPoints are the points of the likelihoods: behind those of the distances if drawn anew, else some of the file, at random and the same for
// every seed.
func (o options) nllPoints(net *loglik.Network) (*loglik.Points, error) {
	const behind = 1 << 36
	p, err := net.LoadPoints(o.Source, behind, o.nllN, 0)
	if err == nil && p.Fresh {
		return p, nil
	}
	return o.draw(net, o.nllN, 0)
}

// conclude summarises the likelihoods, tests every series, and joins what those at the largest number of steps say. The expansion is not
// accurate beyond small h, and does not count.
func (o options) conclude(res *result, e estimates, methods []loglik.Method) error {
	all := o.distanceSeries(res.Cells)
	var of []series
	res.NLL, of = o.likelihoodsOf(e, methods, res.Data.LogDet)
	all = append(all, of...)
	last := int(o.steps[len(o.steps)-1])
	var votes []*Recommendation
	for _, s := range all {
		r, err := decide(s, o.confidence)
		if err != nil {
			return err
		}
		res.Recommendations = append(res.Recommendations, r)
		if (s.steps == 0 || s.steps == last) && s.measure != "nll_"+string(loglik.WKB) {
			votes = append(votes, r)
		}
	}
	res.NotWorse = agree(votes)
	var worse []solver.Strength
	for _, h := range o.strengths {
		if slices.ContainsFunc(votes, func(r *Recommendation) bool { return slices.Contains(r.Worse, h) }) {
			worse = append(worse, h)
		}
	}
	switch {
	case !slices.ContainsFunc(votes, func(r *Recommendation) bool { return len(r.H) > 1 }):
		res.Text = "nothing to compare"
	case len(worse) == 0:
		res.Text = fmt.Sprintf("no significant difference between h = %s by any measure", list(o.strengths))
	case len(res.NotWorse) == 0:
		res.Text = "the measures disagree: each h is significantly worse than another by one of them"
	case len(res.NotWorse) == 1:
		res.Text = fmt.Sprintf("use h = %v; h = %s significantly worse", res.NotWorse[0], list(worse))
	default:
		from := ""
		if s := span(res.NotWorse); s != nil {
			from = fmt.Sprintf(" from %g to %g", s[0], s[1])
		}
		res.Text = fmt.Sprintf("use any h%s: no significant difference between h = %s; h = %s significantly worse", from, list(res.NotWorse), list(worse))
	}
	return nil
}
