package simd

import "fmt"

// Rows holds the inner loops of norms, softmax, attention and elementwise layers. Matrices are row-major: their rows are
// positions and their columns are channels. Vectors of channels give the number of columns w; a matrix has len/w rows.
// Outputs may be one of the inputs of the same shape, and must not overlap them otherwise.
//
// Sums over rows run from the first row to the last, so that a matrix cut into blocks of rows gives the same bits.
type Rows struct {
	// Affine writes y = f((x - m)·a + b), with vectors m, a and b. m, or m and b, may be nil, which
	// stands for zeros.
	Affine func(f Act, y, x, m, a, b []float32)

	// AffineGrad is the backward form of Affine: dz = dy·f'((x - m)·a + b), s0 += Σ dz and s1 += Σ dz·(x - m), the sums
	// over rows, each term one fused multiply-add. m and b are not nil. dz may be dy, but not x.
	AffineGrad func(f Act, dz, dy, x, m, a, b, s0, s1 []float32)

	// Combine writes y = u·a + (x - m)·b + c, with vectors a, m, b and c.
	Combine func(y, u, x, a, m, b, c []float32)

	// Gate writes y = x + g·z, with a vector g.
	Gate func(y, x, z, g []float32)

	// ColumnSums adds to s the sums over rows of x.
	ColumnSums func(s, x []float32)

	// Moments64 adds, in float64, Σ(x - k) over rows to s1 and Σ(x - k)² to s2. k is a vector near the columns' means.
	Moments64 func(s1, s2 []float64, x, k []float32)

	// LayerNorm writes y = x̂·a + b, where x̂ = (x - μ)/√(σ² + eps) with the mean μ and the biased variance σ² of each
	// row. Its sums do not lose digits when μ is large against σ.
	LayerNorm func(y, x, a, b []float32, eps float32)

	// LayerNormGrad is the backward form of LayerNorm: with g = dy·a and the means ⟨·⟩ over a row,
	// dx = (g - ⟨g⟩ - x̂⟨g x̂⟩)/√(σ² + eps). It adds Σ dy·x̂ over rows to sa and Σ dy to sb, unless both are nil.
	LayerNormGrad func(dx, dy, x, a, sa, sb []float32, eps float32)

	// Exp writes y = exp(scale·(x - max x)) of rows of n elements, ld apart in both arrays, and the sum of each row to sums, which has an element for each. scale is positive. Rows
	// without elements have the sum 0.
	Exp func(y, x []float32, ld, n int, scale float32, sums []float32)

	// Softmax writes y = e·(1/Σ e) with the e of Exp.
	Softmax func(y, x []float32, ld, n, rows int, scale float32)

	// SoftmaxGrad writes dx = scale·p·(dp - Σ p·dp) of rows of n elements, ld apart in all arrays: the derivative of p = softmax(scale·x) times dp.
	SoftmaxGrad func(dx, p, dp []float32, ld, n, rows int, scale float32)

	// ActGrad writes dx = dy·f'(x).
	ActGrad func(f Act, dx, dy, x []float32)

	// Add writes y = a + b, Mul y = a·b, Scale y = s·x, Sum4 y = s·((a + b) + (c + d)).
	Add   func(y, a, b []float32)
	Mul   func(y, a, b []float32)
	Scale func(y, x []float32, s float32)
	Sum4  func(y, a, b, c, d []float32, s float32)

	// Scan runs the recurrence s = λ s + u of complex modes over the rows of u and writes s to those of z: vectors l and s of
	// real and then imaginary parts, of which s is the state before and after. See Modes.
	Scan func(m Modes, z, u, l, s []float32)

	// ScanGrad is Scan of g, whose states go to y, and adds z̄ s of each row to the vector a.
	ScanGrad func(m Modes, y, g, z, l, s, a []float32)

	// PackT packs the transpose of a matrix of n rows and k columns into panels (Product's B with BP = k·Panel32 and
	// BK = Panel32): dst[(i/P)·k·P + j·P + i%P] = src[i·ld + j], with zeros where i ≥ n in the last panel.
	PackT func(dst, src []float32, ld, n, k int)

	// Pack packs the matrix itself (BP = n·Panel32): dst[(j/P)·n·P + i·P + j%P] = src[i·ld + j], with zeros where j ≥ k
	// in the last panel.
	Pack func(dst, src []float32, ld, n, k int)

	// Prefetch asks for the n rows of w elements at src, ld apart, which are needed soon: processors do not foresee rows
	// that are pieces of longer ones. It changes nothing.
	Prefetch func(src []float32, ld, n, w int)
}

// maxElems are the elements of one call of an elementwise kernel: about ten microseconds.
const maxElems = 1 << 13

var genericRows = Rows{
	Affine:        affineGeneric,
	AffineGrad:    affineGradGeneric,
	Combine:       combineGeneric,
	Gate:          gateGeneric,
	ColumnSums:    columnSumsGeneric,
	Moments64:     momentsGeneric,
	LayerNorm:     layerNormGeneric,
	LayerNormGrad: layerNormGradGeneric,
	Exp:           expGeneric,
	Softmax:       softmaxGeneric,
	SoftmaxGrad:   softmaxGradGeneric,
	ActGrad:       actGradGeneric,
	Add:           addGeneric,
	Mul:           mulGeneric,
	Scale:         scaleGeneric,
	Sum4:          sum4Generic,
	Scan:          scanGeneric,
	ScanGrad:      scanGradGeneric,
	PackT:         packTGeneric,
	Pack:          packGeneric,
	Prefetch:      func(src []float32, ld, n, w int) { checkPrefetch(src, ld, n, w) },
}

// rowsOf is the number of rows of a matrix of n elements with w columns.
func rowsOf(routine string, n, w int) int {
	if n == 0 {
		return 0
	}
	if w == 0 || n%w != 0 {
		panic(fmt.Sprintf("simd: %s: %d elements are no whole number of rows of %d", routine, n, w))
	}
	return n / w
}
