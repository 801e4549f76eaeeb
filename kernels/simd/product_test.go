package simd

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// shape is one product of the suite.
type shape struct {
	m, k, np   int
	ep         Epilogue
	act        Act
	bias, acc  bool
	transposed bool // A read down its columns, as for weight gradients
	panels     bool // C in panels (CM = P), as for weight gradients; else row-major
	off        int  // start of the slices past a cache line
	pad        int  // added to the row strides
	chunk      int
}

func (s shape) String() string {
	return fmt.Sprintf("m=%d k=%d np=%d ep=%d act=%s bias=%t acc=%t trans=%t panels=%t off=%d pad=%d chunk=%d",
		s.m, s.k, s.np, s.ep, s.act, s.bias, s.acc, s.transposed, s.panels, s.off, s.pad, s.chunk)
}

type operands[F Float] struct {
	q             Product[F]
	c, a, b, w, d *guarded[F]
}

func build[F Float](s shape, r *rand.Rand) (o operands[F]) {
	P := panel[F]()
	q := Product[F]{M: s.m, K: s.k, NP: s.np, Ep: s.ep, Act: s.act, Accumulate: s.acc, Chunk: s.chunk}
	q.CM, q.CP = s.np*P+s.pad, P
	if s.panels {
		q.CM, q.CP = P, P*s.m+s.pad
	}
	q.AM, q.AK = s.k+s.pad, 1
	if s.transposed {
		q.AM, q.AK = 1, s.m+s.pad
	}
	q.BP, q.BK = s.k*P+s.pad, P
	span := func(n, step, tail int) int {
		if n == 0 {
			return 0
		}
		return (n-1)*step + tail
	}
	if s.m > 0 && s.np > 0 {
		o.c = newGuarded[F](span(s.m, q.CM, span(s.np, q.CP, P)), s.off).fill(r)
	} else {
		o.c = newGuarded[F](0, s.off).fill(r)
	}
	o.a = newGuarded[F](span(s.m, q.AM, span(s.k, q.AK, 1)), s.off+1).fill(r)
	o.b = newGuarded[F](span(s.np, q.BP, span(s.k, q.BK, P)), s.off+2).fill(r)
	o.w = newGuarded[F](s.np*P, s.off+3).fill(r)
	o.d = newGuarded[F](len(o.c.s), s.off+1).fill(r)
	q.C, q.A, q.B = o.c.s, o.a.s, o.b.s
	if s.bias {
		q.Bias = o.w.s
	}
	if s.ep == ActivateGrad || s.ep == MulD {
		q.D = o.d.s
	}
	if rows := r.IntN(40) - 20; rows > 0 {
		q.Next = Region[F]{S: o.b.s, Ld: 1 + r.IntN(300), Rows: rows, Cols: r.IntN(100)}
		if len(o.b.s) < 1+(rows-1)*q.Next.Ld {
			q.Next = Region[F]{}
		}
	}
	o.q = q
	return o
}

// verify runs the product and compares it with the definition in float64.
func verify[F Float](t *testing.T, run func(*Product[F]), s shape, r *rand.Rand) {
	t.Helper()
	o := build[F](s, r)
	q := o.q
	run(&q)
	name := s.String()
	o.a.intact(t, name+": A", true)
	o.b.intact(t, name+": B", true)
	o.w.intact(t, name+": Bias", true)
	o.c.intact(t, name+": C", false)
	o.d.intact(t, name+": D", s.ep != ActivateGrad)

	P, eps := panel[F](), epsOf[F]()
	touched := make([]bool, len(o.c.s))
	for p := range s.np {
		for m := range s.m {
			for j := range P {
				i := m*q.CM + p*q.CP + j
				touched[i] = true
				sum, size := 0.0, 0.0
				switch {
				case s.acc:
					sum = float64(o.c.want[i])
				case s.bias:
					sum = float64(o.w.s[p*P+j])
				}
				size = math.Abs(sum)
				for k := range s.k {
					v := float64(q.A[m*q.AM+k*q.AK]) * float64(q.B[p*q.BP+k*q.BK+j])
					sum += v
					size += math.Abs(v)
				}
				// One rounding a step, of a partial sum no larger than size; 1.01 for second order.
				tol := 1.01 * float64(s.k) * eps * size
				if panel[F]() == Panel64 {
					tol *= 2 // the reference rounds as well
				}
				got := float64(o.c.s[i])
				switch s.ep {
				case Plain:
					close64(t, got, sum, tol, "%s: C[%d,%d,%d]", name, m, p, j)
				case MulD:
					d := float64(o.d.want[i])
					close64(t, got, sum*d, tol*math.Abs(d)+2*eps*math.Abs(sum*d), "%s: C[%d,%d,%d]", name, m, p, j)
				case Activate, ActivateGrad:
					y, d := s.act.Eval(sum)
					// slopes are at most 1.13, second derivatives at most 1 for all activations
					close64(t, got, y, 1.13*tol+actTol[F](s.act, y), "%s: C[%d,%d,%d] of sum %v", name, m, p, j, sum)
					if s.ep == ActivateGrad {
						close64(t, float64(o.d.s[i]), d, tol+actTol[F](s.act, d), "%s: D[%d,%d,%d] of sum %v", name, m, p, j, sum)
					}
				}
			}
		}
	}
	for i, v := range o.c.s {
		if !touched[i] && v != o.c.want[i] {
			t.Fatalf("%s: C[%d] is between rows and was written", name, i)
		}
		if s.ep == ActivateGrad && !touched[i] && o.d.s[i] != o.d.want[i] {
			t.Fatalf("%s: D[%d] is between rows and was written", name, i)
		}
	}
}

// actTol is what an activation's value or slope y may be off by: TestActRange checks the same bounds over all arguments.
func actTol[F Float](f Act, y float64) float64 {
	if f == Identity {
		return 0
	}
	if panel[F]() == Panel64 {
		return 8 * eps64 * math.Max(1, math.Abs(y))
	}
	return 3e-7 * math.Max(1, math.Abs(y))
}

var (
	someM = []int{0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 23, 24, 25, 31, 60}
	someK = []int{0, 1, 2, 3, 4, 7, 59, 60, 61, 128, 131}
	someP = []int{0, 1, 2, 3, 8}
)

func TestProduct(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		r := rand.New(rand.NewPCG(1, 2))
		both := func(s shape) {
			verify(t, im.Product32, s, r)
			verify(t, im.Product64, s, r)
		}
		// every size with every initial value
		for _, m := range someM {
			for _, k := range someK {
				np := someP[r.IntN(len(someP))]
				init := r.IntN(3)
				both(shape{m: m, k: k, np: np, bias: init == 1, acc: init == 2, off: r.IntN(16)})
			}
		}
		// every epilogue and activation, at sizes around the blocks
		for ep := Plain; ep <= MulD; ep++ {
			for act := Identity; act <= GELUTanh; act++ {
				for range 14 {
					s := shape{m: someM[r.IntN(len(someM))], k: someK[r.IntN(len(someK))], np: someP[r.IntN(len(someP))],
						ep: ep, act: act, transposed: r.IntN(2) == 0, panels: r.IntN(2) == 0, off: r.IntN(16), pad: r.IntN(2) * 17}
					s.bias, s.acc = r.IntN(2) == 0, r.IntN(4) == 0
					s.chunk = r.IntN(4) * (1 + r.IntN(20))
					both(s)
				}
			}
		}
		// carried activations: deep sums and many rows
		for _, m := range []int{5, 11, 24, 29, 50, 61} {
			for _, k := range []int{64, 96, 128, 200, 256} {
				for _, ep := range []Epilogue{Activate, ActivateGrad} {
					both(shape{m: m, k: k, np: 1 + r.IntN(4), ep: ep, act: SiLU, bias: r.IntN(2) == 0, off: r.IntN(16), pad: 16 * r.IntN(2)})
				}
			}
		}
		// derivatives that do not fit in a near cache
		for act := SiLU; act <= GELUTanh; act++ {
			both(shape{m: 240, k: 21, np: 35, ep: ActivateGrad, act: act, bias: true, chunk: 8})
		}
		// sums and rows that exceed one kernel call
		both(shape{m: 7, k: 4097, np: 2, ep: MulD, bias: true})
		both(shape{m: 3, k: 9001, np: 2, acc: true, chunk: 4100})
		both(shape{m: 300, k: 130, np: 3, ep: Activate, act: SiLU, bias: true})
		both(shape{m: 3 * 400, k: 5, np: 1, ep: Activate, act: GELU, bias: true})
	})
}

// TestChunk: with chunks a long sum has less than half the rounding error.
func TestChunk(t *testing.T) {
	each(t, func(t *testing.T, im *Impl) {
		r := rand.New(rand.NewPCG(31, 32))
		o := build[float32](shape{m: 12, k: 2048, np: 2}, r)
		for i := range o.a.s {
			o.a.s[i] = r.Float32() // sums that grow
		}
		for i := range o.b.s {
			o.b.s[i] = r.Float32()
		}
		square := func(chunk int) (sum float64) {
			q := o.q
			q.Chunk = chunk
			im.Product32(&q)
			for m := range q.M {
				for j := range q.NP * Panel32 {
					want := 0.0
					for k := range q.K {
						want += float64(q.A[m*q.AM+k*q.AK]) * float64(q.B[j/Panel32*q.BP+k*q.BK+j%Panel32])
					}
					d := float64(q.C[m*q.CM+j/Panel32*q.CP+j%Panel32]) - want
					sum += d * d
				}
			}
			return sum
		}
		if long, short := math.Sqrt(square(0)), math.Sqrt(square(64)); !(short < long/2) {
			t.Errorf("error %.3g with chunks of 64, %.3g without", short, long)
		}
	})
}
