package runs

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
)

// MostPoints is the largest number of intervals of a View.
const MostPoints = 5000

// View is one column of a log between two steps, thinned so that a line through it covers the same pixels: of each of Points
// intervals the first, the smallest, the largest and the last value are kept, at their steps (the M4 aggregation of Jugel 2014,
// Proc. VLDB 7, 797). Values are null where they are not finite.
type View struct {
	Column string     `json:"column"`
	Rows   int        `json:"rows"`    // of the log between the two steps
	Thin   bool       `json:"thinned"` // some rows are left out
	Step   []float64  `json:"step"`
	Value  []*float64 `json:"value"`
	// Mean is the mean of the finite values of each of fewer intervals, at the step in the middle of it, to be seen through the
	// noise. Both lists are empty of a log too short for that.
	MeanStep []float64 `json:"mean_step"`
	Mean     []float64 `json:"mean"`
}

// A mean is of an interval of meanShare others, if there are meanRows rows or more.
const (
	meanShare = 5
	meanRows  = 200
)

// Views are columns of a run's log for steps in from … to, each with at most 4·points values. from > to means all.
func (s *Store) Views(ctx context.Context, run string, columns []string, from, to float64, points int) ([]View, error) {
	if points < 1 || points > MostPoints {
		return nil, fmt.Errorf("%d points; want 1 to %d", points, MostPoints)
	}
	views := []View{}
	err := s.withLog(ctx, run, func(l *logFile) error {
		t := &l.table
		lo, hi := 0, len(t.step)
		if from <= to {
			lo = sort.SearchFloat64s(t.step, from)
			hi = sort.Search(len(t.step), func(i int) bool { return t.step[i] > to })
			hi = max(lo, hi)
		}
		for _, name := range columns {
			c := slices.Index(t.names, name)
			if c < 0 {
				continue
			}
			t.fill(c, len(t.step))
			v := thin(name, t.step[lo:hi], t.values[c][lo:hi], points)
			v.mean(t.step[lo:hi], t.values[c][lo:hi], min(max(points/meanShare, 20), (hi-lo)/20))
			views = append(views, v)
		}
		return nil
	})
	return views, err
}

// mean computes the means of so many intervals of rows.
func (v *View) mean(step, value []float64, intervals int) {
	v.MeanStep, v.Mean = []float64{}, []float64{}
	if len(step) < meanRows {
		return
	}
	for k := range intervals {
		lo, hi := k*len(step)/intervals, (k+1)*len(step)/intervals
		sum, n := 0.0, 0.0
		for _, x := range value[lo:hi] {
			if x-x == 0 {
				sum += x
				n++
			}
		}
		if m := sum / n; n > 0 && m-m == 0 {
			v.MeanStep, v.Mean = append(v.MeanStep, (step[lo]+step[hi-1])/2), append(v.Mean, m)
		}
	}
}

// thin makes the view of a column.
func thin(name string, step, value []float64, points int) View {
	v := View{Column: name, Rows: len(step), Step: []float64{}, Value: []*float64{}}
	add := func(i int) {
		if n := len(v.Step); n > 0 && v.Step[n-1] == step[i] {
			return
		}
		v.Step = append(v.Step, step[i])
		if x := value[i]; math.IsNaN(x) || math.IsInf(x, 0) {
			v.Value = append(v.Value, nil)
		} else {
			v.Value = append(v.Value, &x)
		}
	}
	if len(step) <= 4*points {
		for i := range step {
			add(i)
		}
		return v
	}
	v.Thin = true
	first, width := step[0], (step[len(step)-1]-step[0])/float64(points)
	for i, k := 0, 0; i < len(step); k++ {
		end := first + width*float64(k+1)
		j, least, most := i, -1, -1
		for ; j < len(step) && (step[j] < end || k >= points-1); j++ {
			x := value[j]
			if math.IsNaN(x) || math.IsInf(x, 0) {
				continue
			}
			if least < 0 || x < value[least] {
				least = j
			}
			if most < 0 || x > value[most] {
				most = j
			}
		}
		if j == i {
			if k >= points { // steps that do not grow
				break
			}
			continue
		}
		kept := []int{i, j - 1}
		if least >= 0 {
			kept = append(kept, least, most)
		}
		slices.Sort(kept)
		for _, row := range slices.Compact(kept) {
			add(row)
		}
		i = j
	}
	return v
}
