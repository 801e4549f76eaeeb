package main

import (
	"context"
	"math"
	"slices"
	"strings"

	"hbar/cmd/internal/loglik"
)

// Likelihood is the summary of one method at one h. Steps is null where it does not depend on them.
type Likelihood struct {
	loglik.Summary
	Steps *int `json:"steps"`
}

// likelihoods evaluates the NLL of the same points for all h, by each method; the path integral for each number of steps.
type likelihoods struct {
	o       options
	net     *loglik.Network
	methods []loglik.Method
	points  *loglik.Points
	report  func(stage string, done, total int)

	summaries []Likelihood
	series    []series
}

func (m *likelihoods) run(ctx context.Context) error {
	free := slices.DeleteFunc(slices.Clone(m.methods), func(k loglik.Method) bool { return k == loglik.PathIntegral })
	base, err := m.evaluate(ctx, free, 1)
	if base == nil {
		return err
	}
	for _, s := range base.Summaries(m.points.LogDet()) {
		if base.Finished(loglik.Method(strings.TrimRight(s.Method, "12"))) { // wkb1 and wkb2 are the method wkb
			m.summaries = append(m.summaries, Likelihood{Summary: s})
		}
	}
	for _, method := range []loglik.Method{loglik.FokkerPlanck, loglik.WKB} {
		if slices.Contains(free, method) && base.Finished(method) {
			m.series = append(m.series, m.seriesOf(base, base, method, 0))
		}
	}
	if err != nil || !slices.Contains(m.methods, loglik.PathIntegral) {
		return err
	}
	for _, steps := range m.o.steps {
		r, err := m.evaluate(ctx, []loglik.Method{loglik.PathIntegral}, int(steps))
		if err != nil {
			return err
		}
		r.Flow = base.Flow // h = 0, for the changes
		for _, s := range r.Summaries(m.points.LogDet()) {
			if s.Method == string(loglik.PathIntegral) {
				k := int(steps)
				m.summaries = append(m.summaries, Likelihood{Summary: s, Steps: &k})
			}
		}
		m.series = append(m.series, m.seriesOf(base, r, loglik.PathIntegral, int(steps)))
	}
	return nil
}

func (m *likelihoods) evaluate(ctx context.Context, methods []loglik.Method, steps int) (*loglik.Results, error) {
	o, err := m.o.settings(methods, steps, m.points.D)
	if err != nil {
		return nil, err
	}
	o.Progress = m.report
	return loglik.Run(ctx, m.net.Models(), m.points.Z, o)
}

// seriesOf is the NLL by one method, at h = 0 by the flow.
func (m *likelihoods) seriesOf(base, r *loglik.Results, method loglik.Method, steps int) series {
	s := series{measure: "nll_" + string(method), steps: steps, margin: m.o.margin * math.Ln2 * float64(r.D)}
	for j, h := range m.o.h {
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
		s.h, s.loss = append(s.h, h), append(s.loss, loss)
	}
	return s
}
