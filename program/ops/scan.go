package ops

import (
	"fmt"

	"hbar/program"
)

// Scan is the linear recurrence of N complex modes over T times: λ [2N] and u [T, 2N], real parts first and then the imaginary ones,
//
//	z_t = λ z_{t−1} + u_t,   z_{−1} = 0,
//
// or with Adjoint its transpose, which runs backwards: z_t = λ̄ z_{t+1} + u_t, z_T = 0. Both are linear in u, and each is the
// other's cotangent. Diagonal recurrences of this kind are those of Orvieto et al. 2023, arXiv:2303.06349.
type Scan struct{ Adjoint bool }

func (o Scan) Name() string {
	if o.Adjoint {
		return "scan_adjoint"
	}
	return "scan"
}

func (Scan) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 2); err != nil {
		return nil, err
	}
	return in[1:], scanned(in, 1)
}

// scanned reports inputs λ [2N] and [T, 2N], those from the first to the last, that do not fit.
func scanned(in [][]int, to int) error {
	if err := ranked(in, 0, 1, "[2N], the real and the imaginary parts of λ"); err != nil {
		return err
	}
	if in[0][0] == 0 || in[0][0]%2 != 0 {
		return fmt.Errorf("λ has %d numbers; want a real and an imaginary part of each mode", in[0][0])
	}
	for i := 1; i <= to; i++ {
		if err := ranked(in, i, 2, "[T, 2N]"); err != nil {
			return err
		}
		if in[i][1] != in[0][0] || in[i][0] == 0 || in[i][0] != in[1][0] {
			return fmt.Errorf("input %d has the shape %v; want [T, %d] with one T ≥ 1 for all", i, in[i], in[0][0])
		}
	}
	return nil
}

func (o Scan) Reference(in, out []tensor) {
	o.run(in[0].Data, in[1].Data, out[0].Data)
}

// order calls f for the times in the order of the recurrence, with the offsets of a time and of the one before it; before is −1
// for the first one.
func (o Scan) order(times, w int, f func(at, before int)) {
	for i := range times {
		switch {
		case i == 0 && o.Adjoint:
			f((times-1)*w, -1)
		case i == 0:
			f(0, -1)
		case o.Adjoint:
			f((times-1-i)*w, (times-i)*w)
		default:
			f(i*w, (i-1)*w)
		}
	}
}

func (o Scan) run(lambda, u, z []float64) {
	w := len(lambda)
	n := w / 2
	sign := 1.0
	if o.Adjoint {
		sign = -1
	}
	o.order(len(u)/w, w, func(at, before int) {
		for j := range n {
			re, im := u[at+j], u[at+n+j]
			if before >= 0 {
				lr, li := lambda[j], sign*lambda[n+j]
				zr, zi := z[before+j], z[before+n+j]
				re += lr*zr - li*zi
				im += lr*zi + li*zr
			}
			z[at+j], z[at+n+j] = re, im
		}
	})
}

// Cost counts four multiply-adds for each mode and time.
func (Scan) Cost(in, out [][]int) cost {
	c := moved(in, out)
	c.MulAdds = 2 * float64(program.Size(out[0]))
	return c
}

func (o Scan) JVP(e emitter, in []value, out value, din []value) value {
	var drive value
	if d := din[0]; d != nil {
		if o.Adjoint {
			d = conjugate(e, d)
		}
		drive = ComplexProduct(e, d, o.before(e, out))
	}
	return one(e, o, in[0], sum(e, drive, din[1]))
}

func (o Scan) VJP(e emitter, in []value, out, g value, want []bool) []value {
	if !want[0] {
		return []value{nil, one(e, Scan{!o.Adjoint}, in[0], g)}
	}
	r := e.Apply(ScanInput{o}, in[0], out, g)
	if !want[1] {
		r[1] = nil
	}
	return r
}

// before emits z of the time before, in the order of the recurrence: zero at the first one.
func (o Scan) before(e emitter, z value) value {
	s := z.Shape()
	n, w := s[0]*s[1], s[1]
	flat := Shape(e, z, n)
	if s[0] == 1 {
		return Affine(e, 0, 0, z)
	}
	if o.Adjoint {
		return Shape(e, one(e, Place{0, n}, one(e, Slice{w, n}, flat)), s...)
	}
	return Shape(e, one(e, Place{w, n}, one(e, Slice{0, n - w}, flat)), s...)
}

// parts emits the real and the imaginary parts of the last dimension.
func parts(e emitter, v value) (re, im value) {
	_, w := last(v.Shape())
	return Part(e, v, 0, w/2), Part(e, v, w/2, w)
}

func conjugate(e emitter, v value) value {
	re, im := parts(e, v)
	return Join(e, re, Affine(e, -1, 0, im))
}

// ComplexProduct emits the products of complex numbers, with broadcasting: real parts come first in the last dimension.
func ComplexProduct(e emitter, a, b value) value {
	ar, ai := parts(e, a)
	br, bi := parts(e, b)
	return Join(e, Sum(e, Product(e, ar, br), Affine(e, -1, 0, Product(e, ai, bi))),
		Sum(e, Product(e, ar, bi), Product(e, ai, br)))
}

// ScanInput is the cotangents of λ [2N] and u [T, 2N] for the cotangent g of the result z: λ, z, g. With w = Scan{!Adjoint}(λ, g),
//
//	∂u = w,   ∂λ = Σ_t z̄_{t−1} w_t,   or with Adjoint   ∂λ = Σ_t w̄_{t−1} z_t.
type ScanInput struct{ Of Scan }

func (o ScanInput) Name() string { return o.Of.Name() + "_input" }

func (ScanInput) Shapes(in [][]int) ([][]int, error) {
	if err := arity(in, 3); err != nil {
		return nil, err
	}
	return [][]int{in[0], in[1]}, scanned(in, 2)
}

func (o ScanInput) Reference(in, out []tensor) {
	w, z := out[1].Data, in[1].Data
	Scan{!o.Of.Adjoint}.run(in[0].Data, in[2].Data, w)
	early, late := z, w // the sequence that runs forwards, and the one that runs backwards
	if o.Of.Adjoint {
		early, late = w, z
	}
	d := out[0].Data
	n := len(d) / 2
	Scan{}.order(len(w)/len(d), len(d), func(at, before int) {
		for j := range n {
			if before >= 0 {
				er, ei, lr, li := early[before+j], early[before+n+j], late[at+j], late[at+n+j]
				d[j] += er*lr + ei*li
				d[n+j] += er*li - ei*lr
			}
		}
	})
}

func (ScanInput) Cost(in, out [][]int) cost {
	c := moved(in, out)
	c.MulAdds = 4 * float64(program.Size(out[1]))
	return c
}

func (o ScanInput) Fallback(e emitter, in []value) []value {
	w := one(e, Scan{!o.Of.Adjoint}, in[0], in[2])
	early, late := in[1], w
	if o.Of.Adjoint {
		early, late = w, in[1]
	}
	d := ComplexProduct(e, conjugate(e, Scan{}.before(e, early)), late)
	return []value{Reduce(e, d, in[0].Shape()), w}
}

var (
	_ program.JVP   = Scan{}
	_ program.VJP   = Scan{}
	_ program.Fused = ScanInput{}
)
