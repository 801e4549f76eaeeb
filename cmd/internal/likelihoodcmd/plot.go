package likelihoodcmd

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/plots"
	"hbar/solver/fokkerplanck"
)

// drawNLL plots the mean NLL against h: measured values as dots with bands, the expansion as dashed lines. With h = 0
// among them it plots the change from there: its error, of pairs, is far smaller than that of the NLL itself.
func drawNLL(path string, r *loglik.Results, summaries []loglik.Summary) error {
	axes := plots.Axes{Title: "negative log-likelihood of the sampler with noise h", X: "h", Y: "NLL, nats per point"}
	origin, relative := 0.0, false
	for _, v := range summaries {
		if v.H == 0 && v.N > 0 && r.Zeroth() != nil {
			axes.Title = fmt.Sprintf("change of the NLL from h = 0, where it is %s", loglik.PlusMinus(float64(v.Mean), float64(v.StdErr)))
			axes.Y = "NLL(h) − NLL(0), nats per point"
			origin, relative = float64(v.Mean), true
			break
		}
	}
	hs := slices.Clone(r.H)
	slices.Sort(hs)
	lo, hi := math.Inf(1), math.Inf(-1)
	var series []plots.Series
	for _, m := range []loglik.Method{loglik.PathIntegral, loglik.FokkerPlanck, loglik.Flow} {
		s := plots.Series{Name: string(m), Markers: true}
		for _, h := range hs {
			for _, v := range summaries {
				if v.Method != string(m) || float64(v.H) != h || v.N == 0 {
					continue
				}
				y, e := float64(v.Mean)-origin, float64(v.StdErr)
				if relative {
					e = 0 // of h = 0 itself
				}
				if v.Change != nil {
					y, e = v.Change.Mean.Value, v.Change.Mean.StdErr
				}
				s.X, s.Y, s.Err = append(s.X, h), append(s.Y, y), append(s.Err, e)
				if !finite(e) {
					e = 0
				}
				lo, hi = min(lo, y-2*e), max(hi, y+2*e)
			}
		}
		if len(s.X) > 0 {
			series = append(series, s)
		}
	}
	if len(series) > 0 && hi > lo {
		axes.YMin, axes.YMax = lo-(hi-lo)/2, hi+(hi-lo)/2
	}
	top := hs[len(hs)-1]
	if top == 0 {
		top = 0.1 // a slope needs room
	}
	for order := 1; r.Expansion != nil && order <= 2; order++ {
		if order == 2 && !r.SecondOrder() {
			break
		}
		series = append(series, expansionLine(r, order, top, origin))
	}
	if len(series) == 0 {
		return errors.New("nothing to plot: no point has a value")
	}
	return plots.Lines(path, axes, series...)
}

// expansionLine is the mean of the expansion over its points, from h = 0 to top, less the origin.
func expansionLine(r *loglik.Results, order int, top, origin float64) plots.Series {
	s := plots.Series{Name: fmt.Sprintf("WKB, order %d", order), Dashed: true}
	if e := expansionOf(r); order == 1 && finite(float64(e.MedianTrust)) {
		s.Name += fmt.Sprintf(" (trust to h = %.1g)", float64(e.MedianTrust))
	}
	for k := range 101 {
		h := top * float64(k) / 100
		sum, n := 0.0, 0
		for i := range r.N {
			if v := r.WKBAt(i, h, order); v.Status == loglik.OK {
				sum -= v.LogQ
				n++
			}
		}
		s.X, s.Y = append(s.X, h), append(s.Y, sum/float64(n)-origin)
	}
	return s
}

// drawImage plots the densities of the grid, in data units, with the points over the first.
func drawImage(path string, r *loglik.Results, p *loglik.Points) error {
	var sols []*fokkerplanck.Solution
	for _, s := range r.Solutions {
		if s.Err == nil {
			sols = append(sols, s)
		}
	}
	if len(sols) == 0 {
		return errors.New("--image: no solution of the Fokker–Planck equation; it needs --method fokkerplanck or all, and h > 0")
	}
	scale := math.Exp(p.LogDet())
	toData := func(z []float64) []float64 { // of points on the diagonal of the box
		x := make([]float64, len(z))
		p.Norm.Invert(x, z, p.D)
		return x
	}
	if p.D == 1 {
		var series []plots.Series
		for _, s := range sols {
			z := axis(s.Density, 0, 800)
			q, err := s.Density.Image(z, nil)
			if err != nil {
				return err
			}
			series = append(series, plots.Series{Name: fmt.Sprintf("h = %g", s.H), X: toData(z), Y: times(q, scale)})
		}
		return plots.Lines(path, plots.Axes{Title: "density of the sampler", X: "x", Y: "density"}, series...)
	}
	var fields []plots.Field
	const n = 400
	for _, s := range sols {
		a, b := axis(s.Density, 0, n), axis(s.Density, 1, n)
		q, err := s.Density.Image(a, b)
		if err != nil {
			return err
		}
		ends := toData([]float64{a[0], b[0], a[n-1], b[n-1]})
		fields = append(fields, plots.Field{Title: fmt.Sprintf("h = %g", s.H), NX: n, NY: n,
			XMin: ends[0], YMin: ends[1], XMax: ends[2], YMax: ends[3], Z: times(q, scale)})
	}
	return plots.Density(path, "density of the sampler, by the Fokker–Planck equation", "density", fields...)
}

// axis is n centres of cells over the box in dimension i.
func axis(q *fokkerplanck.Density, i, n int) []float64 {
	lo, hi := q.Box(i)
	x := make([]float64, n)
	for j := range x {
		x[j] = lo + (hi-lo)*(float64(j)+0.5)/float64(n)
	}
	return x
}

func times(x []float64, f float64) []float64 {
	for i := range x {
		x[i] *= f
	}
	return x
}
