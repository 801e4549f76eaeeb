package cpu

import (
	"fmt"
	"math"

	"hbar/kernels/simd"
)

// GroupNorm is a group norm (Wu & He 2018) over samples [P, C] of P positions and C channels, with an optional vector
// added before it and an optional activation after it:
//
//	y = f(weight·(u - μ)/√(σ² + ε) + bias), u = x + add
//
// μ and the biased variance σ² are those of all positions and the C/Groups consecutive channels of a group of u, summed
// in float64 about a value of each channel, so a mean that is large against the spread costs no digits.
type GroupNorm struct {
	N, P, C, Groups int
	Eps             float64
	Act             simd.Act
	Weight, Bias    []float32 // [C]
	Add             []float32 // [N, C], or nil
}

// StatsLen is the length of a layer's statistics: for each sample and group the mean as a sum of two float32, and
// 1/√(σ² + ε).
func (g *GroupNorm) StatsLen() int { return 3 * g.N * g.Groups }

func (g *GroupNorm) check(op string, stats []float32, xs ...[]float32) {
	if g.Groups < 1 || g.C < 1 || g.C%g.Groups != 0 || g.N < 0 || g.P < 0 {
		panic(fmt.Sprintf("cpu: %s: N=%d P=%d C=%d Groups=%d: groups divide the channels", op, g.N, g.P, g.C, g.Groups))
	}
	want(op, "weight", len(g.Weight), g.C)
	want(op, "bias", len(g.Bias), g.C)
	if g.Add != nil {
		want(op, "add", len(g.Add), g.N*g.C)
	}
	if stats != nil {
		want(op, "stats", len(stats), g.StatsLen())
	}
	for _, x := range xs {
		want(op, "an array", len(x), g.N*g.P*g.C)
	}
}

// Forward writes y [N, P, C], which may be x, and unless stats is nil the statistics for Backward and Tangent.
func (g *GroupNorm) Forward(t *Team, y, x, stats []float32) {
	g.check("GroupNorm", stats, y, x)
	if g.P == 0 {
		return
	}
	im := t.Impl
	q := newPhased(t, g.N)
	s := g.newStatistics(q, im, x, stats)
	defer s.free()
	size := g.P * g.C
	q.run(s.sums(), s.finish(), phase{blocks(g.P, g.C), func(_, slot, n, i int) {
		lo, hi := block(g.P, g.C, i)
		k := s.coef(slot)
		im.Affine(g.Act, y[n*size+lo:n*size+hi], x[n*size+lo:n*size+hi], k.m, k.a, k.b)
	}})
}

// statistics is how the statistics of a layer's samples come about: sums over blocks of positions, then their total.
type statistics struct {
	*GroupNorm
	im         *simd.Impl
	x, stats   []float32
	parts      []float64 // [slot, block, 2, C] sums
	coefs      []float32 // [slot, 3, C]
	p64        *[]float64
	p32        *[]float32
	blocks, nb int // blocks of a sample; elements of a slot of parts
}

// normCoef gives a sample's norm as (x - m)·a + b, vectors of channels. The float32 nearest to the mean is m; what is
// left of it is in b.
type normCoef struct{ m, a, b []float32 }

func (g *GroupNorm) newStatistics(q phased, im *simd.Impl, x, stats []float32) *statistics {
	s := &statistics{GroupNorm: g, im: im, x: x, stats: stats, blocks: blocks(g.P, g.C)}
	s.nb = s.blocks * 2 * g.C
	s.parts, s.p64 = borrow[float64](&pool64, q.slots*s.nb)
	s.coefs, s.p32 = borrow[float32](&pool32, q.slots*3*g.C)
	return s
}

func (s *statistics) free() {
	pool64.Put(s.p64)
	pool32.Put(s.p32)
}

func (s *statistics) coef(slot int) normCoef {
	c := s.coefs[slot*3*s.C : (slot+1)*3*s.C]
	return normCoef{c[:s.C], c[s.C : 2*s.C], c[2*s.C:]}
}

func (s *statistics) sums() phase {
	return phase{s.blocks, func(_, slot, n, i int) {
		x := s.x[n*s.P*s.C : (n+1)*s.P*s.C]
		lo, hi := block(s.P, s.C, i)
		p := s.parts[slot*s.nb+i*2*s.C:][:2*s.C]
		clear(p)
		s.im.Moments64(p[:s.C], p[s.C:], x[lo:hi], x[:s.C])
	}}
}

// finish adds up the blocks and the channels of each group.
func (s *statistics) finish() phase {
	return phase{1, func(_, slot, n, _ int) {
		x, p := s.x[n*s.P*s.C:][:s.C], s.parts[slot*s.nb:][:s.nb]
		k := s.coef(slot)
		w := s.C / s.Groups
		count := float64(s.P) * float64(w)
		for j := range s.Groups {
			mean, square := s.group(x, p, n, j*w, w)
			st := [3]float32{float32(mean), float32(mean - float64(float32(mean))), float32(1 / math.Sqrt(square/count+s.Eps))}
			if s.stats != nil {
				copy(s.stats[3*(n*s.Groups+j):], st[:])
			}
			s.groupCoef(k, n, j, st)
		}
	}}
}

// group is the mean of channels c.. of u, and the sum of squares about it.
func (s *statistics) group(x []float32, parts []float64, n, c, w int) (mean, square float64) {
	// Each channel's mean and squares about it first; then about the mean of the means (Chan et al. 1979).
	P := float64(s.P)
	for i := c; i < c+w; i++ {
		m, _ := s.channel(x, parts, n, i)
		mean += m / float64(w)
	}
	for i := c; i < c+w; i++ {
		m, q := s.channel(x, parts, n, i)
		square += q + P*(m-mean)*(m-mean)
	}
	return mean, square
}

// channel is the mean of channel c of u and the sum of squares about it.
func (s *statistics) channel(x []float32, parts []float64, n, c int) (mean, square float64) {
	var s1, s2 float64
	for i := c; i < len(parts); i += 2 * s.C {
		s1 += parts[i]
		s2 += parts[i+s.C]
	}
	P := float64(s.P)
	mean = float64(x[c]) + s1/P
	if s.Add != nil {
		mean += float64(s.Add[n*s.C+c])
	}
	return mean, max(0, s2-s1*s1/P)
}

// groupCoef sets the coefficients of the channels of group j of sample n.
func (g *GroupNorm) groupCoef(k normCoef, n, j int, st [3]float32) {
	w := g.C / g.Groups
	r := float64(st[2])
	for c := j * w; c < (j+1)*w; c++ {
		m, d := g.center(n, c, st)
		k.m[c] = m
		k.a[c] = float32(float64(g.Weight[c]) * r)
		k.b[c] = float32(float64(g.Bias[c]) - d*float64(g.Weight[c])*r)
	}
}

// center is what to subtract from channel c of x: the nearest float32 and the rest.
func (g *GroupNorm) center(n, c int, st [3]float32) (m float32, rest float64) {
	mean := float64(st[0]) + float64(st[1])
	if g.Add != nil {
		mean -= float64(g.Add[n*g.C+c])
	}
	m = float32(mean)
	return m, mean - float64(m)
}
