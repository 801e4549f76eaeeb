package loglik

import (
	"math"
	"slices"

	"hbar/solver/likelihood"
)

// labelSets are the labels under which n points are computed: their own, or those of each class in turn for the mean over classes.
func (b *BitsOptions) labelSets(n int) [][]int {
	if b.Marginal == 0 {
		return [][]int{b.Labels}
	}
	sets := make([][]int, b.Marginal)
	for c := range sets {
		sets[c] = slices.Repeat([]int{c}, n)
	}
	return sets
}

// mixDraws takes the mean of q over classes, for each draw of each point. A point that not all of the want classes have has no value.
func mixDraws(of [][]draws, want int) []draws {
	if want == 1 {
		return of[0]
	}
	out := make([]draws, len(of[0]))
	for i := range out {
		d := &out[i]
		d.status = OK
		count := math.MaxInt
		for _, c := range of {
			count = min(count, len(c[i].logQ))
			if c[i].status != OK {
				d.status = c[i].status
			}
		}
		if len(of) < want || count == 0 {
			count = 0
			if d.status == OK {
				d.status = Interrupted
			}
		}
		for k := range count {
			logs, share := mixture(len(of), func(c int) float64 { return of[c][i].logQ[k] })
			err, halving := 0.0, 0.0
			for c, p := range share {
				// Classes have the same noise and probes, so that their errors add.
				err += p * of[c][i].err[k]
				halving += p * of[c][i].halving[k]
			}
			d.logQ, d.err, d.halving, d.weight = append(d.logQ, logs), append(d.err, err), append(d.halving, halving), append(d.weight, of[0][i].weight[k])
		}
	}
	return out
}

// mixture is the logarithm of the mean of n densities, and the share that each has in it.
func mixture(n int, logQ func(c int) float64) (mean float64, share []float64) {
	logs := make([]float64, n)
	for c := range logs {
		logs[c] = logQ(c)
	}
	mean = logMeanExp(logs)
	for c := range logs {
		logs[c] = math.Exp(logs[c]-mean) / float64(n)
	}
	return mean, logs
}

// mixEstimates is the estimate of the mean of q over classes, from one estimate of each.
func mixEstimates(of []likelihood.PathEstimate, minESS float64) likelihood.PathEstimate {
	if len(of) == 1 {
		return of[0]
	}
	e := of[0]
	for _, c := range of {
		if c.Status != likelihood.OK && c.Status != likelihood.LowESS {
			return c
		}
	}
	var share []float64
	e.Lower, share = mixture(len(of), func(c int) float64 { return of[c].Lower })
	e.LogQ, _ = mixture(len(of), func(c int) float64 { return of[c].LogQ })
	e.LowerStdErr, e.StdErr, e.ESS = 0, 0, 0
	for c, p := range share {
		e.LowerStdErr += p * of[c].LowerStdErr
		e.StdErr += p * of[c].StdErr
		e.ESS += p * p / of[c].ESS
	}
	e.ESS = 1 / e.ESS
	if e.Status = likelihood.OK; e.ESS < minESS {
		e.Status = likelihood.LowESS
	}
	return e
}
