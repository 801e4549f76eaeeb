package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"hbar/kernels/simd"
)

// A batchCase runs a layer on samples lo to hi-1 of its inputs. It returns arrays with those samples' results, and adds
// gradients of parameters to params.
type batchCase struct {
	name   string
	params int
	run    func(t *Team, lo, hi int, params []float32) [][]float32
}

func normal(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

const batchSamples = 5

func batchCases() []batchCase {
	r := rand.New(rand.NewPCG(1, 2))
	const N = batchSamples
	var cases []batchCase
	for _, s := range []struct{ p, c, groups int }{{49, 6, 3}, {130, 64, 32}, {150, 20, 5}} {
		size := s.p * s.c
		x, dy, add, w, b := normal(r, N*size), normal(r, N*size), normal(r, N*s.c), normal(r, s.c), normal(r, s.c)
		cases = append(cases, batchCase{fmt.Sprint("group norm ", s), 2 * s.c, func(t *Team, lo, hi int, params []float32) [][]float32 {
			n := hi - lo
			g := &GroupNorm{N: n, P: s.p, C: s.c, Groups: s.groups, Eps: 1e-5, Act: simd.SiLU, Weight: w, Bias: b, Add: add[lo*s.c : hi*s.c]}
			y, dx, da, stats := make([]float32, n*size), make([]float32, n*size), make([]float32, n*s.c), make([]float32, g.StatsLen())
			x, dy := x[lo*size:hi*size], dy[lo*size:hi*size]
			g.Forward(t, y, x, stats)
			g.Backward(t, GroupNormGrad{DX: dx, DAdd: da, DWeight: params[:s.c], DBias: params[s.c:], Accumulate: true}, dy, x, stats)
			return [][]float32{y, dx, da, stats}
		}})
	}
	for _, s := range []struct{ p, c int }{{7, 5}, {200, 96}} {
		size := s.p * s.c
		x, dy, scale, shift, w, b := normal(r, N*size), normal(r, N*size), normal(r, N*s.c), normal(r, N*s.c), normal(r, s.c), normal(r, s.c)
		cases = append(cases, batchCase{fmt.Sprint("layer norm ", s), 2 * s.c, func(t *Team, lo, hi int, params []float32) [][]float32 {
			n := hi - lo
			var out [][]float32
			x, dy := x[lo*size:hi*size], dy[lo*size:hi*size]
			for _, l := range []*LayerNorm{
				{N: n, P: s.p, C: s.c, Eps: 1e-6},
				{N: n, P: s.p, C: s.c, Eps: 1e-6, Scale: scale[lo*s.c : hi*s.c], Shift: shift[lo*s.c : hi*s.c]},
				{N: n, P: s.p, C: s.c, Eps: 1e-6, Weight: w, Bias: b},
			} {
				y, dx, ds, dh := make([]float32, n*size), make([]float32, n*size), make([]float32, n*s.c), make([]float32, n*s.c)
				l.Forward(t, y, x)
				o := LayerNormGrad{DX: dx, DScale: ds, DShift: dh}
				if l.Weight != nil {
					o = LayerNormGrad{DX: dx, DWeight: params[:s.c], DBias: params[s.c:], Accumulate: true}
				}
				l.Backward(t, o, dy, x)
				out = append(out, y, dx, ds, dh)
			}
			return out
		}})
		z, gate := normal(r, N*size), normal(r, N*s.c)
		cases = append(cases, batchCase{fmt.Sprint("channels ", s), s.c, func(t *Team, lo, hi int, params []float32) [][]float32 {
			n := hi - lo
			x, z, gate := x[lo*size:hi*size], z[lo*size:hi*size], gate[lo*s.c:hi*s.c]
			y, m, sums, dots := make([]float32, n*size), make([]float32, n*size), make([]float32, n*s.c), make([]float32, n*s.c)
			GatedAdd(t, y, x, z, gate, n, s.p, s.c)
			ScaleChannels(t, m, x, gate, n, s.p, s.c)
			ChannelSums(t, sums, x, n, s.p, s.c)
			SumSamples(t, params, sums, n, s.c, true)
			loss := make([]float64, n)
			SquaredError(t, loss, nil, x, z, nil, 1, n, size)
			for i, v := range loss {
				dots[i*s.c] += float32(v)
			}
			return [][]float32{y, m, sums, dots}
		}})
		cases = append(cases, batchCase{fmt.Sprint("dropout ", s), 0, func(t *Team, lo, hi int, _ []float32) [][]float32 {
			y := make([]float32, (hi-lo)*size)
			Dropout{Seed: 3, Stream: 4, Drop: 1 << 30, Keep: 4. / 3}.Mask(t, y, []float64{10, 11, 12, 13, 14}[lo:hi], size)
			return [][]float32{y}
		}})
	}
	return append(cases, attentionCases(r)...)
}

// attentionCases are those of attention.
func attentionCases(r *rand.Rand) (cases []batchCase) {
	const N = batchSamples
	for _, s := range []struct{ heads, tq, tk, d int }{{2, 49, 49, 6}, {1, 70, 70, 32}, {3, 17, 30, 5}} {
		c := s.heads * s.d
		q, k, v, dy := normal(r, N*s.tq*c), normal(r, N*s.tk*c), normal(r, N*s.tk*c), normal(r, N*s.tq*c)
		cases = append(cases, batchCase{fmt.Sprint("attention ", s), 0, func(t *Team, lo, hi int, _ []float32) [][]float32 {
			n := hi - lo
			a := &Attention{N: n, Heads: s.heads, TQ: s.tq, TK: s.tk, D: s.d}
			query := func(x []float32) Heads { return Heads{x[lo*s.tq*c:], c, s.tq * c} }
			key := func(x []float32) Heads { return Heads{x[lo*s.tk*c:], c, s.tk * c} }
			var out [][]float32
			result := func(rows int) Heads {
				out = append(out, make([]float32, n*rows*c))
				return Heads{out[len(out)-1], c, rows * c}
			}
			a.Forward(t, result(s.tq), query(q), key(k), key(v))
			a.Backward(t, result(s.tq), result(s.tk), result(s.tk), query(dy), query(q), key(k), key(v), nil)
			a.Tangent(t, result(s.tq), query(q), key(k), key(v), query(dy), key(v), key(k))
			return out
		}})
	}
	return cases
}

// TestBatchInvariance: a batch gives the bits of its samples alone, for any number of workers, and gradients of
// parameters the bits of a sum over micro-batches.
func TestBatchInvariance(t *testing.T) {
	cases := batchCases()
	eachImpl(t, func(t *testing.T, im *simd.Impl) {
		var teams []*Team
		for _, w := range []int{1, 2, 3, 4} {
			team := NewTeam(w)
			defer team.Close()
			team.Impl = im
			teams = append(teams, team)
		}
		for _, c := range cases {
			wantParams := make([]float32, c.params)
			want := c.run(teams[0], 0, batchSamples, wantParams)
			for _, team := range teams {
				for _, cuts := range [][]int{{0, 5}, {0, 1, 2, 3, 4, 5}, {0, 3, 5}} {
					params := make([]float32, c.params)
					got := make([][]float32, len(want))
					for i := range len(cuts) - 1 {
						for j, y := range c.run(team, cuts[i], cuts[i+1], params) {
							got[j] = append(got[j], y...)
						}
					}
					got = append(got, params)
					for j, w := range append(want[:len(want):len(want)], wantParams) {
						for i, v := range w {
							if got[j][i] != v {
								t.Fatalf("%s: %d workers, batches %v: output %d, element %d is %v, want %v", c.name, team.Workers(), cuts, j, i, got[j][i], v)
							}
						}
					}
				}
			}
		}
	})
}
