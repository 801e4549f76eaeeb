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
	p.printf("points. All h, and both schedules, use the same points and random numbers: the differences of a column are one draw and not eight\n")
	p.printf("([likelihood-check.md](likelihood-check.md)). On swissroll, simple, that draw lies 0.006 ± 0.003 below FP. It is chance, and neither the time\n")
	p.printf("step nor a bias: with 300 other points, 250 to 1000 steps and other seeds the extrapolated difference is 0.0006 ± 0.0017 at h = 0.02 and\n")
	p.printf("−0.0002 ± 0.0025 at h = 1. The chain of 250 steps lies above FP, by 0.004 ± 0.002, and the bias of a logarithm raises the NLL too, by less than\n")
	p.printf("0.0005: both have the opposite sign. WKB 1 and 2: the expansion to first and second order on FP's points. The last two columns are the median over points of\n")
	p.printf("|expansion − FP| / |FP's change from h = 0|: where this is near 1 the expansion says nothing.\n\n")
	for _, n := range networks {
		if err := p.likelihoods(ctx, n); err != nil {
			return fmt.Errorf("%s: %w", n, err)
		}
	}
	return nil
}

// curves are the lines of a figure NLL(h) − NLL(0), and what the text says of them.
type curves struct {
	fp, pi, mid, one, two plots.Series
	span                  float64 // largest change with its error
	good                  float64 // largest h with a median error of the first-order line below a quarter; NaN: none
}

// found is what the methods say about the points x of a network.
type found struct {
	x         []float64
	expansion []likelihood.Expansion
	solutions []*fokkerplanck.Solution
	paths     [][]likelihood.PathEstimate
}

func (p *page) likelihoods(ctx context.Context, n *network) (err error) {
	p.progress("%s: likelihood at every h", n)
	f := found{x: n.points[:2*p.points]}
	f.expansion, err = likelihood.Expand(ctx, n.Net, n.Schedule, f.x, likelihood.ExpandOptions{Options: likelihood.Options{Progress: p.stage("wkb")}, Order: 2})
	if err != nil {
		return err
	}
	f.solutions, err = fokkerplanck.Solve(ctx, n.Net, n.Schedule, p.h, &fokkerplanck.Options{MaxN: p.maxN, Progress: p.stage("fokkerplanck")})
	if err != nil {
		return err
	}
	f.paths, err = likelihood.PathIntegralExtrapolated(ctx, n.Net, n.Schedule, f.x[:2*p.pathPoints], p.h,
		likelihood.PathOptions{Grid: solver.GridLambda, Steps: p.pathSteps, Paths: p.paths, Progress: p.stage("pathintegral")})
	if err != nil {
		return err
	}
	var nll, trust []float64
	for _, e := range f.expansion {
		nll = append(nll, -e.LogQ)
		trust = append(trust, e.Trust)
	}
	m0, se0, failed := mean(nll)
	p.printf("### %s, %s\n\nNLL(0) = %s on %d points, %d failed", n.data, n.schedule, number(m0, se0), p.points, failed)
	p.printf("; the median trust radius of a point (h at which the second term is a tenth of the first) is %s.\n\n", number(median(trust), 0))
	p.printf("| h | FP | PI − FP | ESS, median | WKB 1 | WKB 2 | error of WKB 1 | of WKB 2 |\n|---|---|---|---|---|---|---|---|\n")
	c := curves{
		fp:   plots.Series{Name: "Fokker–Planck", Markers: true},
		pi:   plots.Series{Name: "path integral", Markers: true},
		mid:  plots.Series{Name: "Fokker–Planck, median point", Markers: true},
		one:  plots.Series{Name: "WKB, first order, median point", Dashed: true},
		two:  plots.Series{Name: "WKB, second order, median point", Dashed: true},
		good: math.NaN(),
	}
	for j := range p.h {
		p.likelihoodsAt(j, f, &c)
	}
	p.printf("\n")
	if err := p.varying(ctx, n, f); err != nil {
		return err
	}
	return p.drawLikelihoods(n, c)
}

// varying is the NLL under strengths that vary along the way, which the path integral alone has.
func (p *page) varying(ctx context.Context, n *network, f found) error {
	if len(p.profiles) == 0 {
		return nil
	}
	p.printf("Strengths that vary along the way, h@λ, by the path integral on its points:\n\n| h | change of the NLL from h = 0 | ESS, median |\n|---|---|---|\n")
	for _, h := range p.profiles {
		if !(h.Least() > 0) {
			p.printf("| %v | none: h is 0 at a knot, and the path integral needs noise all along the way | |\n", h)
			continue
		}
		got, err := likelihood.PathIntegralExtrapolated(ctx, n.Net, n.Schedule, f.x[:2*p.pathPoints], []float64{math.NaN()},
			likelihood.PathOptions{Grid: solver.GridLambda, Steps: p.pathSteps, Paths: p.paths, Profile: h, Progress: p.stage("pathintegral")})
		if err != nil {
			return err
		}
		var change, ess []float64
		for i, v := range got {
			if v[0].Status == likelihood.OK {
				change = append(change, f.expansion[i].LogQ-v[0].LogQ)
			}
			ess = append(ess, v[0].ESS)
		}
		p.printf("| %v | %s | %.0f of %d |\n", h, meanAndMedian(change), median(ess), p.paths)
	}
	p.printf("\n")
	return nil
}

// likelihoodsAt writes the line of the table for one h, and adds it to the curves.
func (p *page) likelihoodsAt(j int, f found, c *curves) {
	h := p.h[j]
	var dfp, dpi, versus, d1, d2, e1, e2, ess []float64
	truth, ferr := fpValues(f.solutions[j], f.x)
	for i, e := range f.expansion {
		first := h * e.L1
		second := first + h*h*e.L2
		change := truth[i] - e.LogQ
		dfp = append(dfp, -change)
		if !math.IsNaN(change) && !math.IsInf(change, 0) { // all means over the same points
			d1, d2 = append(d1, -first), append(d2, -second)
			e1, e2 = append(e1, math.Abs((first-change)/change)), append(e2, math.Abs((second-change)/change))
		}
	}
	for i, v := range f.paths {
		if v[j].Status == likelihood.OK {
			dpi = append(dpi, f.expansion[i].LogQ-v[j].LogQ)
			versus = append(versus, truth[i]-v[j].LogQ)
		}
		ess = append(ess, v[j].ESS)
	}
	mf, sf, _ := mean(dfp)
	mp, sp, _ := mean(dpi)
	mv, sv, _ := mean(versus)
	cell := meanAndMedian(dfp)
	if ferr != nil {
		cell = ferr.Error()
	} else {
		c.fp.X, c.fp.Y, c.fp.Err = append(c.fp.X, h), append(c.fp.Y, mf), append(c.fp.Err, sf)
		c.mid.X, c.mid.Y = append(c.mid.X, h), append(c.mid.Y, median(dfp))
		c.span = max(c.span, math.Abs(mf)+2*sf)
	}
	if !math.IsNaN(mp) {
		c.pi.X, c.pi.Y, c.pi.Err = append(c.pi.X, h), append(c.pi.Y, mp), append(c.pi.Err, sp)
		c.span = max(c.span, math.Abs(mp)+2*sp)
	}
	if m1 := median(d1); !math.IsNaN(m1) {
		c.one.X, c.one.Y = append(c.one.X, h), append(c.one.Y, m1)
		c.two.X, c.two.Y = append(c.two.X, h), append(c.two.Y, median(d2))
	}
	if median(e1) < 0.25 {
		c.good = h
	}
	p.printf("| %g | %s | %s | %.0f of %d | %s | %s | %s | %s |\n", h, cell, number(mv, sv), median(ess), p.paths, meanAndMedian(d1), meanAndMedian(d2),
		percent(median(e1)), percent(median(e2)))
}

// drawLikelihoods writes what the first-order line is good for, and draws the curves.
func (p *page) drawLikelihoods(n *network, c curves) error {
	if math.IsNaN(c.good) {
		p.printf("The first-order line is off by more than a quarter of the change for half of the points already at h = %g.\n\n", p.h[0])
	} else {
		p.printf("For half of the points the first-order line is within a quarter of the change up to h = %g.\n\n", c.good)
	}
	name := "nll-" + n.String()
	if c.span == 0 {
		p.printf("No value could be computed to draw.\n\n")
		return nil
	}
	axes := plots.Axes{Title: n.data + ", " + n.schedule, X: "h", Y: "NLL(h) − NLL(0) in nats", LogX: true, YMin: -1.5 * c.span, YMax: 1.5 * c.span}
	var series []plots.Series
	for _, s := range []plots.Series{c.fp, c.pi, c.mid, c.one, c.two} {
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

// meanAndMedian is mean ± standard error [median].
func meanAndMedian(v []float64) string {
	m, se, _ := mean(v)
	return number(m, se) + " [" + number(median(v), 0) + "]"
}
