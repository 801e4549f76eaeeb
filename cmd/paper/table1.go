package main

import (
	"context"
	"math"

	"hbar/solver/likelihood"
)

// published are the values of Table 1: NLL and first correction to it.
var published = map[string][2]string{
	"swissroll-simple":   {"1.39 ± 0.05", "−0.44 ± 0.38"},
	"swissroll-cosine":   {"1.42 ± 0.02", "−3.27 ± 1.11"},
	"gaussians25-simple": {"−1.22 ± 0.01", "−3.61 ± 0.64"},
	"gaussians25-cosine": {"−1.71 ± 0.02", "−19.65 ± 17.46"},
}

// table1 is Table 1: NLL at h = 0, the first correction −ℓ₁, and the numerical error, which the paper puts at 0.13 to 0.70.
func (p *page) table1(ctx context.Context, networks []*network) error {
	p.printf("## Table 1: NLL at h = 0 and its first correction\n\n")
	p.printf("NLL(h) = NLL(0) − h ⟨ℓ₁⟩ + O(h²), on %d fresh points. ℓ₁ has heavy tails: beside the mean stands the median. The numerical error\n", p.points)
	p.printf("is the largest change in %d points when the tolerance falls from 10⁻⁵ to 10⁻⁷. Failed points have a path that exceeds the range of numbers\n", p.checked)
	p.printf("(the reason is counted); means leave them out. Published: their networks, their finite differences.\n\n")
	p.printf("| network | NLL | published | −⟨ℓ₁⟩ | published | median −ℓ₁ | error in NLL | error in ℓ₁, relative | failed |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, n := range networks {
		p.progress("%s: Table 1", n)
		x := n.points[:2*p.points]
		e, err := likelihood.Expand(ctx, n.Net, n.Schedule, x, likelihood.ExpandOptions{Options: likelihood.Options{Progress: p.stage("wkb")}})
		if err != nil {
			return err
		}
		fine, err := likelihood.Expand(ctx, n.Net, n.Schedule, x[:2*p.checked], likelihood.ExpandOptions{Options: likelihood.Options{Tol: 1e-7, Progress: p.stage("wkb, fine")}})
		if err != nil {
			return err
		}
		var nll, first []float64
		for _, v := range e {
			nll, first = append(nll, -v.LogQ), append(first, -v.L1)
		}
		eq, e1 := 0.0, 0.0
		for i, f := range fine {
			if f.Status == likelihood.OK && e[i].Status == likelihood.OK {
				eq = max(eq, math.Abs(f.LogQ-e[i].LogQ))
				e1 = max(e1, math.Abs(f.L1-e[i].L1)/max(1, math.Abs(f.L1)))
			}
		}
		m0, se0, failed := mean(nll)
		m1, se1, _ := mean(first)
		pub := published[n.String()]
		p.printf("| %s, %s | %s | %s | %s | %s | %s | %.1g | %.1g | %d |\n", n.data, n.schedule, number(m0, se0), pub[0], number(m1, se1), pub[1],
			number(median(first), 0), eq, e1, failed)
	}
	p.printf("\n")
	return nil
}
