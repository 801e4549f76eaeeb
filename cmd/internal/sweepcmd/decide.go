package sweepcmd

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/stat/distuv"

	"hbar/cmd/internal/loglik"
	"hbar/metrics"
	"hbar/solver"
)

// series is one measure at several h on the same units: repeats for a distance, points for a likelihood. Smaller is
// better.
type series struct {
	measure string // "w2_squared", or "nll_" and a method
	steps   int    // 0: does not depend on them
	h       []solver.Strength
	loss    [][]float64 // [h][unit]; NaN where a unit has no value
	margin  float64     // a difference up to here does not count
}

// Comparison is a paired test between two h. Those that have fewer than two units in common cannot be compared: their difference is NaN,
// null in JSON, and all P values are 1.
type Comparison struct {
	A solver.Strength `json:"a"`
	B solver.Strength `json:"b"`
	// Difference is the mean of loss(a) − loss(b) over the units that have both.
	Difference metrics.Estimate `json:"difference"`
	Units      int              `json:"units"`
	P          float64          `json:"p_t"`        // of no difference
	Wilcoxon   float64          `json:"p_wilcoxon"` // the same by signed ranks
	Margin     float64          `json:"p_margin"`   // of a difference no larger than the margin; P_t without one
	Adjusted   float64          `json:"p_holm"`     // P_margin adjusted for all pairs of the series
}

// Recommendation is what one series says about h.
type Recommendation struct {
	Measure string            `json:"measure"`
	Steps   *int              `json:"steps"` // null: does not depend on them
	H       []solver.Strength `json:"h"`     // the candidates: numbers, and profiles as text
	Means   []num             `json:"means"` // over the units that all candidates have
	Units   int               `json:"units"`
	LeftOut int               `json:"left_out"` // units without a value at some h
	Best    *solver.Strength  `json:"best_h"`   // smallest mean; null: nothing to compare
	// Interval spans the constant h that are not worse; NotWorse lists all that are not. With the given confidence the best is among them.
	Interval   []float64         `json:"interval"`
	NotWorse   []solver.Strength `json:"not_worse"`
	Worse      []solver.Strength `json:"worse"`
	Different  bool              `json:"significant_difference"`
	Confidence float64           `json:"confidence"`
	Margin     float64           `json:"margin"` // differences up to here do not count
	Text       string            `json:"text"`
	Pairs      []Comparison      `json:"pairs"`
}

type num = loglik.Number

// decide compares all pairs of h, except those for which less than half of the units have a value.
func decide(s series, confidence float64) (*Recommendation, error) {
	r := &Recommendation{Measure: s.measure, Confidence: confidence, Margin: s.margin}
	if s.steps > 0 {
		r.Steps = &s.steps
	}
	s = usable(s)
	r.H = s.h
	if len(s.h) < 2 {
		r.Text = "fewer than two h have values: nothing to compare"
		return r, nil
	}
	r.means(s)
	var p []float64
	for i := range s.h {
		for j := i + 1; j < len(s.h); j++ {
			c, err := s.compare(i, j)
			if err != nil {
				return nil, err
			}
			r.Pairs = append(r.Pairs, *c)
			p = append(p, c.Margin)
		}
	}
	worse := map[solver.Strength]bool{}
	for k, q := range holm(p) {
		c := &r.Pairs[k]
		c.Adjusted = q
		if q < 1-confidence {
			r.Different = true
			if c.Difference.Value > 0 {
				worse[c.A] = true
			} else {
				worse[c.B] = true
			}
		}
	}
	for _, h := range s.h {
		if worse[h] {
			r.Worse = append(r.Worse, h)
		} else {
			r.NotWorse = append(r.NotWorse, h)
		}
	}
	if len(r.NotWorse) > 0 { // a cycle of victories is possible where pairs have different units
		r.Interval = span(r.NotWorse)
	}
	r.Text = r.sentence()
	return r, nil
}

// compare tests h number i against number j.
func (s series) compare(i, j int) (*Comparison, error) {
	c := &Comparison{A: s.h[i], B: s.h[j]}
	test, err := metrics.Compare(s.loss[i], s.loss[j])
	switch {
	case errors.Is(err, metrics.ErrFewPairs):
		nan := math.NaN()
		c.Difference = metrics.Estimate{Value: nan, StdErr: nan, Lo: nan, Hi: nan}
		c.P, c.Wilcoxon, c.Margin = 1, 1, 1
	case err != nil:
		return nil, err
	default:
		c.Difference, c.Units, c.P, c.Wilcoxon, c.Margin = test.Mean, test.N, test.PT, test.PWilcoxon, beyond(test, s.margin)
	}
	return c, nil
}

// beyond is the P value of a difference, either way, no larger than the margin: Student's t of what exceeds it.
func beyond(c *metrics.Paired, margin float64) float64 {
	excess := math.Abs(c.Mean.Value) - margin
	switch {
	case margin == 0:
		return c.PT
	case excess <= 0:
		return 1
	case c.Mean.StdErr == 0:
		return 0
	}
	return 2 * distuv.StudentsT{Sigma: 1, Nu: float64(c.N - 1)}.Survival(excess/c.Mean.StdErr)
}

// usable leaves out the h for which less than half of the units have a value.
func usable(s series) series {
	out := series{measure: s.measure, steps: s.steps, margin: s.margin}
	for i, h := range s.h {
		n := 0
		for _, v := range s.loss[i] {
			if !math.IsNaN(v) {
				n++
			}
		}
		if n >= 2 && 2*n >= len(s.loss[i]) {
			out.h, out.loss = append(out.h, h), append(out.loss, s.loss[i])
		}
	}
	return out
}

// means takes the means over the units that all candidates have, and with them the best.
func (r *Recommendation) means(s series) {
	sum := make([]float64, len(s.h))
	for u := range s.loss[0] {
		all := true
		for i := range s.h {
			all = all && !math.IsNaN(s.loss[i][u])
		}
		if !all {
			r.LeftOut++
			continue
		}
		r.Units++
		for i := range s.h {
			sum[i] += s.loss[i][u]
		}
	}
	best := math.Inf(1)
	for i, h := range s.h {
		m := sum[i] / float64(r.Units)
		r.Means = append(r.Means, num(m))
		if m < best {
			best, r.Best = m, &h
		}
	}
}

// holm adjusts P values so that rejecting those below a level keeps the probability of any wrong rejection below it
// (Holm, Scand. J. Stat. 6, 65, 1979).
func holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case p[a] < p[b]:
			return -1
		case p[a] > p[b]:
			return 1
		}
		return 0
	})
	out := make([]float64, len(p))
	top := 0.0
	for k, i := range order {
		top = max(top, min(1, p[i]*float64(len(p)-k)))
		out[i] = top
	}
	return out
}

// sentence is the recommendation in words.
func (r *Recommendation) sentence() string {
	significant := "significant"
	if r.Margin > 0 {
		significant = fmt.Sprintf("significant (beyond %.2g)", r.Margin)
	}
	switch {
	case !r.Different:
		return fmt.Sprintf("no %s difference between h = %s; %s", significant, list(r.H), r.smallest())
	case len(r.NotWorse) == 0:
		return "the pairs contradict each other: units are missing at some h"
	case len(r.NotWorse) == 1:
		return fmt.Sprintf("h = %v is best; h = %s significantly worse", r.NotWorse[0], list(r.Worse))
	}
	interval := ""
	if len(r.Interval) == 2 {
		interval = fmt.Sprintf(", %g %% confidence interval %g to %g", 100*r.Confidence, r.Interval[0], r.Interval[1])
	}
	if r.Best == nil {
		return fmt.Sprintf("no %s difference between h = %s%s; h = %s significantly worse; %s", significant, list(r.NotWorse), interval, list(r.Worse), r.smallest())
	}
	return fmt.Sprintf("best h = %v%s: no %s difference between h = %s; h = %s significantly worse",
		r.Best, interval, significant, list(r.NotWorse), list(r.Worse))
}

// smallest says in words where the smallest mean is.
func (r *Recommendation) smallest() string {
	if r.Best == nil {
		return "no mean of all, for no unit has a value at each h"
	}
	return fmt.Sprintf("the smallest mean is at %v", r.Best)
}

// span is the range of the constants among strengths; nil: there are none.
func span(h []solver.Strength) []float64 {
	var v []float64
	for _, s := range h {
		if c, ok := s.IsConstant(); ok {
			v = append(v, c)
		}
	}
	if len(v) == 0 {
		return nil
	}
	return []float64{slices.Min(v), slices.Max(v)}
}

func list(h []solver.Strength) string {
	parts := make([]string, len(h))
	separator := ", "
	for i, s := range h {
		parts[i] = s.String()
		if _, ok := s.IsConstant(); !ok {
			separator = "; "
		}
	}
	return strings.Join(parts, separator)
}

// agree combines recommendations: the h that none of them calls worse.
func agree(rs []*Recommendation) (h []solver.Strength) {
	var counted []*Recommendation
	for _, r := range rs {
		if len(r.H) >= 2 {
			counted = append(counted, r)
		}
	}
	if len(counted) == 0 {
		return nil
	}
	for _, v := range counted[0].NotWorse {
		if !slices.ContainsFunc(counted, func(r *Recommendation) bool { return !slices.Contains(r.NotWorse, v) }) {
			h = append(h, v)
		}
	}
	return h
}
