package cpu

import (
	"fmt"
	"math"
)

// Embedding writes y [n, W]: rows ids of the table.
func Embedding(t *Team, y, table []float32, ids []int32, w int) {
	checkEmbedding("Embedding", y, table, ids, w)
	rowsAtOnce(t, len(ids), w, func(i int) { copy(y[i*w:(i+1)*w], table[int(ids[i])*w:]) })
}

// EmbeddingGrad adds dy [n, W] to the rows ids of g, the gradient in the table, in the order of the samples; without
// accumulate g, of rows rows, is cleared first.
func EmbeddingGrad(t *Team, g, dy []float32, ids []int32, rows, w int, accumulate bool) {
	want("EmbeddingGrad", "g", len(g), rows*w)
	checkEmbedding("EmbeddingGrad", dy, g[:rows*w], ids, w)
	if !accumulate {
		clear(g[:rows*w])
	}
	// A task has some of the columns: rows may repeat.
	const cols = 64
	t.Run((w+cols-1)/cols, func(_, task int) {
		lo, hi := task*cols, min(w, (task+1)*cols)
		for i, id := range ids {
			to := g[int(id)*w+lo : int(id)*w+hi]
			for j, v := range dy[i*w+lo : i*w+hi] {
				to[j] += v
			}
		}
	})
}

func checkEmbedding(op string, y, table []float32, ids []int32, w int) {
	want(op, "the samples' rows", len(y), len(ids)*w)
	for _, id := range ids {
		if id < 0 || (int(id)+1)*w > len(table) {
			panic(fmt.Sprintf("cpu: %s: row %d of a table of %d", op, id, len(table)/max(1, w)))
		}
	}
}

// Sinusoid describes the sinusoidal features of a time (Vaswani et al. 2017): with half = ⌊Dim/2⌋ frequencies
// ω_k = Period^(-k/(half - Shift)), [sin ωt, cos ωt], or with CosFirst [cos ωt, sin ωt]. An odd Dim has a zero at the
// end. DDPM's features have Shift 1, DiT's Shift 0 and CosFirst; both have Period 10000.
type Sinusoid struct {
	Dim      int
	CosFirst bool
	Shift    float64
	Period   float64
}

// Features writes y [n, Dim]: the derivative of the given order ≥ 0 of the features in t, computed in float64.
func (s Sinusoid) Features(y []float32, t []float64, order int) {
	want("Sinusoid", "y", len(y), len(t)*s.Dim)
	half := s.Dim / 2
	sin, cos := 0, half
	if s.CosFirst {
		sin, cos = half, 0
	}
	for k := range half {
		freq := math.Exp(-math.Log(s.Period) * float64(k) / (float64(half) - s.Shift))
		if k == 0 {
			freq = 1 // also where half = Shift
		}
		power := math.Pow(freq, float64(order))
		for i, t := range t {
			sv, cv := math.Sincos(freq * t)
			for range order % 4 {
				sv, cv = cv, -sv
			}
			y[i*s.Dim+sin+k] = float32(power * sv)
			y[i*s.Dim+cos+k] = float32(power * cv)
		}
	}
	if s.Dim%2 == 1 {
		for i := range t {
			y[(i+1)*s.Dim-1] = 0
		}
	}
}
