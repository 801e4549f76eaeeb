package sequence

import "math"

// pass holds what a forward and a backward pass over some sequences of one length share. Rows are sequence by sequence, time
// by time.
type pass struct {
	multiplier
	m       *Model
	clamped bool // growth is taken for none

	n       int // sequences
	t       int // symbols of each
	symbols []int32

	modes      []mode
	z          []float32 // rows×2N
	y          []float32 // rows×d
	norm       []float32 // rows×d: the LayerNorm before gain and shift
	scale      []float32 // rows: 1/standard deviation
	a          []float32 // rows×d, the decoder's input
	act, slope []float32 // rows×4d: the hidden units and their derivatives
	logits     []float32 // rows×V
	dh, dy     []float32 // derivatives
	dz         []float32
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
	p.product(p.y, matrix{p.z, rows, 2 * k, false}, matrix{m.c, 2 * k, d, false}, true)
	in, width := p.y, d
	if m.MLP {
		p.normalise(rows)
		p.slope, p.act = grown(p.slope, rows*4*d), grown(p.act, rows*4*d)
		for r := range rows {
			copy(p.act[r*4*d:], m.b1)
		}
		p.activated(p.act, p.slope, matrix{p.a, rows, d, false}, matrix{m.w1, d, 4 * d, false})
		in, width = p.act, 4*d
	}
	p.logits = grown(p.logits, rows*v)
	for r := range rows {
		copy(p.logits[r*v:], m.b2)
	}
	p.product(p.logits, matrix{in, rows, width, false}, matrix{m.w2, width, v, false}, true)
}

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
	p.product(g.w2, matrix{in, rows, width, true}, matrix{p.logits, rows, v, false}, true)
	sumRows(g.b2, p.logits)
	p.dy = grown(p.dy, rows*d)
	dy := p.dy
	if !m.MLP {
		p.product(dy, matrix{p.logits, rows, v, false}, matrix{m.w2, d, v, true}, false)
	} else {
		p.dh = grown(p.dh, rows*4*d)
		dh := p.dh
		p.product(dh, matrix{p.logits, rows, v, false}, matrix{m.w2, 4 * d, v, true}, false)
		for i, x := range p.slope {
			dh[i] *= x
		}
		p.product(g.w1, matrix{p.a, rows, d, true}, matrix{dh, rows, 4 * d, false}, true)
		sumRows(g.b1, dh)
		p.product(dy, matrix{dh, rows, 4 * d, false}, matrix{m.w1, d, 4 * d, true}, false)
		p.normaliseBack(g, dy)
	}
	for r, s := range p.symbols[:rows] {
		row := g.d[int(s)*d:][:d]
		for j, x := range dy[r*d : (r+1)*d] {
			row[j] += x
		}
	}
	p.product(g.c, matrix{p.z, rows, 2 * k, true}, matrix{dy, rows, d, false}, true)
	p.dz = grown(p.dz, rows*2*k)
	dz := p.dz
	p.product(dz, matrix{dy, rows, d, false}, matrix{m.c, 2 * k, d, true}, false)
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
