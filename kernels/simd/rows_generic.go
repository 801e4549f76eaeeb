package simd

import (
	"fmt"
	"math"
)

func affineGeneric(f Act, y, x, m, a, b []float32) {
	checkAffine(f, y, x, m, a, b)
	w := len(a)
	for i := 0; i < len(x); i += w {
		for c, v := range x[i : i+w] {
			if m != nil {
				v -= m[c]
			}
			if b != nil {
				v = fma32(v, a[c], b[c])
			} else {
				v *= a[c]
			}
			y[i+c], _ = eval(f, v)
		}
	}
}

func checkAffine(f Act, y, x, m, a, b []float32) int {
	checkAct(f, y, nil, x)
	if m != nil {
		need("Affine", "m", len(m), len(a))
		need("Affine", "b", len(b), len(a))
	} else if b != nil {
		need("Affine", "b", len(b), len(a))
	}
	return rowsOf("Affine", len(x), len(a))
}

func affineGradGeneric(f Act, dz, dy, x, m, a, b, s0, s1 []float32) {
	checkAffineGrad(f, dz, dy, x, m, a, b, s0, s1)
	w := len(a)
	for i := 0; i < len(x); i += w {
		for c, v := range x[i : i+w] {
			v -= m[c]
			_, d := eval(f, fma32(v, a[c], b[c]))
			d *= dy[i+c]
			dz[i+c] = d
			s0[c] += d
			s1[c] = fma32(d, v, s1[c])
		}
	}
}

func checkAffineGrad(f Act, dz, dy, x, m, a, b, s0, s1 []float32) int {
	checkAct(f, dz, nil, x)
	need("AffineGrad", "dy", len(dy), len(x))
	for _, v := range [...][]float32{m, b, s0, s1} {
		need("AffineGrad", "a vector", len(v), len(a))
	}
	return rowsOf("AffineGrad", len(x), len(a))
}

func combineGeneric(y, u, x, a, m, b, c []float32) {
	checkCombine(y, u, x, a, m, b, c)
	w := len(a)
	for i := 0; i < len(x); i += w {
		for j, v := range x[i : i+w] {
			y[i+j] = fma32(u[i+j], a[j], fma32(v-m[j], b[j], c[j]))
		}
	}
}

func checkCombine(y, u, x, a, m, b, c []float32) int {
	need("Combine", "y", len(y), len(x))
	need("Combine", "u", len(u), len(x))
	for _, v := range [...][]float32{m, b, c} {
		need("Combine", "a vector", len(v), len(a))
	}
	return rowsOf("Combine", len(x), len(a))
}

func gateGeneric(y, x, z, g []float32) {
	checkGate(y, x, z, g)
	w := len(g)
	for i := 0; i < len(x); i += w {
		for c, v := range g {
			y[i+c] = fma32(v, z[i+c], x[i+c])
		}
	}
}

func checkGate(y, x, z, g []float32) int {
	need("Gate", "y", len(y), len(x))
	need("Gate", "z", len(z), len(x))
	return rowsOf("Gate", len(x), len(g))
}

func columnSumsGeneric(s, x []float32) {
	rowsOf("ColumnSums", len(x), len(s))
	for i := 0; i < len(x); i += len(s) {
		for c, v := range x[i : i+len(s)] {
			s[c] += v
		}
	}
}

func momentsGeneric(s1, s2 []float64, x, k []float32) {
	checkMoments(s1, s2, x, k)
	momentsColumns(s1, s2, x, k, 0)
}

// momentsColumns is Moments64 for the columns from first on.
func momentsColumns(s1, s2 []float64, x, k []float32, first int) {
	w := len(k)
	for i := 0; i < len(x); i += w {
		for c := first; c < w; c++ {
			d := float64(x[i+c]) - float64(k[c])
			s1[c] += d
			s2[c] = math.FMA(d, d, s2[c])
		}
	}
}

func checkMoments(s1, s2 []float64, x, k []float32) int {
	need("Moments64", "s1", len(s1), len(k))
	need("Moments64", "s2", len(s2), len(k))
	return rowsOf("Moments64", len(x), len(k))
}

// moments is the mean of a row and 1/√(σ² + eps).
func moments(x []float32, eps float32) (mean, r float64) {
	for _, v := range x {
		mean += float64(v)
	}
	mean /= float64(len(x))
	q := 0.0
	for _, v := range x {
		q += (float64(v) - mean) * (float64(v) - mean)
	}
	return mean, 1 / math.Sqrt(q/float64(len(x))+float64(eps))
}

func layerNormGeneric(y, x, a, b []float32, eps float32) {
	checkLayerNorm(y, x, a, b)
	w := len(a)
	for i := 0; i < len(x); i += w {
		mean, r := moments(x[i:i+w], eps)
		for c, v := range x[i : i+w] {
			y[i+c] = float32((float64(v)-mean)*r*float64(a[c]) + float64(b[c]))
		}
	}
}

func checkLayerNorm(y, x, a, b []float32) int {
	need("LayerNorm", "y", len(y), len(x))
	need("LayerNorm", "b", len(b), len(a))
	return rowsOf("LayerNorm", len(x), len(a))
}

func layerNormGradGeneric(dx, dy, x, a, sa, sb []float32, eps float32) {
	checkLayerNormGrad(dx, dy, x, a, sa, sb)
	w := len(a)
	for i := 0; i < len(x); i += w {
		x, dy, dx := x[i:i+w], dy[i:i+w], dx[i:i+w]
		mean, r := moments(x, eps)
		var g0, g1 float64
		for c, v := range x {
			h := (float64(v) - mean) * r
			g := float64(dy[c]) * float64(a[c])
			g0 += g
			g1 += g * h
			if sa != nil {
				sa[c] = float32(float64(sa[c]) + float64(dy[c])*h)
				sb[c] += dy[c]
			}
		}
		g0 /= float64(w)
		g1 /= float64(w)
		for c, v := range x {
			h := (float64(v) - mean) * r
			dx[c] = float32((float64(dy[c])*float64(a[c]) - g0 - h*g1) * r)
		}
	}
}

func checkLayerNormGrad(dx, dy, x, a, sa, sb []float32) int {
	need("LayerNormGrad", "dx", len(dx), len(x))
	need("LayerNormGrad", "dy", len(dy), len(x))
	if sa != nil || sb != nil {
		need("LayerNormGrad", "sa", len(sa), len(a))
		need("LayerNormGrad", "sb", len(sb), len(a))
	}
	return rowsOf("LayerNormGrad", len(x), len(a))
}

// expGeneric keeps a NaN: max returns it.
func expGeneric(y, x []float32, ld, n int, scale float32, sums []float32) {
	checkExp(y, x, ld, n, sums)
	for r := range sums {
		sums[r] = 0
		if n == 0 {
			continue
		}
		y, x := y[r*ld:][:n], x[r*ld:][:n]
		top := x[0]
		for _, v := range x {
			top = max(top, v)
		}
		sum := 0.0
		for i, v := range x {
			y[i] = float32(math.Exp(float64(scale) * (float64(v) - float64(top))))
			sum += float64(y[i])
		}
		sums[r] = float32(sum)
	}
}

func checkExp(y, x []float32, ld, n int, sums []float32) {
	needRows("Exp", "y", y, ld, n, len(sums))
	needRows("Exp", "x", x, ld, n, len(sums))
}

func softmaxGeneric(y, x []float32, ld, n, rows int, scale float32) {
	checkSoftmax(y, x, ld, n, rows)
	sum := make([]float32, 1)
	for r := range rows {
		y := y[r*ld:][:n]
		expGeneric(y, x[r*ld:][:n], n, n, scale, sum)
		scaleGeneric(y, y, 1/sum[0])
	}
}

func checkSoftmax(y, x []float32, ld, n, rows int) {
	needRows("Softmax", "y", y, ld, n, rows)
	needRows("Softmax", "x", x, ld, n, rows)
}

func softmaxGradGeneric(dx, p, dp []float32, ld, n, rows int, scale float32) {
	checkSoftmaxGrad(dx, p, dp, ld, n, rows)
	for r := range rows {
		dx, p, dp := dx[r*ld:][:n], p[r*ld:][:n], dp[r*ld:][:n]
		dot := 0.0
		for i, v := range p {
			dot += float64(v) * float64(dp[i])
		}
		for i, v := range p {
			dx[i] = float32(float64(scale) * float64(v) * (float64(dp[i]) - dot))
		}
	}
}

func checkSoftmaxGrad(dx, p, dp []float32, ld, n, rows int) {
	needRows("SoftmaxGrad", "dx", dx, ld, n, rows)
	needRows("SoftmaxGrad", "p", p, ld, n, rows)
	needRows("SoftmaxGrad", "dp", dp, ld, n, rows)
}

// needRows checks a matrix of rows of n elements, ld apart.
func needRows(routine, name string, s []float32, ld, n, rows int) {
	if ld < n || n < 0 || rows < 0 {
		panic(fmt.Sprintf("simd: %s: %d rows of %d elements of %s, %d apart", routine, rows, n, name, ld))
	}
	if rows > 0 && n > 0 {
		need(routine, name, len(s), (rows-1)*ld+n)
	}
}

func actGradGeneric(f Act, dx, dy, x []float32) {
	checkActGrad(f, dx, dy, x)
	for i, v := range x {
		_, d := eval(f, v)
		dx[i] = dy[i] * d
	}
}

func checkActGrad(f Act, dx, dy, x []float32) {
	checkAct(f, dx, nil, x)
	need("ActGrad", "dy", len(dy), len(x))
}

func addGeneric(y, a, b []float32) {
	check2("Add", y, a, b)
	for i, v := range a {
		y[i] = v + b[i]
	}
}

func mulGeneric(y, a, b []float32) {
	check2("Mul", y, a, b)
	for i, v := range a {
		y[i] = v * b[i]
	}
}

func check2(routine string, y, a, b []float32) {
	need(routine, "y", len(y), len(a))
	need(routine, "b", len(b), len(a))
}

func scaleGeneric(y, x []float32, s float32) {
	need("Scale", "y", len(y), len(x))
	for i, v := range x {
		y[i] = s * v
	}
}

func sum4Generic(y, a, b, c, d []float32, s float32) {
	checkSum4(y, a, b, c, d)
	for i := range a {
		y[i] = s * ((a[i] + b[i]) + (c[i] + d[i]))
	}
}

func checkSum4(y, a, b, c, d []float32) {
	for _, v := range [...][]float32{y, b, c, d} {
		need("Sum4", "a vector", len(v), len(a))
	}
}

func packTGeneric(dst, src []float32, ld, n, k int) {
	if checkPackT(dst, src, ld, n, k) {
		packTRows(dst, src, ld, 0, n, 0, k)
	}
}

// packTRows is PackT for rows first to n-1, of which the first starts a panel, and columns from on.
func packTRows(dst, src []float32, ld, first, n, from, k int) {
	for p := first; p < n; p += Panel32 {
		d := dst[p*k:][:k*Panel32]
		if p+Panel32 > n {
			clear(d[from*Panel32:])
		}
		for i := p; i < min(n, p+Panel32); i++ {
			for j, v := range src[i*ld+from : i*ld+k] {
				d[(from+j)*Panel32+i-p] = v
			}
		}
	}
}

func checkPackT(dst, src []float32, ld, n, k int) bool {
	if ld < 0 || n < 0 || k < 0 {
		panic(fmt.Sprintf("simd: PackT: ld=%d n=%d k=%d: none is negative", ld, n, k))
	}
	if n == 0 || k == 0 {
		return false
	}
	need("PackT", "src", len(src), (n-1)*ld+k)
	need("PackT", "dst", len(dst), (n+Panel32-1)/Panel32*k*Panel32)
	return true
}

func packGeneric(dst, src []float32, ld, n, k int) {
	if checkPack(dst, src, ld, n, k) {
		packColumns(dst, src, ld, n, 0, k)
	}
}

// packColumns is Pack for the panels from column first on.
func packColumns(dst, src []float32, ld, n, first, k int) {
	for j := first; j < k; j += Panel32 {
		w := min(Panel32, k-j)
		for i := range n {
			to := dst[j*n+i*Panel32:][:Panel32]
			clear(to[copy(to, src[i*ld+j:][:w]):])
		}
	}
}

func checkPrefetch(src []float32, ld, n, w int) bool {
	if ld < 0 || n < 0 || w < 0 {
		panic(fmt.Sprintf("simd: Prefetch: ld=%d n=%d w=%d: none is negative", ld, n, w))
	}
	if n == 0 || w == 0 {
		return false
	}
	need("Prefetch", "src", len(src), (n-1)*ld+w)
	return true
}

func checkPack(dst, src []float32, ld, n, k int) bool {
	if ld < 0 || n < 0 || k < 0 {
		panic(fmt.Sprintf("simd: Pack: ld=%d n=%d k=%d: none is negative", ld, n, k))
	}
	if n == 0 || k == 0 {
		return false
	}
	need("Pack", "src", len(src), (n-1)*ld+k)
	need("Pack", "dst", len(dst), (k+Panel32-1)/Panel32*n*Panel32)
	return true
}
