package simd

import (
	"fmt"
	"math"
)

// panel is the columns of a panel of F.
func panel[F Float]() int {
	var z F
	if _, ok := any(z).(float32); ok {
		return Panel32
	}
	return Panel64
}

// size is the bytes of an F.
func size[F Float]() int { return 64 / panel[F]() }

// check panics if a stride is negative, a slice is too short, or the epilogue does not fit the shape. It reports
// whether there is anything to compute.
func (q *Product[F]) check() bool {
	p := panel[F]()
	if q.M < 0 || q.K < 0 || q.NP < 0 {
		panic(fmt.Sprintf("simd: Product: negative size M=%d K=%d NP=%d", q.M, q.K, q.NP))
	}
	if q.Chunk < 0 {
		panic(fmt.Sprintf("simd: Product: chunks of %d steps", q.Chunk))
	}
	if q.Ep > MulD {
		panic(fmt.Sprintf("simd: Product: unknown epilogue %d", q.Ep))
	}
	if q.Act > GELUTanh {
		panic("simd: Product: unknown activation " + q.Act.String())
	}
	if q.M == 0 || q.NP == 0 {
		return false
	}
	if q.CM < 0 || q.CP < 0 || q.AM < 0 || q.AK < 0 || q.BP < 0 || q.BK < 0 {
		panic(fmt.Sprintf("simd: Product: negative stride in CM=%d CP=%d AM=%d AK=%d BP=%d BK=%d", q.CM, q.CP, q.AM, q.AK, q.BP, q.BK))
	}
	need("Product", "C", len(q.C), (q.M-1)*q.CM+(q.NP-1)*q.CP+p)
	if q.Ep == ActivateGrad || q.Ep == MulD {
		need("Product", "D", len(q.D), (q.M-1)*q.CM+(q.NP-1)*q.CP+p)
	}
	if q.K > 0 {
		need("Product", "A", len(q.A), (q.M-1)*q.AM+(q.K-1)*q.AK+1)
		need("Product", "B", len(q.B), (q.NP-1)*q.BP+(q.K-1)*q.BK+p)
	}
	if q.Bias != nil && !q.Accumulate {
		need("Product", "Bias", len(q.Bias), q.NP*p)
	}
	return true
}

// fma32 is a·b + c with the sum rounded to float64 and then to float32. The product of two float32 is exact in float64,
// so this differs from one fused rounding only in rare ties, and not from machine to machine.
func fma32(a, b, c float32) float32 { return float32(float64(a)*float64(b) + float64(c)) }

// productGeneric is the loop of Product's documentation.
func productGeneric[F Float](q *Product[F]) {
	if !q.check() {
		return
	}
	P := panel[F]()
	var acc, part [Panel32]F
	for p := range q.NP {
		for m := range q.M {
			c := q.C[m*q.CM+p*q.CP:][:P]
			acc := acc[:P]
			switch {
			case q.Accumulate:
				copy(acc, c)
			case q.Bias != nil:
				copy(acc, q.Bias[p*P:])
			default:
				clear(acc)
			}
			sum, chunk := acc, q.chunk()
			for k := range q.K {
				if k > 0 && k%chunk == 0 {
					if k > chunk {
						addTo(acc, sum)
					}
					sum = part[:P]
					clear(sum)
				}
				mulAdd(sum, q.A[m*q.AM+k*q.AK], q.B[p*q.BP+k*q.BK:][:P])
			}
			if q.K > chunk {
				addTo(acc, sum)
			}
			switch q.Ep {
			case Plain:
			case Activate:
				for j, v := range acc {
					acc[j], _ = eval(q.Act, v)
				}
			case ActivateGrad:
				d := q.D[m*q.CM+p*q.CP:][:P]
				for j, v := range acc {
					acc[j], d[j] = eval(q.Act, v)
				}
			case MulD:
				for j, v := range q.D[m*q.CM+p*q.CP:][:P] {
					acc[j] *= v
				}
			}
			copy(c, acc)
		}
	}
}

// chunk is the steps of a chunk.
func (q *Product[F]) chunk() int {
	if q.Chunk == 0 {
		return max(1, q.K)
	}
	return q.Chunk
}

func addTo[F Float](acc, b []F) {
	for i, v := range b {
		acc[i] += v
	}
}

// mulAdd is acc[j] += a·b[j], one fma each.
func mulAdd[F Float](acc []F, a F, b []F) {
	switch acc := any(acc).(type) {
	case []float32:
		a := float64(a)
		for j, v := range any(b).([]float32) {
			acc[j] = float32(a*float64(v) + float64(acc[j]))
		}
	case []float64:
		a := float64(a)
		for j, v := range any(b).([]float64) {
			acc[j] = math.FMA(a, v, acc[j])
		}
	}
}
