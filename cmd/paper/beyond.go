package main

import (
	"context"
	"fmt"
	"math"

	"hbar/cmd/internal/plots"
	"hbar/solver"
	"hbar/solver/fokkerplanck"
	"hbar/solver/likelihood"
)

// beyond is NLL(h) from h = 0 to 1, by the Fokker–Planck equation and the path integral, and how far the expansion goes.
func (p *page) beyond(ctx context.Context, networks []*network) error {
	p.printf("## Beyond the paper: the likelihood of the sampler at every h\n\n")
	p.printf("Change of the NLL from h = 0 on the same points, so that the spread of the data cancels: mean ± standard error, and the median\n")
	p.printf("point in brackets, because the corrections have heavy tails. Fokker–Planck (FP): a grid solution for the continuous process, %d points.\n", p.points)
	p.printf("Path integral (PI): %d points, %d paths, extrapolated from %d and %d steps uniform in λ; its column is the difference from FP on these\n", p.pathPoints, p.paths, p.pathSteps/2, p.pathSteps)
	p.printf("points. WKB 1 and 2: the expansion to first and second order on FP's points. The last two columns are the median over points of\n")
	p.printf("|expansion − FP| / |FP's change from h = 0|: where this is near 1 the expansion says nothing.\n\n")
	for _, n := range networks {
		if err := p.likelihoods(ctx, n); err != nil {
			return fmt.Errorf("%s: %w", n, err)
		}
	}
	return nil
}

func (p *page) likelihoods(ctx context.Context, n *network) error {
	p.progress("%s: likelihood at every h", n)
	x := n.points[:2*p.points]
	expansion, err := likelihood.Expand(ctx, n.Net, n.Schedule, x, likelihood.ExpandOptions{Order: 2})
	if err != nil {
		return err
	}
	solutions, err := fokkerplanck.Solve(ctx, n.Net, n.Schedule, p.h, &fokkerplanck.Options{MaxN: p.maxN})
	if err != nil {
		return err
	}
	paths, err := likelihood.PathIntegralExtrapolated(ctx, n.Net, n.Schedule, x[:2*p.pathPoints], p.h,
		likelihood.PathOptions{Grid: solver.GridLambda, Steps: p.pathSteps, Paths: p.paths})
	if err != nil {
		return err
	}
	var nll, trust []float64
	for _, e := range expansion {
		nll = append(nll, -e.LogQ)
		trust = append(trust, e.Trust)
	}
	m0, se0, failed := mean(nll)
	p.printf("### %s, %s\n\nNLL(0) = %s on %d points, %d failed", n.data, n.schedule, number(m0, se0), p.points, failed)
	p.printf("; the median trust radius of a point (h at which the second term is a tenth of the first) is %s.\n\n", number(median(trust), 0))
	p.printf("| h | FP | PI − FP | ESS, median | WKB 1 | WKB 2 | error of WKB 1 | of WKB 2 |\n|---|---|---|---|---|---|---|---|\n")
	fp := plots.Series{Name: "Fokker–Planck", Markers: true}
	pi := plots.Series{Name: "path integral", Markers: true}
	mid := plots.Series{Name: "Fokker–Planck, median point", Markers: true}
	one := plots.Series{Name: "WKB, first order, median point", Dashed: true}
	two := plots.Series{Name: "WKB, second order, median point", Dashed: true}
	good := math.NaN() // largest h with a median error of the first-order line below a quarter
	span := 0.0
	for j, h := range p.h {
		var dfp, dpi, versus, d1, d2, e1, e2, ess []float64
		truth, ferr := fpValues(solutions[j], x)
		for i, e := range expansion {
			first := h * e.L1
			second := first + h*h*e.L2
			change := truth[i] - e.LogQ
			dfp = append(dfp, -change)
			if !math.IsNaN(change) && !math.IsInf(change, 0) { // all means over the same points
				d1, d2 = append(d1, -first), append(d2, -second)
				e1, e2 = append(e1, math.Abs((first-change)/change)), append(e2, math.Abs((second-change)/change))
			}
		}
		for i, v := range paths {
			if v[j].Status == likelihood.OK {
				dpi = append(dpi, expansion[i].LogQ-v[j].LogQ)
				versus = append(versus, truth[i]-v[j].LogQ)
			}
			ess = append(ess, v[j].ESS)
		}
		mf, sf, _ := mean(dfp)
		mp, sp, _ := mean(dpi)
		mv, sv, _ := mean(versus)
		m1 := median(d1)
		m2 := median(d2)
		cell := spread(dfp)
		if ferr != nil {
			cell = ferr.Error()
		} else {
			fp.X, fp.Y, fp.Err = append(fp.X, h), append(fp.Y, mf), append(fp.Err, sf)
			mid.X, mid.Y = append(mid.X, h), append(mid.Y, median(dfp))
			span = max(span, math.Abs(mf)+2*sf)
		}
		if !math.IsNaN(mp) {
			pi.X, pi.Y, pi.Err = append(pi.X, h), append(pi.Y, mp), append(pi.Err, sp)
			span = max(span, math.Abs(mp)+2*sp)
		}
		if !math.IsNaN(m1) {
			one.X, one.Y = append(one.X, h), append(one.Y, m1)
			two.X, two.Y = append(two.X, h), append(two.Y, m2)
		}
		if median(e1) < 0.25 {
			good = h
		}
		p.printf("| %g | %s | %s | %.0f of %d | %s | %s | %s | %s |\n", h, cell, number(mv, sv), median(ess), p.paths, spread(d1), spread(d2),
			percent(median(e1)), percent(median(e2)))
	}
	p.printf("\n")
	switch {
	case math.IsNaN(good):
		p.printf("The first-order line is off by more than a quarter of the change for half of the points already at h = %g.\n\n", p.h[0])
	default:
		p.printf("For half of the points the first-order line is within a quarter of the change up to h = %g.\n\n", good)
	}
	name := "nll-" + n.String()
	if span == 0 {
		p.printf("No value could be computed to draw.\n\n")
		return nil
	}
	axes := plots.Axes{Title: n.data + ", " + n.schedule, X: "h", Y: "NLL(h) − NLL(0) in nats", LogX: true, YMin: -1.5 * span, YMax: 1.5 * span}
	var series []plots.Series
	for _, s := range []plots.Series{fp, pi, mid, one, two} {
		if len(s.X) > 0 {
			series = append(series, s)
		}
	}
	if err := plots.Lines(p.image(name), axes, series...); err != nil {
		return err
	}
	p.figure(name, "NLL(h) − NLL(0) with the expansion on top")
	return nil
}

// fpValues are log q^h at the points; all NaN, with the reason, if there is no solution.
func fpValues(s *fokkerplanck.Solution, x []float64) ([]float64, error) {
	v := make([]float64, len(x)/2)
	for i := range v {
		v[i] = math.NaN()
	}
	if s.Err != nil {
		return v, s.Err
	}
	values, err := s.LogQ(x)
	if err != nil {
		return v, err
	}
	for i, w := range values {
		if w.Status == fokkerplanck.OK {
			v[i] = w.LogQ
		}
	}
	return v, nil
}

func percent(v float64) string {
	if math.IsNaN(v) {
		return "–"
	}
	return fmt.Sprintf("%.0f %%", 100*v)
}

// spread is mean ± standard error [median].
func spread(v []float64) string {
	m, se, _ := mean(v)
	return number(m, se) + " [" + number(median(v), 0) + "]"
}
