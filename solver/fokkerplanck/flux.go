package fokkerplanck

import "math"

// spectral passes between a spectrum and its function on one grid, and evaluates the advective part of the equation.
//
// The state is the spectrum q̂ of a real function, q(y) = Σ_k q̂_k exp(iπ k·(y+1)), columns k₁ ≥ 0 of modes k₂ (grid.modes).
// A transform goes through columns (fixed k₁, contiguous along y₂) and rows (fixed y₂, contiguous along y₁), in place in
// cols. Rows are handled rowBlock at a time, one cache line of every column.
type spectral struct {
	grid
	pool   pool
	row    *plan        // along y₁
	col    *plan        // along y₂
	stride int          // of cols: n[1] and padding, so that it is no power of two
	cols   []complex128 // columns k₁ = 0 … k[0], then −1 … −k[0]
	work   []workspace
	y      [2][]float64 // the tapered coordinate of each column and row
}

// workspace is one worker's: a block of rows of q and of the fluxes, and two buffers for a transform.
type workspace struct {
	q    [rowBlock][]float64
	f    [rowBlock][]complex128
	a, b []complex128
	rate []complex128 // one column of modes
}

const rowBlock = 4

func newSpectral(g grid, p pool) *spectral {
	s := &spectral{grid: g, pool: p, row: planFFT(g.n[0]), col: planFFT(g.n[1]), stride: g.n[1] + rowBlock}
	s.cols = make([]complex128, (2*g.k[0]+1)*s.stride)
	s.work = make([]workspace, p.workers)
	m := max(g.n[0], g.n[1])
	for i := range s.work {
		w := &s.work[i]
		w.a, w.b, w.rate = make([]complex128, m), make([]complex128, m), make([]complex128, g.column())
		for r := range rowBlock {
			w.q[r], w.f[r] = make([]float64, g.n[0]), make([]complex128, g.n[0])
		}
	}
	for i := range s.y {
		s.y[i] = make([]float64, g.n[i])
		for j := range s.y[i] {
			s.y[i][j] = taper(g.y(i, j)) * g.y(i, j)
		}
	}
	return s
}

// forRows runs f(worker, j) for each block of rows j … j+rowBlock−1. In 1-D there is one block, of which row 0 counts.
func (s *spectral) forRows(f func(w, j int)) {
	blocks := (s.n[1] + rowBlock - 1) / rowBlock
	s.pool.run(blocks, max(1, 2048/(rowBlock*s.n[0])), func(w, lo, hi int) {
		for b := lo; b < hi; b++ {
			f(w, b*rowBlock)
		}
	})
}

// inverseColumns fills the columns k₁ ≥ 0 with the inverse transforms of q̂ along y₂, conjugated.
func (s *spectral) inverseColumns(q []complex128) {
	n2, width := s.n[1], s.column()
	s.pool.run(s.k[0]+1, max(1, 2048/n2), func(w, lo, hi int) {
		a, b := s.work[w].a[:n2], s.work[w].b[:n2]
		for k := lo; k < hi; k++ {
			in := q[k*width : (k+1)*width]
			clear(a)
			for j, v := range in[s.k[1]:] {
				a[j] = conj(v)
			}
			for j, v := range in[:s.k[1]] {
				a[n2-s.k[1]+j] = conj(v)
			}
			copy(s.cols[k*s.stride:(k+1)*s.stride], s.col.transform(a, b))
		}
	})
}

// inverseRows completes the inverse transform for a block of rows, to q of the workspace.
//
// Two real rows A, B share a transform: Z = Â + iB̂ on k ≥ 0 with its Hermitian partner on −k gives A + iB. All of it is
// conjugated, for the inverse by a forward transform.
func (s *spectral) inverseRows(w, j int) {
	ws, n1 := &s.work[w], s.n[0]
	for r := 0; r < rowBlock; r += 2 {
		a := ws.a[:n1]
		clear(a[s.k[0]+1:])
		for k := 0; k <= s.k[0]; k++ {
			c := s.cols[k*s.stride+j+r : k*s.stride+j+r+2]
			a[k] = c[0] - mulI(c[1])
			if k > 0 {
				a[n1-k] = conj(c[0]) - mulI(conj(c[1]))
			}
		}
		qa, qb := ws.q[r][:n1], ws.q[r+1][:n1]
		for i, z := range s.row.transform(a, ws.b[:n1]) {
			qa[i], qb[i] = real(z), -imag(z)
		}
		if s.n[1] == 1 {
			return
		}
	}
}

// forwardRows transforms a block of rows f of the workspace along y₁ and stores the modes that are kept.
func (s *spectral) forwardRows(w, j int) {
	ws, n1, k1 := &s.work[w], s.n[0], s.k[0]
	var out [rowBlock][]complex128
	rows := min(rowBlock, s.n[1])
	buf := ws.b[:n1]
	for r := range rows {
		out[r] = s.row.transform(ws.f[r], buf)
		if &out[r][0] == &buf[0] { // keep the result with its row
			copy(ws.f[r], buf)
			out[r] = ws.f[r]
		}
	}
	for k := -k1; k <= k1; k++ {
		i, c := k, k
		if k < 0 {
			i, c = n1+k, k1-k
		}
		dst := s.cols[c*s.stride+j : c*s.stride+j+rowBlock]
		for r := range rows {
			dst[r] = out[r][i]
		}
	}
}

// forwardColumns completes the forward transform along y₂ and calls f(worker, k₁, plus, minus) for each k₁ ≥ 0, with the
// transforms of columns k₁ and −k₁: mode k₂ ≥ 0 is element k₂, mode −k₂ element n[1]−k₂. Neither is normalised.
func (s *spectral) forwardColumns(f func(w, k1 int, plus, minus []complex128)) {
	n2 := s.n[1]
	s.pool.run(s.k[0]+1, max(1, 1024/n2), func(w, lo, hi int) {
		buf := s.work[w].b[:n2]
		for k := lo; k < hi; k++ {
			plus := s.cols[k*s.stride:][:n2]
			plus, spare := s.transformed(plus, buf)
			minus := plus
			if k > 0 {
				minus, _ = s.transformed(s.cols[(s.k[0]+k)*s.stride:][:n2], spare)
			}
			f(w, k, plus, minus)
		}
	})
}

// transformed returns the transform of x along y₂ and the buffer that it is not in.
func (s *spectral) transformed(x, buf []complex128) (result, spare []complex128) {
	r := s.col.transform(x, buf)
	if &r[0] == &x[0] {
		return r, buf
	}
	return r, x
}

// values writes the function of spectrum q to dst, row-major, y₁ fastest.
func (s *spectral) values(dst []float64, q []complex128) {
	s.inverseColumns(q)
	s.forRows(func(w, j int) {
		s.inverseRows(w, j)
		for r := range min(rowBlock, s.n[1]) {
			copy(dst[(j+r)*s.n[0]:(j+r+1)*s.n[0]], s.work[w].q[r])
		}
	})
}

// spectrum writes the spectrum of the values v to q.
func (s *spectral) spectrum(q []complex128, v []float64) {
	s.forRows(func(w, j int) {
		for r := range min(rowBlock, s.n[1]) {
			for i, x := range v[(j+r)*s.n[0] : (j+r+1)*s.n[0]] {
				s.work[w].f[r][i] = complex(x, 0)
			}
		}
		s.forwardRows(w, j)
	})
	norm := complex(1/float64(s.points()), 0)
	width, k2 := s.column(), s.k[1]
	s.forwardColumns(func(_, k int, plus, _ []complex128) {
		out := q[k*width : (k+1)*width]
		for j := range out {
			out[j] = norm * plus[(j-k2+s.n[1])%s.n[1]]
		}
	})
}

// drift is b on a grid: b_i = c_i z_i + e_i y_i, with z = z₁ + i z₂ the values of σs.
type drift struct {
	z    []complex128
	c, e [2]float64
}

// advect computes the spectrum of −∇·(b q) and passes it, column by column, to f. Real and imaginary part of one transform
// carry the two fluxes. f may overwrite rate; it is called on several goroutines.
func (s *spectral) advect(q []complex128, b *drift, f func(k1 int, rate []complex128)) {
	s.inverseColumns(q)
	n1, n2 := s.n[0], s.n[1]
	s.forRows(func(w, j int) {
		s.inverseRows(w, j)
		ws := &s.work[w]
		for r := range min(rowBlock, n2) {
			z, y, f, q := b.z[(j+r)*n1:(j+r+1)*n1], s.y[0][:n1], ws.f[r][:n1], ws.q[r][:n1]
			e2 := b.e[1] * s.y[1][j+r]
			for i, v := range z {
				f[i] = complex(q[i]*(b.c[0]*real(v)+b.e[0]*y[i]), q[i]*(b.c[1]*imag(v)+e2))
			}
		}
		s.forwardRows(w, j)
	})
	// F₁ = (P + M)/2 and F₂ = (P − M)/2i with P = F̂(k), M = F̂(−k)*; the rate is −iπ (k₁ F₁ + k₂ F₂).
	norm := math.Pi / 2 / float64(s.points())
	k2 := s.k[1]
	s.forwardColumns(func(w, k int, plus, minus []complex128) {
		rate := s.work[w].rate
		g := norm * float64(k)
		for j := -k2; j <= k2; j++ {
			ip, im := j, -j
			if j < 0 {
				ip += n2
			} else if j > 0 {
				im += n2
			}
			p, m := plus[ip], conj(minus[im])
			sum, diff := p+m, p-m
			e := norm * float64(j)
			rate[j+k2] = complex(g*imag(sum)-e*real(diff), -g*real(sum)-e*imag(diff))
		}
		f(k, rate)
	})
}

func conj(z complex128) complex128 { return complex(real(z), -imag(z)) }
