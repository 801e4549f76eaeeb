package solver

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"hbar/dynamics"
	"hbar/kernels"
)

func x0Table(t *testing.T, s Schedule, o TableOptions) *Table {
	t.Helper()
	table, err := NewTable(s, Prediction{Target: PredictX0}, o)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// A block of one number is a schedule of scalars, with the same exponential steps of both orders.
func TestBlockOfOne(t *testing.T) {
	const beta = 9
	one, err := NewSchedule("block", map[string]float64{"size": 1, "a00": -0.5, "q00": 1, "beta": beta})
	if err != nil {
		t.Fatal(err)
	}
	vp := &VP{BetaMin: beta, BetaMax: beta, Span: Span{0.01, 1}}
	for _, sampler := range []Sampler{EulerMaruyama, Exponential, Exponential2} {
		for _, h := range []float64{0, 0.3, 1, 2} {
			o := TableOptions{Sampler: sampler, Steps: 12, H: h, Denoise: true}
			rows, steps := x0Table(t, vp, o).Rows, x0Table(t, one, o).Propagators
			for k, r := range rows {
				p := steps[k]
				// of x_0 predictions m is x̂_0, as here, and EM's row has the drift of the score −(x − αx̂_0)/σ²
				want := []float64{r.State, r.Net, r.Memory, math.Abs(r.Noise)}
				got := []float64{p.F[0], p.B[0], 0, 0}
				if p.M != nil {
					got[2] = p.M[0]
				}
				if p.C != nil {
					got[3] = p.C[0]
				}
				for i := range want {
					if math.Abs(got[i]-want[i]) > 1e-9*(1+math.Abs(want[i])) { // the tolerance of the integration
						t.Errorf("%s, h = %g, step %d: number %d is %v, want %v", sampler, h, k, i, got[i], want[i])
					}
				}
			}
		}
	}
}

// The steps' covariance is Σ_u − ΨΣ_tΨᵀ, forward and back; at h = 1 Ψ = Σ_u X⁻ᵀ Σ_t⁻¹, and x̂_0 held is φ_u − Ψφ_t. The tolerance
// is that of the integration.
func TestExactSteps(t *testing.T) {
	for _, s := range allBlocks(t) {
		b := s.size
		for _, span := range [][2]float64{{0.9, 0.5}, {0.2, 0.19}, {0.1, 0.04}} {
			for _, h := range []float64{0, 0.25, 1, 4, -0.5, -1} {
				from, to := span[0], span[1]
				if h < 0 { // the forward process
					from, to = to, from
				}
				steps, err := s.exact(context.Background(), []float64{from}, []float64{to}, func(int, float64) float64 { return h })
				if err != nil {
					t.Fatal(err)
				}
				x, lt, lu := steps[0], s.at(from), s.at(to)
				ps := x.psi.mul(&lt.sigma, b)
				psp := ps.mulT(&x.psi, b)
				want, got := lu.sigma.add(-1, &psp), x.chol.mulT(&x.chol, b)
				phi := x.psi.apply(&lt.phi, b)
				for i := range b {
					if e := x.held[i] - (lu.phi[i] - phi[i]); math.Abs(e) > 1e-9 {
						t.Errorf("%s, h = %g, %v: x̂_0's factor %d is off by %g", s.name, h, span, i, e)
					}
					for j := range b {
						if e := got[i*b+j] - want[i*b+j]; math.Abs(e) > 1e-9 {
							t.Errorf("%s, h = %g, %v: covariance [%d,%d] is off by %g", s.name, h, span, i, j, e)
						}
					}
				}
				if h != 1 {
					continue
				}
				// X = Φ_uΦ_t⁻¹, so X⁻ᵀ = exp(Aᵀβ(t−u))
				f := s.system.Step(s.beta * (from - to)).F
				var inverse, right mat.Dense
				if err := inverse.Inverse(mat.NewDense(b, b, slices.Clone(lt.sigma[:b*b]))); err != nil {
					t.Fatal(err)
				}
				right.Mul(mat.NewDense(b, b, slices.Clone(lu.sigma[:b*b])), f.T())
				right.Mul(&right, &inverse)
				for i, v := range right.RawMatrix().Data {
					if math.Abs(v-x.psi[i]) > 1e-7 { // Σ⁻¹ of cld3 has the condition 10⁶
						t.Errorf("%s, %v: Ψ[%d] is %v, want %v", s.name, span, i, x.psi[i], v)
					}
				}
			}
		}
	}
}

// covariance is that of the state at Tmin, from the prior through the table, for data N(0, v) and their exact score: then x̂_0 is
// linear in z, and with x̂_0 of the step before the chain is linear.
func (s *Blocks) covariance(v float64, table *Table) *mat.Dense {
	b := s.size
	n := b + 1
	sum := mat.NewDense(n, n, nil)
	prior := s.prior.mulT(&s.prior, b)
	for i := range b {
		for j := range b {
			sum.Set(i, j, prior[i*b+j])
		}
	}
	for _, p := range table.Propagators {
		l := s.at(p.T)
		step, noise := mat.NewDense(n, n, nil), mat.NewDense(n, n, nil)
		for j := range b {
			k := l.w[j] * v / (1 + l.ratio*v) // x̂_0 = v φᵀ(vφφᵀ + Σ)⁻¹ z
			step.Set(b, j, k)
			for i := range b {
				step.Set(i, j, p.F[i*b+j]+p.B[i]*k)
			}
		}
		for i := range b {
			if p.M != nil {
				step.Set(i, b, p.M[i])
			}
			for j := range b {
				if p.C != nil {
					noise.Set(i, j, p.C[i*b+j])
				}
			}
		}
		var ss, nn mat.Dense
		ss.Mul(step, sum)
		ss.Mul(&ss, step.T())
		nn.Mul(noise, noise.T())
		sum.Add(&ss, &nn)
	}
	return sum
}

// errorOf is the largest error of that covariance.
func (s *Blocks) errorOf(v float64, table *Table) float64 {
	got, l, b := s.covariance(v, table), s.at(s.Tmin()), s.size
	worst := 0.0
	for i := range b {
		for j := range b {
			worst = math.Max(worst, math.Abs(got.At(i, j)-l.sigma[i*b+j]-v*l.phi[i]*l.phi[j]))
		}
	}
	return worst
}

// The exponential samplers have the orders 1 and 2 at every h (cld3 reaches them at finer steps), and in 25 steps of the flow are right to a fifth where Euler's error is
// ten times the covariance itself.
func TestBlockSamplerOrders(t *testing.T) {
	for i, s := range allBlocks(t)[:2] {
		for _, h := range []float64{0, 1, 4}[i : 3-i] {
			for sampler, order := range map[Sampler]float64{Exponential: 1, Exponential2: 2} {
				var e [2]float64
				for i, n := range []int{60, 120} {
					e[i] = s.errorOf(0.5, x0Table(t, s, TableOptions{Sampler: sampler, Grid: GridLambda, Steps: n, H: h}))
				}
				if got := math.Log2(e[0] / e[1]); i == 0 && (math.Abs(got-order) > 0.35 || e[1] > 0.08) || got < 0.6*order && e[1] > 0.01 {
					t.Errorf("%s, %s, h = %g: errors %.2g, %.2g, order %.2f; want %g", s.name, sampler, h, e[0], e[1], got, order)
				}
			}
		}
	}
	s := allBlocks(t)[0]
	exponential := s.errorOf(0.5, x0Table(t, s, TableOptions{Sampler: Exponential, Grid: GridLambda, Steps: 25}))
	euler := s.errorOf(0.5, x0Table(t, s, TableOptions{Grid: GridLambda, Steps: 25}))
	if !(exponential < 0.2) || !(euler > 5) { // explicit steps are unstable where the friction is stiff, exponential ones are not
		t.Errorf("25 steps of the flow: error %.3g of exp and %.3g of em, want below 0.2 and above 5", exponential, euler)
	}
	if _, err := NewTable(s, Prediction{}, TableOptions{Sampler: Heun}); err == nil || !strings.Contains(err.Error(), "em, exp, exp2") {
		t.Errorf("heun: error %v", err)
	}
}

// The steps of a linear system are taken as they are, without a model: the law of 4000 states after steps of 0.3 and 1.7 is that of one of 2.
func TestPropagateSystem(t *testing.T) {
	s := &dynamics.System{A: mat.NewDense(2, 2, []float64{-0.2, 1, -1, -0.2}), Drift: []float64{0.3, 0}, Q: mat.NewDense(2, 2, []float64{0.5, 0.1, 0.1, 0.4})}
	const n = 4000
	var steps []Propagator
	for k, dt := range []float64{0.3, 1.7} {
		p := s.Step(dt)
		var cov blockMat
		copy(cov[:], p.P.RawMatrix().Data)
		c, _ := cov.cholesky(2)
		steps = append(steps, Propagator{F: p.F.RawMatrix().Data, O: p.B, C: c[:4], Step: uint32(k)})
	}
	z := make([]float64, 2*n)
	for i := range n {
		z[2*i], z[2*i+1] = 1, -2
	}
	if err := Propagate(context.Background(), nil, z, nil, 2, 1, steps, kernels.Noise{Seed: 5}, nil); err != nil {
		t.Fatal(err)
	}
	want := s.Step(2)
	for i := range 2 {
		mean := want.F.At(i, 0) - 2*want.F.At(i, 1) + want.B[i]
		for j := range 2 {
			m, c := 0.0, 0.0
			for k := range n {
				m += z[2*k+i] / n
				c += (z[2*k+i] - mean) * (z[2*k+j] - want.F.At(j, 0) + 2*want.F.At(j, 1) - want.B[j]) / n
			}
			if math.Abs(m-mean) > 4*math.Sqrt(want.P.At(i, i)/n) {
				t.Errorf("mean %d is %.4f, want %.4f", i, m, mean)
			}
			if e := math.Sqrt((want.P.At(i, i)*want.P.At(j, j) + want.P.At(i, j)*want.P.At(i, j)) / n); math.Abs(c-want.P.At(i, j)) > 4*e {
				t.Errorf("covariance [%d,%d] is %.4f, want %.4f", i, j, c, want.P.At(i, j))
			}
		}
	}
}

// linear is data N(0, v) with their exact score, as a model.
type linear struct {
	s *Blocks
	v float64
	d int
}

func (m linear) Dim() int { return m.d }
func (m linear) Score(_ context.Context, dst, x, t []float64) error {
	a, s2 := m.s.Alpha(t[0]), m.s.Sigma2(t[0])
	for i, v := range x {
		dst[i] = -v / (a*a*m.v + s2)
	}
	return nil
}

// Sample hands on the positions: their variance is that of the chain, whatever the chunks; with Denoise they are E[x_0|z].
func TestSampleBlocks(t *testing.T) {
	s := allBlocks(t)[0]
	m := linear{s, 0.5, 3}
	const n = 3000
	for _, h := range []float64{0, 1} {
		for _, denoise := range []bool{false, true} {
			o := Options{TableOptions: TableOptions{Sampler: Exponential2, Grid: GridLambda, Steps: 20, H: h, Denoise: denoise}, N: n, Seed: 3, Record: []float64{0.4, 0.01}}
			run := func(chunk int) (x, state []float64) {
				o.Chunk = chunk
				res, err := Sample(context.Background(), m, s, o, func(c Chunk) error {
					if c.D != 3 {
						t.Fatalf("samples of %d numbers", c.D)
					}
					x, state = append(x, c.X...), append(state, c.States[1]...)
					return nil
				})
				if err != nil || res.Samples != n || res.Evaluations != len(res.Table.Propagators) {
					t.Fatal(res, err)
				}
				return x, state
			}
			x, state := run(0)
			other, _ := run(700)
			if !slices.Equal(x, other) {
				t.Error("samples depend on the chunk")
			}
			sum := 0.0
			for _, v := range x {
				sum += v * v / (3 * n)
			}
			want := s.covariance(m.v, x0Table(t, s, o.TableOptions)).At(0, 0)
			if math.Abs(sum-want) > 4*want*math.Sqrt(2.0/(3*n)) {
				t.Errorf("h = %g, denoise %v: variance %.4f, want %.4f", h, denoise, sum, want)
			}
			if slices.Equal(x, state) == denoise {
				t.Errorf("the last state is the sample: %v, with denoise %v", !denoise, denoise)
			}
		}
	}
}

// The table of a schedule of matrices ends with the context, for whatever it is made.
func TestTableEndsWithContext(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	s := named(t, "cld")
	o := TableOptions{Sampler: Exponential, Steps: 4, H: 1}
	_, table := NewTableContext(ctx, s, Prediction{}, o)
	_, _, path := BlocksOf(s).PathSteps(ctx, GridLambda, 4, 1)
	r, sample := Sample(ctx, gaussModel{d: 1}, s, Options{TableOptions: o, N: 1}, nil)
	if !errors.Is(table, context.Canceled) || !errors.Is(path, context.Canceled) || !errors.Is(sample, context.Canceled) || r.Table != nil {
		t.Errorf("errors %v, %v, %v; a table of samples: %v", table, path, sample, r.Table != nil)
	}
}
