package metrics

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"

	"hbar/kernels"
)

// TestOptions are the settings of PermutationTest.
type TestOptions struct {
	Permutations int     // 0: 199
	Bandwidth    float64 // > 0: test MMD² with this bandwidth; 0: test the squared energy distance
	Seed         uint64
}

// TestResult is the outcome of PermutationTest.
type TestResult struct {
	Statistic    float64 `json:"statistic"` // squared energy distance or MMD², unbiased
	P            float64 `json:"p"`
	Permutations int     `json:"permutations"`
}

// PermutationTest tests whether x (n×d) and y (m×d) come from one distribution: P is the share of random divisions of the
// pooled points, the actual one included, whose statistic is at least as large. Under the hypothesis P ≤ p has
// probability at most p, exactly, for any n, m and d.
//
// Cost: (n+m)²/2 kernel values and n²/2 additions for each permutation. Memory: 4 n bytes for each permutation.
func PermutationTest(ctx context.Context, x, y []float64, d int, o *TestOptions) (*TestResult, error) {
	if o == nil {
		o = &TestOptions{}
	}
	perms := o.Permutations
	if perms == 0 {
		perms = 199
	}
	n, m, err := check(x, y, d)
	if err != nil {
		return nil, err
	}
	if n < 2 || m < 2 || perms < 1 {
		return nil, fmt.Errorf("metrics: %d and %d points and %d permutations; want at least 2, 2 and 1", n, m, perms)
	}
	k := kernel(minusDistance)
	if o.Bandwidth > 0 {
		k = gaussian(o.Bandwidth)
	}
	z := slices.Concat(x, y)
	labels := divisions(n, n+m, perms, o.Seed)
	inner, rows, err := innerSums(ctx, z, d, k, labels)
	if err != nil {
		return nil, err
	}
	stats := make([]float64, len(labels))
	total := sum(rows) / 2
	for b, members := range labels {
		var all float64
		for _, i := range members {
			all += rows[i]
		}
		cross := all - 2*inner[b]
		N, M := float64(n), float64(m)
		stats[b] = 2*inner[b]/(N*(N-1)) + 2*(total-inner[b]-cross)/(M*(M-1)) - 2*cross/(N*M)
	}
	atLeast := 0
	for _, s := range stats {
		if s >= stats[0] {
			atLeast++
		}
	}
	return &TestResult{stats[0], float64(atLeast) / float64(len(stats)), perms}, nil
}

// divisions lists which n of the pooled points make the first sample: first the actual division, then random ones.
func divisions(n, pooled, perms int, seed uint64) [][]int32 {
	labels := make([][]int32, perms+1)
	all := make([]int32, pooled)
	for b := range labels {
		for i := range all {
			all[i] = int32(i)
		}
		if b > 0 {
			r := rand.New(kernels.NewSource(seed, kernels.StreamResample, uint64(b)))
			for i := range n { // the first n steps of a Fisher–Yates shuffle
				j := i + r.IntN(pooled-i)
				all[i], all[j] = all[j], all[i]
			}
		}
		labels[b] = slices.Clone(all[:n])
		slices.Sort(labels[b])
	}
	return labels
}

// innerSums are, for each division, the sum of the kernel over the pairs within its first sample, and for each point the
// sum over all others. The kernel of a pair is computed twice, whatever the number of divisions.
func innerSums(ctx context.Context, z []float64, d int, k kernel, labels [][]int32) (inner, rows []float64, err error) {
	n := len(z) / d
	rows = make([]float64, n)
	blocks := min(n, 64) // fixed, so that the sums do not depend on the number of CPUs
	part := make([][]float64, blocks)
	buf := buffers(n)
	err = eachRow(ctx, blocks, func(w, g int) {
		part[g] = make([]float64, len(labels))
		row := buf[w]
		for i := g; i < n && ctx.Err() == nil; i += blocks {
			squaredDistances(row, z[i*d:(i+1)*d], z)
			for j, r2 := range row {
				row[j] = k(r2)
			}
			row[i] = 0
			rows[i] = sum(row)
			for b, members := range labels {
				at := sort.Search(len(members), func(q int) bool { return members[q] >= int32(i) })
				if at == len(members) || members[at] != int32(i) {
					continue
				}
				var s float64
				for _, j := range members[at+1:] {
					s += row[j]
				}
				part[g][b] += s
			}
		}
	})
	if err != nil {
		return nil, nil, err
	}
	inner = make([]float64, len(labels))
	for _, p := range part {
		for b, v := range p {
			inner[b] += v
		}
	}
	return inner, rows, nil
}
