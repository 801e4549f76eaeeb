package simd

// Panel32 and Panel64 are the columns of a panel: one cache line.
const (
	Panel32 = 16
	Panel64 = 8
)

// Act names an activation.
type Act uint8

const (
	Identity Act = iota
	SiLU         // x σ(x)
	GELU         // x Φ(x), the exact (erf) form
	Tanh
	GELUTanh // x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))), the tanh form
)

// Epilogue says what happens to a finished sum before it is stored.
type Epilogue uint8

const (
	Plain        Epilogue = iota // C = acc
	Activate                     // C = f(acc)
	ActivateGrad                 // C = f(acc), D = f'(acc)
	MulD                         // C = acc·D
)

// Float is the element type of a product.
type Float interface{ float32 | float64 }

// Product describes a matrix product by panels. With P = Panel32 or Panel64 columns to a panel, for all panels
// p < NP, rows m < M and columns j < P:
//
//	acc = init + Σ_{k<K} A[m·AM + k·AK] · B[p·BP + k·BK + j]       (in this order, each step one fused multiply-add)
//	C[m·CM + p·CP + j] = epilogue(acc)
//
// With Chunk > 0 only the first Chunk steps run so. Each further chunk of as many steps is summed by itself, from 0, and
// added to acc: rounding errors then grow with the root of Chunk and hardly with K.
//
// init is C's old value if Accumulate, else Bias[p·P + j] if Bias != nil, else 0. Strides count elements. D is laid out as C. X Wᵀ, dY W and dYᵀ X differ in strides only.
// M, K and NP may be any number ≥ 0; C must not overlap A or B.
type Product[F Float] struct {
	C          []F
	CM, CP     int
	A          []F
	AM, AK     int
	B          []F
	BP, BK     int
	Bias       []F
	D          []F
	M, K, NP   int
	Accumulate bool
	Chunk      int // 0: one chain of K steps; what is beyond 4096 steps of a chunk may be chained to acc
	Ep         Epilogue
	Act        Act
	Ask        []F       // nil, or an array laid out as C that the caller reads next: it is prefetched during the last steps, which changes no result
	Next       Region[F] // what the caller reads after this product: it is prefetched as far as there are steps for it, which changes no result
}

// Region is Rows rows of Cols elements, Ld elements apart, the first of them at the beginning of S. It may end behind S.
type Region[F Float] struct {
	S              []F
	Ld, Rows, Cols int
}

// AdamStep holds one step's constants of Adam with decoupled weight decay (Kingma 2015, Loshchilov 2019):
//
//	g *= Scale; m += (1-Beta1)(g-m); v = Beta2 v + (1-Beta2) g²
//	p -= LR·( m·C1 / (sqrt(v·C2) + Eps) + Decay·p )
//	ema += (1-EMA)(p-ema)                                              (unless ema is nil)
//
// C1 = 1/(1-Beta1^step) and C2 = 1/(1-Beta2^step) are the bias corrections.
type AdamStep struct {
	LR, Beta1, Beta2, Eps, Decay float32
	C1, C2                       float32
	Scale                        float32 // gradient clipping; 1 for none
	EMA                          float32 // decay of the averaged weights
}

// Impl is one implementation of all routines. Its functions are never nil.
type Impl struct {
	Name string // "generic", "avx2", "avx512"

	// Product32 and Product64 run a Product.
	Product32 func(*Product[float32])
	Product64 func(*Product[float64])

	// Act32 writes y = f(x) and, unless d is nil, d = f'(x), for all elements; y may be x.
	Act32 func(f Act, y, d, x []float32)

	// Head32 is a product with few outputs: for rows i < m and outputs o < outs,
	// out[i·outs + o] = bias[o] + Σ_{k<w} h[i·ld + k]·wt[o·w + k]. w is a multiple of 16, padded with zeros.
	Head32 func(out, h []float32, ld int, wt, bias []float32, m, w, outs int)

	// Update applies one row of a step table (kernels.Row) to n elements of the state x and the memory m, with the network's
	// values s and the normals z: x' = c[0] x + c[1] s + c[2] m + c[3] z and m' = c[4] x + c[5] s + c[6] z + c[7] m.
	// m nil: no memory. z nil: no noise.
	Update func(x, s, m, z []float32, c *[8]float32)

	// Normals4 writes, for i < n, the four standard normals of the Philox4x32-10 block with counter
	// (block, stream, sample+i low, sample+i high) and key seed to z[i·stride : i·stride+4]. With words w0..w3 of the
	// block and u(w) = ((w>>1) + ½)/2³¹, the pairs are sqrt(-2 ln u(w0))·(cos, sin)(2π w1/2³²) and the same of w2, w3.
	Normals4 func(z []float32, stride int, seed uint64, stream, block uint32, sample uint64, n int)

	// Adam updates p, m, v (and ema unless nil) from g.
	Adam func(p, m, v, g, ema []float32, s *AdamStep)

	// Jet32 and Jet64 compose an activation with truncated Taylor expansions of up to the given order in dim variables,
	// in place: row c < NJet(dim, order) of x, x[c·ld : c·ld+w], holds coefficient c (∂^α a/α!, in the order of JetIndex)
	// of w units.
	Jet32 func(f Act, x []float32, ld, w, dim, order int)
	Jet64 func(f Act, x []float64, ld, w, dim, order int)

	// Peak32 and Peak64 run 12·n independent vector multiply-adds (for measuring the machine's peak) and return the
	// number of floating-point operations done, two to a multiply-add.
	Peak32 func(n int) int
	Peak64 func(n int) int

	Rows
	Winograd
}

// Best is the implementation chosen for this machine at start; HBAR_SIMD=generic|avx2|avx512 overrides it (see Choice).
func Best() *Impl { return best }

// All lists the implementations that run on this machine, generic first.
func All() []*Impl { return all }

// NJet is the number of coefficients of a Taylor expansion to the given order in dim variables: C(dim+order, order).
func NJet(dim, order int) int {
	n := 1
	for i := 1; i <= order; i++ {
		n = n * (dim + i) / i
	}
	return n
}
