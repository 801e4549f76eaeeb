package cpu

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"hbar/kernels/simd"
)

// TestKeptAttention: with the matrices that ForwardKeep stores, results and cotangents have the bits of those that are computed without, whatever the workers share.
func TestKeptAttention(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, a := range []*Attention{
		{N: 3, Heads: 2, TQ: 49, TK: 49, D: 6},
		{N: 1, Heads: 1, TQ: 300, TK: 70, D: 16}, // tiles of queries; one head for all workers
		{N: 2, Heads: 3, TQ: 17, TK: 33, D: 5},   // rows that fill no panel
		{N: 5, Heads: 1, TQ: 16, TK: 16, D: 32},
	} {
		c := a.Heads * a.D
		q, dy := normal(r, a.N*a.TQ*c), normal(r, a.N*a.TQ*c)
		k, v := normal(r, a.N*a.TK*c), normal(r, a.N*a.TK*c)
		query := func(s []float32) Heads { return Heads{s, c, a.TQ * c} }
		key := func(s []float32) Heads { return Heads{s, c, a.TK * c} }
		eachImpl(t, func(t *testing.T, im *simd.Impl) {
			for _, workers := range []int{1, 2, 3} {
				team := NewTeam(workers)
				defer team.Close()
				team.Impl = im
				run := func(keep bool) [4][]float32 {
					y, dq := make([]float32, len(q)), make([]float32, len(q))
					dk, dv := make([]float32, len(k)), make([]float32, len(k))
					if keep {
						p := make([]float32, a.N*a.Heads*a.TQ*a.Row())
						a.ForwardKeep(team, query(y), query(q), key(k), key(v), p)
						a.Backward(team, query(dq), key(dk), key(dv), query(dy), query(q), key(k), key(v), p)
					} else {
						a.Forward(team, query(y), query(q), key(k), key(v))
						a.Backward(team, query(dq), key(dk), key(dv), query(dy), query(q), key(k), key(v), nil)
					}
					return [4][]float32{y, dq, dk, dv}
				}
				want, got := run(false), run(true)
				for i, name := range []string{"y", "dq", "dk", "dv"} {
					if !slices.Equal(got[i], want[i]) {
						t.Errorf("%s, %d workers: %s has other bits with kept probabilities", fmt.Sprint(*a), workers, name)
					}
				}
			}
		})
	}
}
