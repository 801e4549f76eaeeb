package likelihood

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"hbar/kernels"
	"hbar/solver"
)

// Schedules of matrices (solver.Blocks). The process is one of states z = (x, v, …), of which a point says x alone. Its density is the
// integral over the rest,
//
//	q^h(x) = ∫ q^h(x, v) dv = E_r[ q^h(x, v)/r(v) ],
//
// estimated by draws of v from r(v | x), the conditional law for data of unit variance. So each method has draws of v for each point,
// and the logarithm of a mean over draws is a lower bound in expectation, as for the path integral.
//
// All that is integrated along the flow dz/dt = β(A z − ½ Q s) goes by the model's interfaces with the pseudo score β(Q s − 2A z), with
// which the flow has no drift of its own and ½ for ½g².

// blockModel is that pseudo score of the states.
type blockModel struct {
	*solver.Lifted
	blocks *solver.Blocks
	d      int       // of the data
	a, q   []float64 // β A and β Q, b×b
	aT     []float64
}

func newBlockModel(m solver.Model, s *solver.Blocks) *blockModel {
	b := s.Size()
	a, q, _ := s.Matrices()
	out := &blockModel{Lifted: solver.Lift(m, s), blocks: s, d: m.Dim(), a: a, q: q, aT: make([]float64, b*b)}
	for i := range a {
		a[i] *= s.Beta()
		q[i] *= s.Beta()
		out.aT[i%b*b+i/b] = a[i]
	}
	return out
}

// apply adds c (m ⊗ I) z to dst, for all states.
func (m *blockModel) apply(dst []float64, c float64, matrix, z []float64) {
	b, d := m.blocks.Size(), m.d
	for at := 0; at < len(z); at += b * d {
		for i := range b {
			row := dst[at+i*d : at+(i+1)*d]
			for k := range b {
				if f := c * matrix[i*b+k]; f != 0 {
					for j, v := range z[at+k*d : at+(k+1)*d] {
						row[j] += f * v
					}
				}
			}
		}
	}
}

// product is (m ⊗ I) z; nil stays nil.
func (m *blockModel) product(matrix, z []float64) []float64 {
	if z == nil {
		return nil
	}
	out := make([]float64, len(z))
	m.apply(out, 1, matrix, z)
	return out
}

// pseudo makes β(Q s − 2 A z) of s, in place.
func (m *blockModel) pseudo(s, z []float64) {
	if s != nil {
		copy(s, m.product(m.q, s))
		m.apply(s, -2, m.a, z)
	}
}

// Score implements solver.Model.
func (m *blockModel) Score(ctx context.Context, dst, z, t []float64) error {
	return m.ScoreDiv(ctx, dst, nil, z, t)
}

// ScoreDiv implements solver.Diverger.
func (m *blockModel) ScoreDiv(ctx context.Context, s, div, z, t []float64) error {
	if s == nil {
		s = make([]float64, len(z))
	}
	if err := m.Flow(ctx, s, div, z, t); err != nil {
		return err
	}
	beta, trace := m.blocks.Beta(), 0.0
	for i := range s {
		s[i] *= beta
	}
	m.apply(s, -2, m.a, z)
	for i := range m.blocks.Size() {
		trace += m.a[i*(m.blocks.Size()+1)]
	}
	for i := range div {
		div[i] = beta*div[i] - 2*float64(m.d)*trace
	}
	return nil
}

// ScoreJVP implements solver.JVPer.
func (m *blockModel) ScoreJVP(ctx context.Context, s, jv, z, v []float64, k int, t []float64) error {
	if err := m.Lifted.ScoreJVP(ctx, s, jv, z, v, k, t); err != nil {
		return err
	}
	m.pseudo(s, z)
	m.pseudo(jv, v)
	return nil
}

// ScoreVJP implements solver.VJPer.
func (m *blockModel) ScoreVJP(ctx context.Context, s, vj, z, u, t []float64) error {
	return m.ScoreAdjoint(ctx, &kernels.Adjoint[float64]{X: z, CovS: u, Grad: vj, S: s}, t)
}

// ScoreAdjoint implements solver.VJPer.
func (m *blockModel) ScoreAdjoint(ctx context.Context, q *kernels.Adjoint[float64], t []float64) error {
	// Q is symmetric, so covectors are multiplied by Q as values are.
	lifted := *q
	for _, cov := range []*[]float64{&lifted.CovS, &lifted.CovSV, &lifted.CovSW, &lifted.CovSVW} {
		*cov = m.product(m.q, *cov)
	}
	if err := m.Lifted.ScoreAdjoint(ctx, &lifted, t); err != nil {
		return err
	}
	if q.CovS != nil {
		m.apply(q.Grad, -2, m.aT, q.CovS)
	}
	m.pseudo(q.S, q.X)
	if q.V != nil {
		m.pseudo(q.SV, q.V)
	}
	if q.W != nil {
		m.pseudo(q.SW, q.W)
	}
	if q.SVW != nil {
		copy(q.SVW, m.product(m.q, q.SVW))
	}
	return nil
}

// blockLaw is a Gaussian law of blocks, N(0, V ⊗ I).
type blockLaw struct {
	chol *mat.TriDense
	inv  []float64 // V⁻¹, b×b
	log  float64   // ½ log det V + (b/2) log 2π, of one coordinate
}

func newBlockLaw(v []float64, b int) (*blockLaw, error) {
	var c mat.Cholesky
	if !c.Factorize(mat.NewSymDense(b, v)) {
		return nil, fmt.Errorf("likelihood: the covariance %.3g of a block is not positive", v)
	}
	l := &blockLaw{chol: mat.NewTriDense(b, mat.Lower, nil), log: c.LogDet()/2 + float64(b)/2*math.Log(2*math.Pi)}
	c.LTo(l.chol)
	var inverse mat.SymDense
	if err := c.InverseTo(&inverse); err != nil {
		return nil, fmt.Errorf("likelihood: the covariance of a block: %w", err)
	}
	for i := range b {
		for j := range b {
			l.inv = append(l.inv, inverse.At(i, j))
		}
	}
	return l, nil
}

// logDensity is that of one state of b numbers with d each.
func (l *blockLaw) logDensity(z []float64, b, d int) float64 {
	sum := 0.0
	for i := range b {
		for k := range b {
			sum += l.inv[i*b+k] * dot(z[i*d:(i+1)*d], z[k*d:(k+1)*d])
		}
	}
	return -sum/2 - float64(d)*l.log
}

// blockProblem is what a problem has of a schedule of matrices.
type blockProblem struct {
	*blockModel
	prior *blockLaw
	// Given x, the rest of a block at Tmin is proposed as mean x + L ε.
	mean []float64 // b−1
	rest *blockLaw // nil for b = 1
}

func newBlockProblem(m solver.Model, s *solver.Blocks) (*blockProblem, error) {
	p := &blockProblem{blockModel: newBlockModel(m, s)}
	b := s.Size()
	var err error
	if p.prior, err = newBlockLaw(s.Prior(), b); err != nil {
		return nil, err
	}
	if b == 1 {
		return p, nil
	}
	phi, v := s.Law(s.Tmin())
	for i := range b {
		for j := range b {
			v[i*b+j] += phi[i] * phi[j]
		}
	}
	rest := make([]float64, (b-1)*(b-1))
	for i := 1; i < b; i++ {
		p.mean = append(p.mean, v[i*b]/v[0])
		for j := 1; j < b; j++ {
			rest[(i-1)*(b-1)+j-1] = v[i*b+j] - v[i*b]*v[j]/v[0]
		}
	}
	p.rest, err = newBlockLaw(rest, b-1)
	return p, err
}

// StreamVelocity is the stream of the draws of velocities: nothing else here draws from a prior.
const streamVelocity = kernels.StreamPrior

// draw makes the state of draw k of a point, and returns −log r(v|x).
func (p *blockProblem) draw(z, x []float64, seed, sample uint64, k int) (logw float64) {
	b, d := p.blocks.Size(), p.d
	copy(z, x)
	if b == 1 {
		return 0
	}
	eps := make([]float32, (b-1)*d)
	kernels.Normals(eps, kernels.Noise{Seed: seed, Stream: streamVelocity, Sample0: sample}, uint32(k), 1, (b-1)*d)
	square := 0.0
	for _, e := range eps {
		square += float64(e) * float64(e)
	}
	for i := range b - 1 {
		row := z[(i+1)*d : (i+2)*d]
		for j := range row {
			row[j] = p.mean[i] * x[j]
			for l := range i + 1 {
				row[j] += p.rest.chol.At(i, l) * float64(eps[l*d+j])
			}
		}
	}
	return square/2 + float64(d)*p.rest.log
}

// draws makes the states of k draws of each of the points x (n×D): n·k states with their −log r.
func (p *blockProblem) draws(x []float64, k int, seed uint64, sample func(i int) uint64) (z, logw []float64) {
	n, width := len(x)/p.d, p.Dim()
	z, logw = make([]float64, n*k*width), make([]float64, n*k)
	for i := range n {
		for j := range k {
			r := i*k + j
			logw[r] = p.draw(z[r*width:(r+1)*width], x[i*p.d:(i+1)*p.d], seed, sample(i), j)
		}
	}
	return z, logw
}

// defaultVelocities is the number of draws of a point.
const defaultVelocities = 16

func (o Options) velocities() int {
	if o.Velocities == 0 {
		return defaultVelocities
	}
	return o.Velocities
}
