package simd

import (
	"fmt"
	"math"
)

// boxMuller is the definition of a pair of normals, in float64.
func boxMuller(w0, w1 uint32) (float64, float64) {
	u := (float64(w0>>1) + 0.5) / (1 << 31)
	r := math.Sqrt(-2 * math.Log(u))
	s, c := math.Sincos(2 * math.Pi * float64(int32(w1)) / (1 << 32))
	return r * c, r * s
}

func normalsGeneric(z []float32, stride int, seed uint64, stream, block uint32, sample uint64, n int) {
	checkNormals(z, stride, n)
	for i := range n {
		id := sample + uint64(i)
		w := Philox4x32([4]uint32{block, stream, uint32(id), uint32(id >> 32)}, [2]uint32{uint32(seed), uint32(seed >> 32)})
		row := z[i*stride:][:4]
		for j := 0; j < 4; j += 2 {
			a, b := boxMuller(w[j], w[j+1])
			row[j], row[j+1] = float32(a), float32(b)
		}
	}
}

func checkNormals(z []float32, stride, n int) {
	if n < 0 || stride < 0 {
		panic(fmt.Sprintf("simd: Normals4: stride=%d n=%d: neither may be negative", stride, n))
	}
	if n > 0 {
		need("Normals4", "z", len(z), (n-1)*stride+4)
	}
}
