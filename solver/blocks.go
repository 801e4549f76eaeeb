package solver

import (
	"fmt"
	"math"
	"strings"
	"sync/atomic"

	"gonum.org/v1/gonum/mat"

	"hbar/dynamics"
)

// Blocks is a schedule of matrices: each coordinate x of the data is the first of a block z = (x, v, …) of b numbers, the others of
// which begin as noise N(0, Start) that knows nothing of the data, and
//
//	dz = β A z dt + √β G dw,   Q = G Gᵀ,    so z_t | x_0 ~ N(φ x_0, Σ),  φ the first column of Φ = exp(A βt),
//
// with the exact Φ and Σ of dynamics.System. All coordinates have the same matrices and do not mix.
//
// What z says about x_0 is one number, the least-squares estimate y = wᵀz/ρ with w = Σ⁻¹φ, y | x_0 ~ N(x_0, 1/ρ), whose signal-to-noise
// ratio ρ = φᵀw falls with t: ρ' = −β wᵀQ w. So the denoised x̂_0 = E[x_0 | z] is that of a scalar process at the same ratio, and
// the score of z follows from it,
//
//	∇_z log p(z) = −Σ⁻¹(z − φ x̂_0).
//
// As a Schedule, Blocks is that scalar process, in its variance-preserving form: α² = ρ/(1+ρ), σ² = 1/(1+ρ), g² = −2σ²λ'. A network is
// trained for it as for any other; even the bound g² of the loss is the same, ½∫β E|s − ŝ|²_Q dt. What differs is the process that
// is run: NewTable makes Propagators for it, and the likelihoods are those of the blocks.
type Blocks struct {
	Span
	name  string
	beta  float64
	size  int
	fixed func(s *Blocks) (size int, a, q, start blockMat) // from the settings
	set   map[string]*float64                              // settings beside β and the span
	check func() error                                     // of the settings; nil: none

	a, q, start blockMat
	system      *dynamics.System
	prior       blockMat // Cholesky factor of the stationary covariance
	last        atomic.Pointer[law]
}

// BlocksOf is s as a schedule of matrices; nil if it is one of scalars.
func BlocksOf(s Schedule) *Blocks {
	b, _ := s.(*Blocks)
	return b
}

// StateDim is the number of coordinates of the process for data of d: d, or of blocks of b numbers b d.
func StateDim(s Schedule, d int) int {
	if b := BlocksOf(s); b != nil {
		return b.size * d
	}
	return d
}

// Size is b, the number of coordinates of a block.
func (s *Blocks) Size() int { return s.size }

// Beta is the rate β.
func (s *Blocks) Beta() float64 { return s.beta }

// Matrices returns copies of A, Q and the covariance of the first state given x_0, b×b.
func (s *Blocks) Matrices() (a, q, start []float64) {
	n := s.size * s.size
	return append([]float64(nil), s.a[:n]...), append([]float64(nil), s.q[:n]...), append([]float64(nil), s.start[:n]...)
}

// Law returns φ (b) and Σ (b×b) at a time: z_t | x_0 ~ N(φ x_0, Σ).
func (s *Blocks) Law(t float64) (phi, sigma []float64) {
	l := s.at(t)
	return append(phi, l.phi[:s.size]...), append(sigma, l.sigma[:s.size*s.size]...)
}

// PriorFactor is the lower triangle L of that covariance, L Lᵀ (Prior), b×b.
func (s *Blocks) PriorFactor() []float64 { return append([]float64(nil), s.prior[:s.size*s.size]...) }

// Prior is the covariance of a block at Tmax, b×b: that of the stationary law.
func (s *Blocks) Prior() []float64 {
	v := s.prior.mulT(&s.prior, s.size)
	return append([]float64(nil), v[:s.size*s.size]...)
}

// prepare makes what follows from the settings, and reports matrices that are no diffusion of data into noise.
func (s *Blocks) prepare() error {
	s.size, s.a, s.q, s.start = s.fixed(s)
	b := s.size
	s.system = &dynamics.System{A: mat.NewDense(b, b, append([]float64(nil), s.a[:b*b]...)), Q: mat.NewDense(b, b, append([]float64(nil), s.q[:b*b]...))}
	if err := s.system.Validate(); err != nil {
		return fmt.Errorf("solver: schedule %q: %w", s.name, err)
	}
	var eigen mat.Eigen
	if !eigen.Factorize(s.system.A, mat.EigenNone) {
		return fmt.Errorf("solver: schedule %q: the eigenvalues of A cannot be found", s.name)
	}
	slowest := math.Inf(-1)
	for _, v := range eigen.Values(nil) {
		slowest = math.Max(slowest, real(v))
	}
	if !(slowest < 0) {
		return fmt.Errorf("solver: schedule %q: A has a mode that does not decay, of rate %.3g; noise would never forget the data", s.name, slowest)
	}
	stationary := s.system.Step(50 / -slowest)
	ok := false
	var v blockMat
	copy(v[:], stationary.P.RawMatrix().Data)
	if s.prior, ok = v.cholesky(b); !ok || !stationary.Finite() {
		return fmt.Errorf("solver: schedule %q: the noise of Q does not reach all %d coordinates of a block", s.name, b)
	}
	if l := s.at(s.Start); !(l.ratio > 0) || math.IsInf(l.ratio, 0) {
		return fmt.Errorf("solver: schedule %q: the noise at tmin = %g is too small for float64, or is no covariance", s.name, s.Start)
	}
	return nil
}

// law is the process at one time.
type law struct {
	time  float64
	phi   blockVec // φ
	sigma blockMat // Σ
	chol  blockMat // L, L Lᵀ = Σ
	unit  blockMat // L⁻¹
	w     blockVec // Σ⁻¹φ
	ratio float64  // ρ = φᵀΣ⁻¹φ, the signal-to-noise ratio
	rate  float64  // −ρ'/β = wᵀQw
}

// at is the law at a time t ≥ 0. The last one is kept, since what a caller wants to know of a time takes several calls.
func (s *Blocks) at(t float64) law {
	if l := s.last.Load(); l != nil && l.time == t {
		return *l
	}
	l := s.after(s.beta * t)
	l.time = t
	s.last.Store(&l)
	return l
}

// after is the law after ∫β dt = tau.
func (s *Blocks) after(tau float64) (l law) {
	b := s.size
	step := s.system.Step(tau)
	var f, p blockMat
	copy(f[:], step.F.RawMatrix().Data)
	copy(p[:], step.P.RawMatrix().Data)
	fs := f.mul(&s.start, b)
	fsf := fs.mulT(&f, b)
	l.sigma = p.add(1, &fsf)
	for i := range b {
		l.phi[i] = f[i*b]
	}
	l.chol, _ = l.sigma.cholesky(b)
	l.unit = l.chol.lowerInverse(b)
	whitened := l.unit.apply(&l.phi, b)
	back := l.unit.transpose(b)
	l.w = back.apply(&whitened, b)
	l.ratio = blockDot(&whitened, &whitened)
	qw := s.q.apply(&l.w, b)
	l.rate = blockDot(&l.w, &qw)
	return l
}

// Name implements Schedule.
func (s *Blocks) Name() string { return s.name }

// Alpha is √(ρ/(1+ρ)).
func (s *Blocks) Alpha(t float64) float64 { return math.Sqrt(1 / (1 + 1/s.at(t).ratio)) }

// Sigma is 1/√(1+ρ).
func (s *Blocks) Sigma(t float64) float64 { return math.Sqrt(s.Sigma2(t)) }

// Sigma2 is 1/(1+ρ).
func (s *Blocks) Sigma2(t float64) float64 { return 1 / (1 + s.at(t).ratio) }

// Drift is α'/α = σ²λ'.
func (s *Blocks) Drift(t float64) float64 { return -s.Diffusion2(t) / 2 }

// Diffusion2 is −2σ²λ', λ' = ρ'/2ρ.
func (s *Blocks) Diffusion2(t float64) float64 {
	l := s.at(t)
	return s.beta * l.rate / (l.ratio * (1 + l.ratio))
}

// Lambda is ½ log ρ.
func (s *Blocks) Lambda(t float64) float64 { return math.Log(s.at(t).ratio) / 2 }

// TimeOfLambda inverts Lambda by Newton's method in log t, kept between times that enclose the root.
func (s *Blocks) TimeOfLambda(lambda float64) float64 {
	// λ falls with t: lo is a time with λ too large, hi one with λ too small
	lo, hi := math.Log(s.Start), math.Log(s.End)
	for range 60 {
		if s.Lambda(math.Exp(lo)) > lambda {
			break
		}
		lo--
	}
	for range 12 {
		if s.Lambda(math.Exp(hi)) < lambda {
			break
		}
		hi++
	}
	x := (lo + hi) / 2
	for range 100 {
		l := s.at(math.Exp(x))
		miss := math.Log(l.ratio)/2 - lambda
		if miss > 0 {
			lo = x
		} else {
			hi = x
		}
		next := x + miss*2*l.ratio/(l.rate*s.beta*math.Exp(x)) // dλ/d log t = −β t rate/2ρ
		if !(next > lo && next < hi) {
			next = (lo + hi) / 2
		}
		if math.Abs(next-x) <= 1e-16*math.Abs(x) || hi-lo < 1e-15 {
			return math.Exp(next)
		}
		x = next
	}
	return math.Exp(x)
}

// PriorStd is that of the scalar process at Tmax. The prior of a block is its stationary law.
func (s *Blocks) PriorStd() float64 { return 1 }

// Params implements Schedule.
func (s *Blocks) Params() map[string]float64 { return paramsOf(s) }

func (s *Blocks) fields() map[string]*float64 {
	f := map[string]*float64{"beta": &s.beta, "tmin": &s.Start, "tmax": &s.End}
	for k, p := range s.set {
		f[k] = p
	}
	return f
}

func (s *Blocks) validate() error {
	if err := valid(s, condition{s.beta > 0, "beta > 0"}, condition{s.Start > 0, "tmin > 0"}); err != nil {
		return err
	}
	if s.check != nil {
		if err := s.check(); err != nil {
			return err
		}
	}
	return s.prepare()
}

// NeedScalars is an error if s is a schedule of matrices: what does not know these.
func NeedScalars(s Schedule, what string) error {
	b := BlocksOf(s)
	if b == nil {
		return nil
	}
	return fmt.Errorf("%s is for schedules of scalars (%s); %s has blocks of %d coordinates", what, strings.Join(ScheduleNames(), ", "), b.name, b.size)
}
