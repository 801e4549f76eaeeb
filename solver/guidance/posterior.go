package guidance

import (
	"context"
	"fmt"

	"gonum.org/v1/gonum/mat"

	"hbar/solver"
)

// Posterior is a model guided by forms in closed form, for a Gaussian posterior of x₀: x₀ | x_t ~ N(x̂₀, V), whose mean and covariance
// the model itself gives (Tweedie's formulas of first and second order),
//
//	x̂₀ = (x + σ² s)/α,   J = ∂x̂₀/∂x = (1 + σ² ∂s/∂x)/α,   V = (σ²/α) J,
//
// so that log E[e^r | x_t] has the gradient Jᵀ[A − Fᵀ(W⁻¹ + F V Fᵀ)⁻¹(F(x̂₀ + V A) − C)]. Of data that are Gaussian the posterior is
// Gaussian, V does not depend on x, and this is exact; of other data it is biased where V changes with x, and less so than PlugIn, which has V = 0. It costs
// a directional derivative for each form and one adjoint.
type Posterior struct {
	Model     solver.VJPer
	Schedule  solver.Schedule
	Reward    *Forms
	MinLambda float64 // as in PlugIn
	// Var > 0 takes V = σ²Var/(α²Var + σ²) times the unit matrix, the posterior's covariance of data N(0, Var), in place of the model's:
	// pseudoinverse guidance (Song et al. 2023, ΠGDM). It costs one adjoint whatever the number of forms.
	Var float64
}

// Dim implements solver.Model.
func (p *Posterior) Dim() int { return p.Model.Dim() }

// Score implements solver.Model; all rows have one time.
func (p *Posterior) Score(ctx context.Context, dst, x, t []float64) error {
	return p.Scores(ctx, make([]float64, len(x)), dst, x, t)
}

// Scores implements Guided.
func (p *Posterior) Scores(ctx context.Context, plain, guided, x, t []float64) error {
	if len(t) != 1 {
		return fmt.Errorf("guidance: %d times; want one for all rows", len(t))
	}
	d, f := p.Dim(), p.Reward
	n, k := len(x)/d, len(f.F)
	alpha, s2 := p.Schedule.Alpha(t[0]), p.Schedule.Sigma2(t[0])
	if p.Schedule.Lambda(t[0]) < p.MinLambda {
		if err := p.Model.Score(ctx, plain, x, t); err != nil {
			return err
		}
		copy(guided, plain)
		return nil
	}
	// the forms' derivatives, and that of A if there is one
	rows := f.F
	if hasLinear(f) {
		rows = append(rows[:k:k], f.A)
	}
	if p.Var > 0 {
		return p.pseudo(ctx, plain, guided, x, t)
	}
	m := len(rows)
	jv := make([]float64, n*m*d)
	if m == 0 {
		if err := p.Model.Score(ctx, plain, x, t); err != nil {
			return err
		}
	} else {
		v := make([]float64, n*m*d)
		for i := range n {
			for j, row := range rows {
				copy(v[(i*m+j)*d:], row)
			}
		}
		if err := p.Model.ScoreJVP(ctx, plain, jv, x, v, m, t); err != nil {
			return err
		}
	}
	u, vj, mean := make([]float64, len(x)), make([]float64, len(x)), make([]float64, d)
	for i := range n {
		for j := range d {
			mean[j] = (x[i*d+j] + s2*plain[i*d+j]) / alpha
		}
		cov := make([][]float64, m) // V F_j
		for j, row := range rows {
			cov[j] = make([]float64, d)
			for l, v := range row {
				cov[j][l] = s2 / alpha * (v + s2*jv[(i*m+j)*d+l]) / alpha
			}
		}
		if m > k {
			for j := range d {
				mean[j] += cov[k][j]
			}
		}
		f.pull(u[i*d:(i+1)*d], mean, f.solver(cov[:k], s2/(alpha*alpha+s2)))
	}
	if err := p.Model.ScoreVJP(ctx, nil, vj, x, u, t); err != nil {
		return err
	}
	for i := range guided {
		guided[i] = plain[i] + (u[i]+s2*vj[i])/alpha
	}
	return nil
}

// pseudo is Scores with a covariance that is a multiple of the unit matrix.
func (p *Posterior) pseudo(ctx context.Context, plain, guided, x, t []float64) error {
	d, f := p.Dim(), p.Reward
	alpha, s2 := p.Schedule.Alpha(t[0]), p.Schedule.Sigma2(t[0])
	r2 := s2 * p.Var / (alpha*alpha*p.Var + s2)
	if err := p.Model.Score(ctx, plain, x, t); err != nil {
		return err
	}
	cov := make([][]float64, len(f.F))
	for j, row := range f.F {
		cov[j] = make([]float64, d)
		for l, v := range row {
			cov[j][l] = r2 * v
		}
	}
	solve := f.solver(cov, r2)
	u, vj, mean := make([]float64, len(x)), make([]float64, len(x)), make([]float64, d)
	for i := 0; i < len(x); i += d {
		for j := range d {
			mean[j] = (x[i+j]+s2*plain[i+j])/alpha + r2*f.A[j]
		}
		f.pull(u[i:i+d], mean, solve)
	}
	if err := p.Model.ScoreVJP(ctx, nil, vj, x, u, t); err != nil {
		return err
	}
	for i := range guided {
		guided[i] = plain[i] + (u[i]+s2*vj[i])/alpha
	}
	return nil
}

func hasLinear(f *Forms) bool {
	for _, v := range f.A {
		if v != 0 {
			return true
		}
	}
	return false
}

// solver factorises W⁻¹ + F V Fᵀ, of which cov are the columns V F_j. Off the data a network's V need not be positive: a form whose
// variance is not takes that of data of unit variance, r2 |F_j|², and a matrix that is not positive is taken without the
// covariances between forms.
func (f *Forms) solver(cov [][]float64, r2 float64) func(miss *mat.VecDense) *mat.VecDense {
	k := len(f.F)
	if k == 0 {
		return nil
	}
	s := mat.NewSymDense(k, nil)
	for i, row := range f.F {
		for j := range i + 1 {
			v := (dot(row, cov[j]) + dot(f.F[j], cov[i])) / 2 // a network's V is symmetric up to its error
			if i == j && !(v > 0) {
				v = r2 * dot(row, row)
			}
			if i == j {
				v += 1 / f.W[i]
			}
			s.SetSym(i, j, v)
		}
	}
	var c mat.Cholesky
	whole := c.Factorize(s)
	return func(miss *mat.VecDense) *mat.VecDense {
		out := mat.NewVecDense(k, nil)
		if whole && c.SolveVecTo(out, miss) == nil {
			return out
		}
		for i := range k {
			out.SetVec(i, miss.AtVec(i)/s.At(i, i))
		}
		return out
	}
}

// pull writes A − Fᵀ(W⁻¹ + F V Fᵀ)⁻¹(F m − C).
func (f *Forms) pull(dst, m []float64, solve func(*mat.VecDense) *mat.VecDense) {
	copy(dst, f.A)
	if solve == nil {
		return
	}
	miss := mat.NewVecDense(len(f.F), nil)
	for i, row := range f.F {
		miss.SetVec(i, dot(row, m)-f.C[i])
	}
	w := solve(miss)
	for i, row := range f.F {
		for j, v := range row {
			dst[j] -= w.AtVec(i) * v
		}
	}
}
