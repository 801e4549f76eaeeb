package guidance

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Reward is r(x) of one sample in the model's coordinates, with its gradient.
type Reward interface {
	Value(x []float64) float64
	Grad(dst, x []float64)
}

// Quadratic is r(x) = Σ_i [A_i x_i − ½ W_i (x_i − C_i)²]: linear and quadratic forms, and known coordinates with W = 1/noise².
type Quadratic struct{ A, W, C []float64 }

// NewQuadratic is the reward 0 of d coordinates.
func NewQuadratic(d int) *Quadratic {
	return &Quadratic{A: make([]float64, d), W: make([]float64, d), C: make([]float64, d)}
}

// Value implements Reward.
func (q *Quadratic) Value(x []float64) float64 {
	r := 0.0
	for i, v := range x {
		e := v - q.C[i]
		r += q.A[i]*v - 0.5*q.W[i]*e*e
	}
	return r
}

// Grad implements Reward.
func (q *Quadratic) Grad(dst, x []float64) {
	for i, v := range x {
		dst[i] = q.A[i] - q.W[i]*(v-q.C[i])
	}
}

// Validate checks sizes and that the reward is finite.
func (q *Quadratic) Validate(d int) error {
	if len(q.A) != d || len(q.W) != d || len(q.C) != d {
		return fmt.Errorf("guidance: a reward of %d coordinates for a model of %d", len(q.A), d)
	}
	for i := range q.A {
		if s := q.A[i] + q.W[i] + q.C[i]; math.IsNaN(s) || math.IsInf(s, 0) {
			return fmt.Errorf("guidance: the reward of coordinate %d is not finite: %g x − ½ %g (x − %g)²", i, q.A[i], q.W[i], q.C[i])
		}
	}
	return nil
}

// Scaled is the reward as a function of z for x_i = mean_i + scale_i z_i, but for a constant.
func (q *Quadratic) Scaled(mean, scale func(i int) float64) *Quadratic {
	out := NewQuadratic(len(q.A))
	for i := range q.A {
		m, s := mean(i), scale(i)
		out.A[i], out.W[i], out.C[i] = q.A[i]*s, q.W[i]*s*s, (q.C[i]-m)/s
	}
	return out
}

// Parse reads a sum of terms in the coordinates x0, x1, … of d: "2*x0 - 0.5*(x1-3)^2 + x2". A coordinate has at most one
// square.
func Parse(text string, d int) (*Quadratic, error) {
	q := NewQuadratic(d)
	squared := make([]bool, d)
	s := strings.ReplaceAll(text, " ", "")
	fail := func(at string) error {
		return fmt.Errorf("reward %q: %q is not a term like 2*x0 or -0.5*(x1-3)^2", text, at)
	}
	if s == "" {
		return nil, fail("")
	}
	for s != "" {
		sign := 1.0
		switch s[0] {
		case '+':
			s = s[1:]
		case '-':
			sign, s = -1, s[1:]
		}
		end := len(s)
		depth := 0
		for i, c := range s {
			if c == '(' {
				depth++
			}
			if c == ')' {
				depth--
			}
			if i > 0 && depth == 0 && (c == '+' || c == '-') && s[i-1] != 'e' && s[i-1] != 'E' {
				end = i
				break
			}
		}
		term := s[:end]
		s = s[end:]
		coefficient := sign
		if before, after, ok := strings.Cut(term, "*"); ok {
			v, err := strconv.ParseFloat(before, 64)
			if err != nil {
				return nil, fail(term)
			}
			coefficient, term = sign*v, after
		}
		inner, isSquare := strings.CutSuffix(term, "^2")
		centre := 0.0
		if isSquare {
			if strings.HasPrefix(inner, "(") && strings.HasSuffix(inner, ")") {
				inner = inner[1 : len(inner)-1]
				if at := strings.IndexAny(inner, "+-"); at > 0 {
					v, err := strconv.ParseFloat(inner[at:], 64)
					if err != nil {
						return nil, fail(term)
					}
					centre, inner = -v, inner[:at]
				}
			}
		}
		index, ok := strings.CutPrefix(inner, "x")
		i, err := strconv.Atoi(index)
		if !ok || err != nil {
			return nil, fail(term)
		}
		if i < 0 || i >= d {
			return nil, fmt.Errorf("reward %q: there is no x%d; the model has x0 … x%d", text, i, d-1)
		}
		switch {
		case !isSquare:
			q.A[i] += coefficient
		case squared[i]:
			return nil, fmt.Errorf("reward %q: x%d has two squares; write one", text, i)
		default:
			squared[i] = true
			q.W[i], q.C[i] = -2*coefficient, centre
		}
	}
	return q, q.Validate(d)
}
