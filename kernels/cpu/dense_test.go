package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"hbar/kernels/simd"
)

// sumTol bounds the error of a float32 sum of n products relative to the sum of their sizes: one rounding a step, and
// what an epilogue adds.
func sumTol(n int) float64 { return 6e-8 * float64(n+6) }

// someEpilogue draws one, with matrices of its own.
func someEpilogue(r *rand.Rand, rows, width, sampleRows int) (e *Epilogue, pre *guarded) {
	e = &Epilogue{}
	if r.IntN(2) == 0 {
		e.Bias = matrix(r, 1, width, 0).s
	}
	if r.IntN(3) == 0 {
		m := matrix(r, (rows+sampleRows-1)/sampleRows, width, r.IntN(4))
		e.SampleBias, e.SampleLd, e.SampleRows = m.s, m.ld, sampleRows
	}
	if r.IntN(2) == 0 {
		e.Act = simd.Act(r.IntN(int(simd.Tanh) + 1))
	}
	if r.IntN(3) == 0 {
		pre = matrix(r, rows, width, r.IntN(5))
		e.Pre, e.PreLd = pre.s, pre.ld
	}
	if r.IntN(3) == 0 {
		m := matrix(r, rows, width, r.IntN(5))
		e.Residual, e.ResidualLd = m.s, m.ld
	}
	e.Accumulate = r.IntN(3) == 0
	return e, pre
}

// applyEpilogue is its definition in float64; it also adds to the sizes of the terms. sum becomes y.
func applyEpilogue(e *Epilogue, y *guarded, sum, size []float64) (pre []float64) {
	pre = make([]float64, len(sum))
	for i := range y.rows {
		for o := range y.width {
			k := i*y.width + o
			s := sum[k]
			add := func(v float32) { s += float64(v); size[k] += math.Abs(float64(v)) }
			if e.Bias != nil {
				add(e.Bias[o])
			}
			if e.SampleBias != nil {
				add(e.SampleBias[i/e.SampleRows*e.SampleLd+o])
			}
			pre[k] = s
			s, _ = e.Act.Eval(s)
			size[k] += 10 * math.Abs(s) // the error of an activation is up to ten roundings of its value
			if e.Residual != nil {
				add(e.Residual[i*e.ResidualLd+o])
			}
			if e.Accumulate {
				add(float32(y.before(i, o)))
			}
			sum[k] = s
		}
	}
	return pre
}

func TestDense(t *testing.T) {
	eachTeam(t, func(t *testing.T, team *Team) {
		r := rand.New(rand.NewPCG(1, 2))
		sizes := []int{1, 2, 3, 15, 16, 17, 20, 30, 32, 33, 50, 64, 100}
		for trial := range 80 {
			in, out, rows := sizes[r.IntN(len(sizes))], sizes[r.IntN(len(sizes))], r.IntN(70)
			if trial%20 == 0 {
				rows = 300 + r.IntN(400)
			}
			checkDense(t, team, r, in, out, rows)
		}
	})
}

func checkDense(t *testing.T, team *Team, r *rand.Rand, in, out, rows int) {
	t.Helper()
	d := NewDense(in, out)
	w, x, y := matrix(r, out, in, 0), matrix(r, rows, in, r.IntN(4)), matrix(r, rows, out, r.IntN(4))
	dx, dy, dw := matrix(r, rows, in, r.IntN(4)), matrix(r, rows, out, r.IntN(4)), matrix(r, out, in, 0)
	db := matrix(r, 1, out, 0)
	e, pre := someEpilogue(r, rows, out, 1+r.IntN(9))
	acc := r.IntN(2) == 0
	name := fmt.Sprintf("in=%d out=%d rows=%d", in, out, rows)

	d.SetForward(team, w.s)
	d.SetBackward(team, w.s)
	f, b := d.Bytes()
	if f != 4*len(d.fwd) || b != 4*len(d.bwd) {
		t.Fatalf("%s: Bytes says %d and %d, allocated are %d and %d", name, f, b, 4*len(d.fwd), 4*len(d.bwd))
	}
	d.Forward(team, y.s, y.ld, x.s, x.ld, rows, e)
	d.BackwardX(team, dx.s, dx.ld, dy.s, dy.ld, rows, acc)
	d.BackwardW(team, dw.s, dy.s, dy.ld, x.s, x.ld, rows, acc)
	BackwardBias(team, db.s, dy.s, dy.ld, rows, out, acc)
	x.intact(t, name+": x", true)
	dy.intact(t, name+": dy", true)

	// sum is the reference of m rows of n: Σ_k term(i, j, k), from the old value if start.
	sum := func(old *guarded, start bool, count int, term func(i, j, k int) float64) (s, size []float64) {
		for i := range old.rows {
			for j := range old.width {
				v := 0.0
				if start {
					v = old.before(i, j)
				}
				a := math.Abs(v)
				for k := range count {
					p := term(i, j, k)
					v += p
					a += math.Abs(p)
				}
				s, size = append(s, v), append(size, a)
			}
		}
		return s, size
	}
	want, size := sum(y, false, in, func(i, o, k int) float64 { return float64(x.row(i)[k]) * float64(w.row(o)[k]) })
	wantPre := applyEpilogue(e, y, want, size)
	y.near(t, name+": y", want, size, 1.2*sumTol(in)) // slopes of activations are at most 1.13
	if pre != nil {
		pre.near(t, name+": pre", wantPre, size, sumTol(in))
	}
	want, size = sum(dx, acc, out, func(i, j, o int) float64 { return float64(dy.row(i)[o]) * float64(w.row(o)[j]) })
	dx.near(t, name+": dx", want, size, sumTol(out))
	want, size = sum(dw, acc, rows, func(o, j, i int) float64 { return float64(dy.row(i)[o]) * float64(x.row(i)[j]) })
	dw.near(t, name+": dw", want, size, sumTol(rows))
	want, size = sum(db, acc, rows, func(_, o, i int) float64 { return float64(dy.row(i)[o]) })
	db.near(t, name+": db", want, size, sumTol(rows))
}

// TestDenseParts: rows in parts, and teams of any size, give the same bits.
func TestDenseParts(t *testing.T) {
	for _, im := range simd.All() {
		r := rand.New(rand.NewPCG(3, 4))
		for range 12 {
			in, out, rows := 1+r.IntN(60), 1+r.IntN(60), 1+r.IntN(200)
			if im.Name != "generic" {
				in, out, rows = 4*in, 4*out, 4*rows
			}
			w, x, dy := matrix(r, out, in, 0), matrix(r, rows, in, 1), matrix(r, rows, out, 2)
			e, pre := someEpilogue(r, rows, out, rows) // one sample
			e.Accumulate = false
			type result struct{ y, pre, dx, dw, db *guarded }
			run := func(workers int, cuts []int) (q result) {
				team := NewTeam(workers)
				defer team.Close()
				team.Impl = im
				d := NewDense(in, out)
				d.SetForward(team, w.s)
				d.SetBackward(team, w.s)
				q = result{matrix(r, rows, out, 0), matrix(r, rows, out, 0), matrix(r, rows, in, 0), matrix(r, out, in, 0), matrix(r, 1, out, 0)}
				lo := 0
				for i, hi := range cuts {
					f := *e
					if pre != nil {
						f.Pre, f.PreLd = q.pre.s[lo*out:], out
					}
					if f.Residual != nil {
						f.Residual = f.Residual[lo*f.ResidualLd:]
					}
					n := hi - lo
					d.Forward(team, q.y.s[lo*out:], out, x.s[lo*x.ld:], x.ld, n, &f)
					d.BackwardX(team, q.dx.s[lo*in:], in, dy.s[lo*dy.ld:], dy.ld, n, false)
					d.BackwardW(team, q.dw.s, dy.s[lo*dy.ld:], dy.ld, x.s[lo*x.ld:], x.ld, n, i > 0)
					BackwardBias(team, q.db.s, dy.s[lo*dy.ld:], dy.ld, n, out, i > 0)
					lo = hi
				}
				return q
			}
			whole := run(1, []int{rows})
			a := 1 + r.IntN(rows)
			cuts := []int{a}
			if a < rows {
				cuts = append(cuts, rows)
			}
			for _, q := range []result{run(1, cuts), run(2, []int{rows}), run(5, cuts)} {
				name := fmt.Sprintf("%s in=%d out=%d rows=%d cuts=%v", im.Name, in, out, rows, cuts)
				q.y.same(t, name+": y", whole.y)
				if pre != nil {
					q.pre.same(t, name+": pre", whole.pre)
				}
				q.dx.same(t, name+": dx", whole.dx)
				q.dw.same(t, name+": dw", whole.dw)
				q.db.same(t, name+": db", whole.db)
			}
		}
	}
}
