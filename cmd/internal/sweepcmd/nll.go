package sweepcmd

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"hbar/cmd/internal/loglik"
	"hbar/solver"
)

// Likelihood is the summary of one method at one strength. Steps is null where it does not depend on them. H is null of a profile.
type Likelihood struct {
	loglik.Summary
	Steps   *int   `json:"steps"`
	Profile string `json:"profile,omitempty"`
}

// strength is that of the summary.
func (s Likelihood) strength() solver.Strength {
	if s.Profile == "" {
		return solver.Constant(float64(s.H))
	}
	p, _ := solver.ParseStrength(s.Profile) // it was made of one
	return p
}

// pathRun is one evaluation of the path integral: of a chain of so many steps at all constants, or at one profile.
type pathRun struct {
	steps   int
	profile solver.Strength // a constant: all constants
}

// varies reports whether the strength varies along the way.
func (p pathRun) varies() bool {
	_, constant := p.profile.IsConstant()
	return !constant
}

// pathRuns are all of them: for each number of steps the constants, then the profiles that have a likelihood.
func (o options) pathRuns() []pathRun {
	var all []pathRun
	for _, steps := range o.steps {
		all = append(all, pathRun{steps: int(steps)})
		for _, h := range o.likelyProfiles() {
			all = append(all, pathRun{int(steps), h})
		}
	}
	return all
}

// estimates are log q at the points, for all h.
type estimates struct {
	base  *loglik.Results   // by the methods that do not depend on steps; nil: no likelihoods
	paths []*loglik.Results // by the path integral, of options.pathRuns; fewer if the sweep was stopped
	grid  *loglik.Results   // by fokkerplanck at all points, of the shard that has it; else it is in base
}

// likelihoods evaluates log q of the same points for all h, by each method; the path integral for each number of steps.
type likelihoods struct {
	o       options
	net     *loglik.Network
	methods []loglik.Method
	points  *loglik.Points
	part    loglik.Part // what the points are of
	report  func(stage string, done, total int)
	journal *loglik.Journal
}

func (m *likelihoods) run(ctx context.Context) (estimates, error) {
	var e estimates
	var err error
	shard := m.o.shard.Shard.Given()
	free := slices.DeleteFunc(slices.Clone(m.methods), func(k loglik.Method) bool {
		return k == loglik.PathIntegral || k == loglik.FokkerPlanck && shard
	})
	if shard {
		if m.o.takesGrid(m.methods) {
			if e.grid, err = m.evaluate(ctx, []loglik.Method{loglik.FokkerPlanck}, pathRun{steps: 1}); err != nil {
				return e, err
			}
		}
		if m.points, m.part = m.o.ownPoints(m.points); m.points.N() == 0 {
			return e, nil
		}
	}
	if e.base, err = m.evaluate(ctx, free, pathRun{steps: 1}); err != nil || !slices.Contains(m.methods, loglik.PathIntegral) {
		return e, err
	}
	for _, p := range m.o.pathRuns() {
		r, err := m.evaluate(ctx, []loglik.Method{loglik.PathIntegral}, p)
		if err != nil {
			return e, err
		}
		e.paths = append(e.paths, r)
	}
	return e, nil
}

func (m *likelihoods) evaluate(ctx context.Context, methods []loglik.Method, p pathRun) (*loglik.Results, error) {
	o, err := m.o.settings(methods, p.steps, m.points.D)
	if err != nil {
		return nil, err
	}
	if p.varies() {
		o.H, o.Path.Profile = []float64{math.NaN()}, p.profile
	}
	o.Progress, o.Part = m.report, m.part
	if m.journal == nil { // else what is there when ctx ends is of no use
		return loglik.Run(ctx, m.net.Models(), m.points.Z, o)
	}
	kept, err := loglik.Saved(m.journal, fmt.Sprintf("likelihoods %v %d %v", methods, p.steps, p.profile), func() (*loglik.Record, error) {
		r, err := loglik.Run(ctx, m.net.Models(), m.points.Z, o)
		if err != nil {
			return nil, err
		}
		return loglik.NewRecord(r, nil, nil, nil), nil
	})
	if err != nil {
		return nil, err
	}
	return kept.Results(), nil
}

// likelihoodsOf are the summaries of the estimates, and what decides between the h. log q in data units is log q and logDet.
func (o options) likelihoodsOf(e estimates, methods []loglik.Method, logDet float64) (summaries []Likelihood, all []series) {
	if e.base == nil {
		return nil, nil
	}
	for _, s := range e.base.Summaries(logDet) {
		if e.base.Finished(loglik.Method(strings.TrimRight(s.Method, "12"))) { // wkb1 and wkb2 are the method wkb
			summaries = append(summaries, Likelihood{Summary: s})
		}
	}
	for _, method := range []loglik.Method{loglik.FokkerPlanck, loglik.WKB} {
		if slices.Contains(methods, method) && e.base.Finished(method) {
			all = append(all, o.seriesOf(e.base, e.base, method, 0))
		}
	}
	runs := o.pathRuns()
	for k, r := range e.paths {
		r.Flow = e.base.Flow // h = 0, for the changes
		p := runs[k]
		for _, s := range r.Summaries(logDet) {
			if s.Method == string(loglik.PathIntegral) {
				l := Likelihood{Summary: s, Steps: &p.steps}
				if p.varies() {
					l.Profile = p.profile.String()
				}
				summaries = append(summaries, l)
			}
		}
		if p.varies() { // in pairs with the constants before it: the same points and noise
			last := &all[len(all)-1]
			last.h, last.loss = append(last.h, p.profile), append(last.loss, lossOf(r))
			continue
		}
		all = append(all, o.seriesOf(e.base, r, loglik.PathIntegral, p.steps))
	}
	return summaries, all
}

// lossOf is the NLL of the points by the path integral of a profile.
func lossOf(r *loglik.Results) []float64 {
	loss := make([]float64, r.N)
	for i := range loss {
		loss[i] = -r.Path[i][0].LogQ
	}
	return loss
}

// seriesOf is the NLL by one method, at h = 0 by the flow.
func (o options) seriesOf(base, r *loglik.Results, method loglik.Method, steps int) series {
	s := series{measure: "nll_" + string(method), steps: steps, margin: o.margin * math.Ln2 * float64(r.D)}
	for j, h := range o.h {
		loss := make([]float64, r.N)
		for i := range loss {
			v := loglik.Value{LogQ: math.NaN()}
			switch {
			case h > 0:
				v = r.At(method, i, j)
			case base.Flow != nil:
				v = base.Flow[i]
			}
			loss[i] = -v.LogQ
		}
		s.h, s.loss = append(s.h, solver.Constant(h)), append(s.loss, loss)
	}
	return s
}
