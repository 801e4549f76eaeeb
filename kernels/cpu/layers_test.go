package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"hbar/kernels/simd"
)

// A reference is a layer in float64, and what the kernels make of the same inputs.
type reference struct {
	name    string
	in      [][]float32                    // inputs
	eval    func(in [][]float64) []float64 // the definition
	run     func(t *Team, in, du [][]float32, dy []float32) (y []float32, grads [][]float32, dt []float32)
	tol     float64 // of y, relative to its largest element; gradients and tangents may have three times that
	spacing float64 // of finite differences
}

func wide(x [][]float32) [][]float64 {
	y := make([][]float64, len(x))
	for i, v := range x {
		y[i] = make([]float64, len(v))
		for j, w := range v {
			y[i][j] = float64(w)
		}
	}
	return y
}

func largest(x []float64) (m float64) {
	for _, v := range x {
		m = max(m, math.Abs(v))
	}
	return m
}

// check compares values, tangents along random directions, where run makes them, and gradients at random places with the reference's, whose
// derivatives are central differences.
func (q *reference) check(t *testing.T, team *Team, r *rand.Rand) {
	t.Helper()
	want := q.eval(wide(q.in))
	dy := normal(r, len(want))
	var du [][]float32
	for _, x := range q.in {
		du = append(du, normal(r, len(x)))
	}
	y, grads, dt := q.run(team, q.in, du, dy)
	near := func(what string, got, want, scale, tol float64) {
		t.Helper()
		if !(math.Abs(got-want) <= tol*scale) {
			t.Fatalf("%s: %s is %v, want %v: difference %.2g of %.3g", q.name, what, got, want, got-want, scale)
		}
	}
	top := largest(want)
	for i, v := range want {
		near(fmt.Sprint("y ", i), float64(y[i]), v, top, q.tol)
	}
	// shifted is the layer at the inputs plus h times a direction.
	shifted := func(h float64, dir func(x [][]float64, h float64)) []float64 {
		x := wide(q.in)
		dir(x, h)
		return q.eval(x)
	}
	slope := func(dir func(x [][]float64, h float64)) []float64 {
		a, b := shifted(q.spacing, dir), shifted(-q.spacing, dir)
		for i := range a {
			a[i] = (a[i] - b[i]) / (2 * q.spacing)
		}
		return a
	}
	if dt != nil {
		along := slope(func(x [][]float64, h float64) {
			for i := range x {
				for j := range x[i] {
					x[i][j] += h * float64(du[i][j])
				}
			}
		})
		top := largest(along)
		for i, v := range along {
			near(fmt.Sprint("tangent ", i), float64(dt[i]), v, top, 3*q.tol)
		}
	}
	for i, g := range grads {
		if g == nil {
			continue
		}
		top := max(0.1, largest(wide([][]float32{g})[0])) // a channel that is a group has no gradient in what is added
		for range 6 {
			j := r.IntN(len(g))
			sum := 0.0
			for k, v := range slope(func(x [][]float64, h float64) { x[i][j] += h }) {
				sum += v * float64(dy[k])
			}
			near(fmt.Sprintf("gradient of input %d, element %d", i, j), float64(g[j]), sum, top, 3*q.tol)
		}
	}
}

// groupNormReference has inputs x, add, weight, bias.
func groupNormReference(n, p, c, groups int, f simd.Act, mean float64, r *rand.Rand) *reference {
	x := normal(r, n*p*c)
	for i := range x {
		x[i] += float32(mean)
	}
	layer := func(in [][]float32) *GroupNorm {
		return &GroupNorm{N: n, P: p, C: c, Groups: groups, Eps: 1e-5, Act: f, Add: in[1], Weight: in[2], Bias: in[3]}
	}
	return &reference{
		name: fmt.Sprintf("group norm n=%d p=%d c=%d groups=%d %v mean=%g", n, p, c, groups, f, mean),
		in:   [][]float32{x, normal(r, n*c), normal(r, c), normal(r, c)}, tol: 1e-6, spacing: 1e-4,
		eval: func(in [][]float64) []float64 {
			y := make([]float64, n*p*c)
			w := c / groups
			for s := range n {
				for g := range groups {
					var u []float64
					each := func(f func(i, ch int)) {
						for j := range p {
							for ch := g * w; ch < (g+1)*w; ch++ {
								f((s*p+j)*c+ch, ch)
							}
						}
					}
					mu, sq := 0.0, 0.0
					each(func(i, ch int) { u = append(u, in[0][i]+in[1][s*c+ch]) })
					for _, v := range u {
						mu += v / float64(len(u))
					}
					for _, v := range u {
						sq += (v - mu) * (v - mu) / float64(len(u))
					}
					k := 0
					each(func(i, ch int) {
						y[i], _ = f.Eval((u[k]-mu)/math.Sqrt(sq+1e-5)*in[2][ch] + in[3][ch])
						k++
					})
				}
			}
			return y
		},
		run: func(t *Team, in, du [][]float32, dy []float32) (y []float32, grads [][]float32, dt []float32) {
			g := layer(in)
			y = like(in[0])
			for _, v := range in {
				grads = append(grads, like(v))
			}
			stats := make([]float32, g.StatsLen())
			g.Forward(t, y, in[0], stats)
			g.Backward(t, GroupNormGrad{DX: grads[0], DAdd: grads[1], DWeight: grads[2], DBias: grads[3]}, dy, in[0], stats)
			return y, grads, nil
		},
	}
}

// layerNormReference has inputs x, and scale and shift or weight and bias.
func layerNormReference(n, p, c int, modulated bool, mean float64, r *rand.Rand) *reference {
	x := normal(r, n*p*c)
	for i := range x {
		x[i] += float32(mean)
	}
	vectors := 1
	if modulated {
		vectors = n
	}
	q := &reference{
		name: fmt.Sprintf("layer norm n=%d p=%d c=%d modulated=%v mean=%g", n, p, c, modulated, mean),
		in:   [][]float32{x, normal(r, vectors*c), normal(r, vectors*c)}, tol: 1e-6, spacing: 1e-4,
		eval: func(in [][]float64) []float64 {
			y := make([]float64, n*p*c)
			for i := range n * p {
				row := in[0][i*c : (i+1)*c]
				mu, sq := 0.0, 0.0
				for _, v := range row {
					mu += v / float64(c)
				}
				for _, v := range row {
					sq += (v - mu) * (v - mu) / float64(c)
				}
				for j, v := range row {
					a, b := in[1][j%len(in[1])], in[2][j%len(in[2])]
					if modulated {
						a, b = 1+in[1][i/p*c+j], in[2][i/p*c+j]
					}
					y[i*c+j] = (v-mu)/math.Sqrt(sq+1e-5)*a + b
				}
			}
			return y
		},
	}
	q.run = func(t *Team, in, du [][]float32, dy []float32) (y []float32, grads [][]float32, dt []float32) {
		l := &LayerNorm{N: n, P: p, C: c, Eps: 1e-5}
		y = like(in[0])
		for _, v := range in {
			grads = append(grads, like(v))
		}
		o := LayerNormGrad{DX: grads[0]}
		if modulated {
			l.Scale, l.Shift = in[1], in[2]
			o.DScale, o.DShift = grads[1], grads[2]
		} else {
			l.Weight, l.Bias = in[1], in[2]
			o.DWeight, o.DBias = grads[1], grads[2]
		}
		l.Forward(t, y, in[0])
		l.Backward(t, o, dy, in[0])
		return y, grads, nil
	}
	return q
}

// attentionReference has inputs q, k, v; queries and keys are scaled by size.
func attentionReference(a Attention, size float32, r *rand.Rand) *reference {
	c := a.Heads * a.D
	in := [][]float32{normal(r, a.N*a.TQ*c), normal(r, a.N*a.TK*c), normal(r, a.N*a.TK*c)}
	for _, x := range in[:2] {
		for i := range x {
			x[i] *= size
		}
	}
	rows := []int{a.TQ, a.TK, a.TK}
	views := func(x [][]float32) (v [3]Heads) {
		for i := range v {
			v[i] = Heads{x[i], c, rows[i] * c}
		}
		return v
	}
	return &reference{
		name: fmt.Sprintf("attention %+v size=%g", a, size), in: in, tol: 2e-6, spacing: 1e-5,
		eval: func(in [][]float64) []float64 {
			y := make([]float64, a.N*a.TQ*c)
			for n := range a.N {
				for h := range a.Heads {
					for i := range a.TQ {
						q := in[0][(n*a.TQ+i)*c+h*a.D:][:a.D]
						s, top := make([]float64, a.TK), math.Inf(-1)
						for j := range s {
							for d, v := range q {
								s[j] += v * in[1][(n*a.TK+j)*c+h*a.D+d] / math.Sqrt(float64(a.D))
							}
							top = max(top, s[j])
						}
						sum := 0.0
						for j := range s {
							s[j] = math.Exp(s[j] - top)
							sum += s[j]
						}
						for j := range s {
							for d := range a.D {
								y[(n*a.TQ+i)*c+h*a.D+d] += s[j] / sum * in[2][(n*a.TK+j)*c+h*a.D+d]
							}
						}
					}
				}
			}
			return y
		},
		run: func(t *Team, in, du [][]float32, dy []float32) (y []float32, grads [][]float32, dt []float32) {
			y, dt = like(in[0]), like(in[0])
			for _, v := range in {
				grads = append(grads, like(v))
			}
			x, d, g := views(in), views(du), views(grads)
			out := func(s []float32) Heads { return Heads{s, c, a.TQ * c} }
			a.Forward(t, out(y), x[0], x[1], x[2])
			a.Backward(t, g[0], g[1], g[2], out(dy), x[0], x[1], x[2], nil)
			a.Tangent(t, out(dt), x[0], x[1], x[2], d[0], d[1], d[2])
			return y, grads, dt
		},
	}
}

// TestLayers: norms and attention with their derivatives against definitions in float64, at odd sizes and those of
// networks, with means large against the spread and scores far apart.
func TestLayers(t *testing.T) {
	eachImpl(t, func(t *testing.T, im *simd.Impl) {
		team := NewTeam(2)
		defer team.Close()
		team.Impl = im
		r := rand.New(rand.NewPCG(7, 8))
		cases := []*reference{
			groupNormReference(2, 7, 6, 2, simd.SiLU, 0, r),
			groupNormReference(1, 150, 32, 8, simd.SiLU, 100, r),
			groupNormReference(3, 5, 9, 9, simd.Identity, 3, r),
			groupNormReference(1, 1, 8, 2, simd.GELUTanh, 0, r),
			groupNormReference(1, 33, 20, 1, simd.Tanh, -1000, r),
			layerNormReference(2, 5, 9, true, 0, r),
			layerNormReference(1, 3, 384, true, 50, r),
			layerNormReference(2, 4, 33, false, -1000, r),
			attentionReference(Attention{N: 2, Heads: 3, TQ: 17, TK: 30, D: 5}, 1, r),
			attentionReference(Attention{N: 1, Heads: 1, TQ: 1, TK: 1, D: 1}, 1, r),
			attentionReference(Attention{N: 1, Heads: 2, TQ: 67, TK: 67, D: 16}, 1, r),
			attentionReference(Attention{N: 1, Heads: 1, TQ: 49, TK: 49, D: 40}, 3, r),
		}
		if !testing.Short() && im != simd.All()[0] {
			cases = append(cases, attentionReference(Attention{N: 1, Heads: 1, TQ: 100, TK: 100, D: 64}, 1, r))
		}
		for _, c := range cases {
			c.check(t, team, r)
		}
	})
}

// TestAttentionOverflow: scores of 10⁶ give the value of the best key.
func TestAttentionOverflow(t *testing.T) {
	eachImpl(t, func(t *testing.T, im *simd.Impl) {
		team := NewTeam(1)
		defer team.Close()
		team.Impl = im
		const n = 20
		a := Attention{N: 1, Heads: 1, TQ: n, TK: n, D: n}
		q, v, y := make([]float32, n*n), make([]float32, n*n), make([]float32, n*n)
		for i := range n {
			q[i*n+i] = 3000
		}
		for i := range v {
			v[i] = float32(i)
		}
		view := func(s []float32) Heads { return Heads{s, n, n * n} }
		a.Forward(team, view(y), view(q), view(q), view(v))
		for i := range v {
			if !(math.Abs(float64(y[i]-v[i])) < 1e-30) { // weights of the others are e⁻⁸⁷ at least
				t.Fatalf("element %d is %v, want %v", i, y[i], v[i])
			}
		}
	})
}

// TestDerivative: derivatives of activations to order 4.
func TestDerivative(t *testing.T) {
	eachImpl(t, func(t *testing.T, im *simd.Impl) {
		team := NewTeam(2)
		defer team.Close()
		team.Impl = im
		x := make([]float32, 5003)
		for i := range x {
			x[i] = float32(i-2500) / 200
		}
		y, c := like(x), make([]float64, 5)
		for f := simd.Identity; f <= simd.GELUTanh; f++ {
			for order := range 5 {
				Derivative(team, f, order, y, x)
				factorial := []float64{1, 1, 2, 6, 24}[order]
				for i, v := range x {
					f.Taylor(c, float64(v))
					want := factorial * c[order]
					if d := math.Abs(float64(y[i]) - want); !(d <= 5e-7*max(factorial, math.Abs(want))) { // a few float32 roundings of a coefficient, times k!
						t.Fatalf("%v, order %d at %v: %v, want %v", f, order, v, y[i], want)
					}
				}
			}
		}
	})
}
