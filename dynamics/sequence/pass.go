package sequence

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// pass holds what a forward and a backward pass over some sequences of one length share. Rows are sequence by sequence, time
// by time.
type pass struct {
	m       *Model
	clamped bool // growth is taken for none

	n       int // sequences
	t       int // symbols of each
	symbols []int32
	targets []int32 // −1: not scored

	modes  []mode
	z      []float32 // rows×2N
	y      []float32 // rows×d
	norm   []float32 // rows×d: the LayerNorm before gain and shift
	scale  []float32 // rows: 1/standard deviation
	a      []float32 // rows×d, the decoder's input
	h, act []float32 // rows×4d
	logits []float32 // rows×V
}

func gemm(ta, tb blas.Transpose, alpha float32, a []float32, ar, ac int, b []float32, br, bc int, beta float32, c []float32, cr, cc int) {
	blas32.Gemm(ta, tb, alpha, blas32.General{Rows: ar, Cols: ac, Stride: ac, Data: a}, blas32.General{Rows: br, Cols: bc, Stride: bc, Data: b},
		beta, blas32.General{Rows: cr, Cols: cc, Stride: cc, Data: c})
}

// grown is a slice of n numbers, which may hold anything.
func grown(x []float32, n int) []float32 {
	if cap(x) < n {
		return make([]float32, n)
	}
	return x[:n]
}

// forward computes the logits of n sequences of t symbols.
func (p *pass) forward(symbols []int32, n, t int) {
	m := p.m
	p.n, p.t, p.symbols = n, t, symbols
	rows, k, d, v := n*t, m.Modes, m.Width, m.Symbols
	p.modes = m.modes(p.clamped)
	p.z = grown(p.z, rows*2*k)
	for s := range n {
		var before []float32
		for i := range t {
			row := p.z[(s*t+i)*2*k : (s*t+i+1)*2*k]
			b := m.b[int(symbols[s*t+i])*2*k:][:2*k]
			for j := range k {
				l := &p.modes[j]
				re, im := l.g*b[j], l.g*b[k+j]
				if before != nil {
					re += l.re*before[j] - l.im*before[k+j]
					im += l.im*before[j] + l.re*before[k+j]
				}
				row[j], row[k+j] = re, im
			}
			before = row
		}
	}
	p.y = grown(p.y, rows*d)
	for r, s := range symbols[:rows] {
		copy(p.y[r*d:(r+1)*d], m.d[int(s)*d:])
	}
	gemm(blas.NoTrans, blas.NoTrans, 1, p.z, rows, 2*k, m.c, 2*k, d, 1, p.y, rows, d)
	in, width := p.y, d
	if m.MLP {
		p.normalise(rows)
		p.h, p.act = grown(p.h, rows*4*d), grown(p.act, rows*4*d)
		for r := range rows {
			copy(p.h[r*4*d:], m.b1)
		}
		gemm(blas.NoTrans, blas.NoTrans, 1, p.a, rows, d, m.w1, d, 4*d, 1, p.h, rows, 4*d)
		for i, x := range p.h {
			p.act[i] = x * sigmoid(x)
		}
		in, width = p.act, 4*d
	}
	p.logits = grown(p.logits, rows*v)
	for r := range rows {
		copy(p.logits[r*v:], m.b2)
	}
	gemm(blas.NoTrans, blas.NoTrans, 1, in, rows, width, m.w2, width, v, 1, p.logits, rows, v)
}

func sigmoid(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }

// normalise is LayerNorm.
func (p *pass) normalise(rows int) {
	d := p.m.Width
	p.norm, p.a, p.scale = grown(p.norm, rows*d), grown(p.a, rows*d), grown(p.scale, rows)
	for r := range rows {
		y := p.y[r*d : (r+1)*d]
		mean, square := float32(0), float32(0)
		for _, x := range y {
			mean += x
		}
		mean /= float32(d)
		for _, x := range y {
			square += (x - mean) * (x - mean)
		}
		s := float32(1 / math.Sqrt(float64(square)/float64(d)+1e-5))
		p.scale[r] = s
		for j, x := range y {
			n := (x - mean) * s
			p.norm[r*d+j] = n
			p.a[r*d+j] = n*p.m.gain[j] + p.m.shift[j]
		}
	}
}

// loss is the sum of −log p of the targets in nats and their number; it turns logits into weight × (softmax − target), the
// derivatives of weight × loss.
func (p *pass) loss(targets []int32, weight float32) (sum float64, count int) {
	v := p.m.Symbols
	for r := range p.n * p.t {
		row := p.logits[r*v : (r+1)*v]
		if targets[r] < 0 {
			clear(row)
			continue
		}
		top := row[0]
		for _, x := range row {
			top = max(top, x)
		}
		total := 0.0
		target := float64(row[targets[r]] - top)
		for j, x := range row {
			e := math.Exp(float64(x - top))
			total += e
			row[j] = float32(e)
		}
		sum += math.Log(total) - target
		count++
		f := weight / float32(total)
		for j := range row {
			row[j] *= f
		}
		row[targets[r]] -= weight
	}
	return sum, count
}

// backward adds the derivatives by the parameters to g, after loss.
func (p *pass) backward(g *Model) {
	m := p.m
	rows, k, d, v := p.n*p.t, m.Modes, m.Width, m.Symbols
	in, width := p.y, d
	if m.MLP {
		in, width = p.act, 4*d
	}
	gemm(blas.Trans, blas.NoTrans, 1, in, rows, width, p.logits, rows, v, 1, g.w2, width, v)
	sumRows(g.b2, p.logits)
	dy := make([]float32, rows*d)
	if !m.MLP {
		gemm(blas.NoTrans, blas.Trans, 1, p.logits, rows, v, m.w2, d, v, 0, dy, rows, d)
	} else {
		dh := make([]float32, rows*4*d)
		gemm(blas.NoTrans, blas.Trans, 1, p.logits, rows, v, m.w2, 4*d, v, 0, dh, rows, 4*d)
		for i, x := range p.h {
			s := sigmoid(x)
			dh[i] *= s * (1 + x*(1-s))
		}
		gemm(blas.Trans, blas.NoTrans, 1, p.a, rows, d, dh, rows, 4*d, 1, g.w1, d, 4*d)
		sumRows(g.b1, dh)
		gemm(blas.NoTrans, blas.Trans, 1, dh, rows, 4*d, m.w1, d, 4*d, 0, dy, rows, d)
		p.normaliseBack(g, dy)
	}
	for r, s := range p.symbols[:rows] {
		row := g.d[int(s)*d:][:d]
		for j, x := range dy[r*d : (r+1)*d] {
			row[j] += x
		}
	}
	gemm(blas.Trans, blas.NoTrans, 1, p.z, rows, 2*k, dy, rows, d, 1, g.c, 2*k, d)
	dz := make([]float32, rows*2*k)
	gemm(blas.NoTrans, blas.Trans, 1, dy, rows, d, m.c, 2*k, d, 0, dz, rows, 2*k)
	p.scanBack(g, dz)
}

// normaliseBack replaces derivatives by the LayerNorm's output with those by its input.
func (p *pass) normaliseBack(g *Model, dy []float32) {
	d := p.m.Width
	for r := range p.n * p.t {
		row, norm := dy[r*d:(r+1)*d], p.norm[r*d:(r+1)*d]
		mean, along := float32(0), float32(0)
		for j, x := range row {
			g.gain[j] += x * norm[j]
			g.shift[j] += x
			row[j] = x * p.m.gain[j]
			mean += row[j]
			along += row[j] * norm[j]
		}
		mean, along = mean/float32(d), along/float32(d)
		for j := range row {
			row[j] = p.scale[r] * (row[j] - mean - norm[j]*along)
		}
	}
}

// scanBack goes back through the recurrence.
func (p *pass) scanBack(g *Model, dz []float32) {
	m, k := p.m, p.m.Modes
	dre, dim, dg := make([]float64, k), make([]float64, k), make([]float64, k)
	for s := range p.n {
		for i := p.t - 1; i >= 0; i-- {
			r := s*p.t + i
			by := dz[r*2*k : (r+1)*2*k]
			b, gb := m.b[int(p.symbols[r])*2*k:][:2*k], g.b[int(p.symbols[r])*2*k:][:2*k]
			for j := range k {
				l := &p.modes[j]
				u, w := by[j], by[k+j]
				gb[j] += l.g * u
				gb[k+j] += l.g * w
				dg[j] += float64(u*b[j] + w*b[k+j])
			}
			if i == 0 {
				continue
			}
			before, to := p.z[(r-1)*2*k:r*2*k], dz[(r-1)*2*k:r*2*k]
			for j := range k {
				l := &p.modes[j]
				u, w := by[j], by[k+j]
				dre[j] += float64(u*before[j] + w*before[k+j])
				dim[j] += float64(w*before[j] - u*before[k+j])
				to[j] += l.re*u + l.im*w
				to[k+j] += l.re*w - l.im*u
			}
		}
	}
	for j := range k {
		l := &p.modes[j]
		re, im := float64(l.re), float64(l.im)
		g.theta[j] += float32(re*dim[j] - im*dre[j])
		if m.Kind == Conservative {
			continue
		}
		rho := -(re*dre[j] + im*dim[j]) + dg[j]*float64(l.g)*l.dlogG
		if m.Kind == Dissipative && m.nu[j] < 0 {
			rho = -rho
		}
		g.nu[j] += float32(rho)
	}
}

func sumRows(dst, rows []float32) {
	n := len(dst)
	for r := 0; r < len(rows); r += n {
		for j, x := range rows[r : r+n] {
			dst[j] += x
		}
	}
}
