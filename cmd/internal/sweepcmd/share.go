package sweepcmd

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"hbar/cmd/internal/loglik"
	"hbar/cmd/internal/ui"
	"hbar/solver/likelihood"
)

// What falls to a shard. Cells (one h and number of steps each) go to the shards in turn, and after them the solution of fokkerplanck and
// the distances of data to data. With --bands all cells of a number of steps stay together, because the search begins from the best of
// them. The points of the other likelihoods are divided by ranges, as those of cmd/likelihood are.

// inTurn is the number of things that go to the shards in turn: cells, or numbers of steps with their cells.
func (o options) inTurn() int {
	switch {
	case !o.distances():
		return 0
	case o.bands > 0:
		return len(o.steps)
	}
	return len(o.steps) * len(o.strengths)
}

// distances reports whether samples are compared with data.
func (o options) distances() bool {
	return len(o.measures.resampled()) > 0 || o.measures.has(metricW2)
}

// takesCell reports whether the cell of a number of steps and a strength is the process's own, by their positions.
func (o options) takesCell(steps, strength int) bool {
	if o.bands > 0 {
		return o.shard.Shard.Takes(steps)
	}
	return o.shard.Shard.Takes(steps*len(o.strengths) + strength)
}

func (o options) takesGrid(methods []loglik.Method) bool {
	return slices.Contains(methods, loglik.FokkerPlanck) && o.shard.Shard.Takes(o.inTurn())
}

func (o options) takesFloor() bool {
	return o.measures.has(metricW2) && o.shard.Shard.Takes(o.inTurn()+1)
}

// ownCells is the number of cells that are the process's own.
func (o options) ownCells() int {
	n := 0
	for i := range o.steps {
		for j := range o.strengths {
			if o.distances() && o.takesCell(i, j) {
				n++
			}
		}
	}
	return n
}

// ownPoints are the points that are the shard's, and what they are of.
func (o options) ownPoints(whole *loglik.Points) (*loglik.Points, loglik.Part) {
	from, to := o.shard.Shard.Range(whole.N())
	return whole.Range(from, to), loglik.Part{First: from, N: whole.N(), Pilots: whole.Pick(likelihood.PilotNumbers(whole.N()))}
}

// introduceShard says what is computed. points is nil without likelihoods.
func (o options) introduceShard(w io.Writer, points *loglik.Points, methods []loglik.Method) {
	s := o.shard.Shard
	if !s.Given() {
		return
	}
	work := []string{fmt.Sprintf("%d of %s", o.ownCells(), ui.Plural(int64(len(o.steps)*len(o.strengths)), "cell"))}
	if !o.distances() {
		work = nil
	}
	if points != nil {
		from, to := s.Range(points.N())
		work = append(work, fmt.Sprintf("%d of %s", to-from, ui.Plural(int64(points.N()), "point")))
	}
	if o.takesGrid(methods) {
		work = append(work, string(loglik.FokkerPlanck))
	}
	fmt.Fprintf(w, "shard     %d of %d by %s: %s\n", s.Index, s.Count, s.Source, strings.Join(work, ", "))
}
