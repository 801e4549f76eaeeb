package dynamics

import (
	"errors"
	"fmt"
	"math"
	"math/cmplx"
	"slices"

	"gonum.org/v1/gonum/mat"
)

var errEigen = errors.New("dynamics: the eigenvalues of the fitted matrix do not converge")

// Class is the kind of a mode, by its confidence interval.
type Class string

const (
	Decay        Class = "decay"        // the 95 % interval of Re λ lies below 0
	Growth       Class = "growth"       // above 0
	Neutral      Class = "neutral"      // around 0, within ±1/T for data that cover the time T
	Undetermined Class = "undetermined" // around 0, and wider
)

// Mode is an eigenvalue λ of the dynamics, per unit of time.
type Mode struct {
	Lambda complex128
	Mu     complex128    // exp(λ Δ), where there is a step Δ
	Cov    [2][2]float64 // of (Re λ, Im λ); NaN where it is not known
	Class  Class
}

// z95 is the normal quantile of two-sided 95 % intervals.
const z95 = 1.959963984540054

// ReCI and ImCI are 95 % intervals.
func (m *Mode) ReCI() (lo, hi float64) { return ci(real(m.Lambda), m.Cov[0][0]) }
func (m *Mode) ImCI() (lo, hi float64) { return ci(imag(m.Lambda), m.Cov[1][1]) }

func ci(v, variance float64) (lo, hi float64) {
	h := z95 * math.Sqrt(variance)
	return v - h, v + h
}

// Tau is −1/Re λ: the time in which a decay loses a factor e, negative for growth, infinite for Re λ = 0.
func (m *Mode) Tau() float64 { return -1 / real(m.Lambda) }

// classify sets the class of a mode seen for a time span.
func (m *Mode) classify(span float64) {
	lo, hi := m.ReCI()
	switch {
	case hi < 0:
		m.Class = Decay
	case lo > 0:
		m.Class = Growth
	case lo >= -1/span && hi <= 1/span:
		m.Class = Neutral
	default: // NaN too
		m.Class = Undetermined
	}
}

// sortModes puts the slowest first, the positive frequency of a pair before the negative.
func sortModes(modes []Mode) {
	slices.SortStableFunc(modes, func(a, b Mode) int {
		x, y := math.Abs(real(a.Lambda)), math.Abs(real(b.Lambda))
		pair := a.Lambda == cmplx.Conj(b.Lambda)
		switch {
		case !pair && x < y:
			return -1
		case !pair && x > y:
			return 1
		case imag(a.Lambda) > imag(b.Lambda):
			return -1
		case imag(a.Lambda) < imag(b.Lambda):
			return 1
		}
		return 0
	})
}

// spectrum computes the modes λ = ln μ/Δ with the covariance of (Re λ, Im λ) from the influence of each snapshot,
//
//	ψ_k = (wᴴξ_k)(φ_kᵀ(XᵀX)⁻¹v)/(μΔ),   Cov = n/(n−r) Σ_k (Re ψ_k, Im ψ_k)(Re ψ_k, Im ψ_k)ᵀ,
//
// which is right for noise of any distribution that is not the same everywhere. To it comes the rounding of the fit.
func (e *EDMD) spectrum(all []chunk, data *Data, omitBranch bool) error {
	m, err := modesOf(e.F)
	if err != nil {
		return err
	}
	r := e.Rank
	var at []int // one of each pair
	for j, mu := range m.mu {
		if imag(mu) >= 0 {
			at = append(at, j)
		}
	}
	sums := e.influence(all, data, m, at)
	factor := float64(e.Pairs) / float64(max(e.Pairs-r, 1))
	for i, j := range at {
		mu := m.mu[j]
		if mu == 0 {
			continue
		}
		lambda := cmplx.Log(mu) / complex(e.Dt, 0)
		s := sums[i]
		rounding := e.rounding(m, j)
		mode := Mode{Lambda: lambda, Mu: mu, Cov: [2][2]float64{{factor*s[0] + rounding, factor * s[1]}, {factor * s[1], factor*s[2] + rounding}}}
		if imag(mu) == 0 && real(mu) > 0 { // a real mode has no frequency, and no error of it
			mode.Cov[0][1], mode.Cov[1][0], mode.Cov[1][1] = 0, 0, 0
		}
		if e.branch(&mode, factor*(s[0]+s[2])) {
			continue
		}
		mode.classify(e.Span)
		e.Modes = append(e.Modes, mode)
		if imag(mu) > 0 {
			mode.Lambda, mode.Mu = cmplx.Conj(lambda), cmplx.Conj(mu)
			mode.Cov[0][1], mode.Cov[1][0] = -mode.Cov[0][1], -mode.Cov[1][0]
			e.Modes = append(e.Modes, mode)
		}
	}
	if !omitBranch {
		if err := e.refuseBranch(); err != nil {
			return err
		}
	}
	if len(e.Modes) == 0 {
		return errors.New("dynamics: no mode is left: all are zero or at the branch of the logarithm; sample more often")
	}
	sortModes(e.Modes)
	e.notes()
	return nil
}

// branch reports whether a mode's frequency is not defined: μ is negative within its error, at the branch cut of the logarithm. Such
// modes are left out and counted.
func (e *EDMD) branch(m *Mode, variance float64) bool {
	gap := math.Pi - math.Abs(cmplx.Phase(m.Mu))
	if gap > math.Max(1e-6, z95*math.Sqrt(m.Cov[1][1])*e.Dt) {
		return false
	}
	e.omitted++
	size := cmplx.Abs(m.Mu)
	if size > cmplx.Abs(e.largest) {
		e.largest = m.Mu
	}
	// the standard error of μ is below 0.3 |μ|
	if math.Sqrt(variance)*e.Dt < 0.3 && size > cmplx.Abs(e.certain) {
		e.certain = m.Mu
	}
	return true
}

// refuseBranch returns an error if an important mode was left out: |μ| > ½, and not zero within its error. Delays and other features
// produce such modes themselves; with these it is an error only if no mode decays more slowly.
func (e *EDMD) refuseBranch() error {
	size := cmplx.Abs(e.certain)
	if size <= 0.5 {
		return nil
	}
	if e.Lift.Delays > 1 || !e.Lift.Linear() {
		for _, m := range e.Modes {
			if cmplx.Abs(m.Mu) > size {
				return nil
			}
		}
	}
	return fmt.Errorf("dynamics: a mode with μ = %.3g%+.3gi turns by half a turn in a step of %.6g: its frequency is at the branch of the logarithm and not defined; sample more often, or leave such modes out (--branch omit)",
		real(e.certain), imag(e.certain), e.Dt)
}

// rounding is the variance of λ_j by rounding of float64 in the fit: column i of F has an error of 16 ε s₁/s_i, the rounding of
// rotations over a chunk of rows and of their joins.
func (e *EDMD) rounding(m *modal, j int) float64 {
	const eps = 0x1p-52
	w, v := 0.0, 0.0
	for i := range e.Rank {
		a, b := cmplx.Abs(m.left.At(i, j)), cmplx.Abs(m.right.At(i, j))*e.singular[0]/e.singular[i]
		w, v = w+a*a, v+b*b
	}
	s := 16 * eps * math.Sqrt(w*v) / (cmplx.Abs(m.mu[j]) * e.Dt)
	return s * s
}

// influence sums (Re ψ)², Re ψ Im ψ and (Im ψ)² over the snapshots for the modes of the given indices.
func (e *EDMD) influence(all []chunk, data *Data, m *modal, at []int) [][3]float64 {
	r, d, q := e.Rank, e.Features, len(at)
	// Real and imaginary parts side by side; g_kᵀ v, wᴴ T of what comes after the step, wᴴ F T of what was before.
	v, w := mat.NewDense(r, 2*q, nil), mat.NewDense(r, 2*q, nil)
	for i, j := range at {
		for k := range r {
			v.Set(k, i, real(m.right.At(k, j)))
			v.Set(k, q+i, imag(m.right.At(k, j)))
			w.Set(k, i, real(m.left.At(k, j)))
			w.Set(k, q+i, -imag(m.left.At(k, j)))
		}
	}
	var tv, tw, fw, ftw mat.Dense
	tv.Mul(e.transform.T(), v)
	tw.Mul(e.transform.T(), w)
	fw.Mul(e.ols.T(), w)
	ftw.Mul(e.transform.T(), &fw)
	both := mat.NewDense(d, 4*q, nil)
	both.Slice(0, d, 0, 2*q).(*mat.Dense).Copy(&tv)
	both.Slice(0, d, 2*q, 4*q).(*mat.Dense).Copy(&ftw)
	before, after := pad(both), pad(&tw)
	parts := make([][][3]float64, len(all))
	parallel(len(all), func(c int) {
		x, y := all[c].matrices(data, e)
		b, a := newPadded(x.rows, 4*q), newPadded(y.rows, 2*q)
		b.add(x, before)
		a.add(y, after)
		sums := make([][3]float64, q)
		for k := range all[c].pairs {
			br, ar := b.row(k), a.row(k)
			for i := range q {
				wx := complex(ar[i]-br[2*q+i], ar[q+i]-br[3*q+i])
				psi := wx * complex(br[i], br[q+i])
				sums[i][0] += real(psi) * real(psi)
				sums[i][1] += real(psi) * imag(psi)
				sums[i][2] += imag(psi) * imag(psi)
			}
		}
		parts[c] = sums
	})
	total := make([][3]float64, q)
	for _, p := range parts {
		for i := range p {
			for k := range 3 {
				total[i][k] += p[i][k]
			}
		}
	}
	// ψ = product/(n μ Δ): rotate by the phase of 1/μ and scale.
	n := float64(e.Pairs)
	for i, j := range at {
		mu := m.mu[j]
		c := complex(1/(n*e.Dt), 0) / mu
		a, b := real(c), imag(c)
		xx, xy, yy := total[i][0], total[i][1], total[i][2]
		total[i] = [3]float64{a*a*xx - 2*a*b*xy + b*b*yy, a*b*(xx-yy) + (a*a-b*b)*xy, b*b*xx + 2*a*b*xy + a*a*yy}
	}
	return total
}

// notes adds notes on what limits the spectrum.
func (e *EDMD) notes() {
	if e.omitted > 0 {
		e.Notes = append(e.Notes, fmt.Sprintf("left out: %s at half a turn in a step, which is noise or too fast for this step; the largest has μ = %.3g%+.3gi", counted(e.omitted, "mode", "modes"), real(e.largest), imag(e.largest)))
	}
	if e.Rank < e.Features {
		e.Notes = append(e.Notes, fmt.Sprintf("the features have rank %d of %d over these snapshots; the other directions are left out", e.Rank, e.Features))
	}
	for i := range e.Modes {
		m := &e.Modes[i]
		// Without noise, intervals are those of rounding.
		if tau := m.Tau(); tau > 0 && m.Class != Neutral && e.Relative > roundingResidual && e.Span < 10*tau && !math.IsInf(tau, 0) {
			e.Notes = append(e.Notes, fmt.Sprintf("the record is short: it lasts %.4g, less than ten times τ = %.4g of the slowest mode; its interval is then too narrow, 90 to 93 %% instead of 95 %%", e.Span, tau))
			break
		}
	}
	if e.PNoise < 1e-3 && e.Lift.Linear() {
		e.Notes = append(e.Notes, fmt.Sprintf("residuals are correlated in time (P = %.1g): there is measurement noise, or a state that the snapshots do not hold, and modes seem to decay faster than they do; use more delays, or maximum likelihood", e.PNoise))
	}
}
