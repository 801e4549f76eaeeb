//go:build !noasm

package simd

// avx2 uses AVX2 and FMA: blocks of up to 6 rows by one panel of two vectors.
var avx2 = &Impl{
	Name:      "avx2",
	Product32: avx2F32.product,
	Product64: avx2F64.product,
	Act32:     actAVX2,
	Head32:    headAVX2,
	Update:    updateAVX2,
	Normals4:  normalsAVX2,
	Adam:      adamAVX2,
	Jet32:     avx2F32.jets,
	Jet64:     avx2F64.jets,
	Peak32:    func(n int) int { peak(avx2Peak32, n); return n * 12 * 2 * 8 },
	Peak64:    func(n int) int { peak(avx2Peak64, n); return n * 12 * 2 * 4 },
}

var avx2F32 = &rung[float32]{
	one: []productFn[float32]{nil, avx2Product32_1x1, avx2Product32_2x1, avx2Product32_3x1,
		avx2Product32_4x1, avx2Product32_5x1, avx2Product32_6x1},
	carry: carrier[float32]{panels: 1, steps: 12,
		silu: []carryFn[float32]{4: avx2Silu32Carry_4x1, 5: avx2Silu32Carry_5x1},
		grad: []carryFn[float32]{4: avx2Silu32GradCarry_4x1, 5: avx2Silu32GradCarry_5x1}},
	act:     [4]actFn[float32]{SiLU: avx2Silu32, GELU: avx2Gelu32, Tanh: avx2Tanh32},
	grad:    [4]gradFn[float32]{SiLU: avx2Silu32Grad, GELU: avx2Gelu32Grad, Tanh: avx2Tanh32Grad},
	tangent: [4]tangentFn[float32]{SiLU: avx2Silu32Tangent, GELU: avx2Gelu32Tangent, Tanh: avx2Tanh32Tangent},
	lanes:   8,
	jet: [4][6]jetFn[float32]{
		1: {1: avx2Silu32Jet_1_1, 2: avx2Silu32Jet_1_2, 3: avx2Silu32Jet_1_3, 4: avx2Silu32Jet_1_4, 5: avx2Silu32Jet_1_5},
		2: {1: avx2Silu32Jet_2_1, 2: avx2Silu32Jet_2_2, 3: avx2Silu32Jet_2_3, 4: avx2Silu32Jet_2_4, 5: avx2Silu32Jet_2_5},
		3: {1: avx2Silu32Jet_3_1, 2: avx2Silu32Jet_3_2, 3: avx2Silu32Jet_3_3, 4: avx2Silu32Jet_3_4},
	},
}

var avx2F64 = &rung[float64]{
	one: []productFn[float64]{nil, avx2Product64_1x1, avx2Product64_2x1, avx2Product64_3x1,
		avx2Product64_4x1, avx2Product64_5x1, avx2Product64_6x1},
	act:     [4]actFn[float64]{SiLU: avx2Silu64},
	grad:    [4]gradFn[float64]{SiLU: avx2Silu64Grad},
	tangent: [4]tangentFn[float64]{SiLU: avx2Silu64Tangent},
	lanes:   4,
	jet: [4][6]jetFn[float64]{
		1: {1: avx2Silu64Jet_1_1, 2: avx2Silu64Jet_1_2, 3: avx2Silu64Jet_1_3, 4: avx2Silu64Jet_1_4, 5: avx2Silu64Jet_1_5},
		2: {1: avx2Silu64Jet_2_1, 2: avx2Silu64Jet_2_2, 3: avx2Silu64Jet_2_3, 4: avx2Silu64Jet_2_4, 5: avx2Silu64Jet_2_5},
		3: {1: avx2Silu64Jet_3_1, 2: avx2Silu64Jet_3_2, 3: avx2Silu64Jet_3_3, 4: avx2Silu64Jet_3_4},
	},
}

// avx2Act applies f to n rows of 16 elements.
func avx2Act(f Act, y, d, x *float32, n int) {
	switch {
	case f == SiLU && d == nil:
		avx2Silu32(y, 64, x, 64, n)
	case f == SiLU:
		avx2Silu32Grad(y, 64, d, 64, x, 64, n)
	case f == GELU && d == nil:
		avx2Gelu32(y, 64, x, 64, n)
	case f == GELU:
		avx2Gelu32Grad(y, 64, d, 64, x, 64, n)
	case f == Tanh && d == nil:
		avx2Tanh32(y, 64, x, 64, n)
	case f == Tanh:
		avx2Tanh32Grad(y, 64, d, 64, x, 64, n)
	}
}

// actAVX2 puts what is left after whole rows through a padded row.
func actAVX2(f Act, y, d, x []float32) {
	checkAct(f, y, d, x)
	if f == Identity {
		actGeneric(f, y, d, x)
		return
	}
	full := len(x) &^ 15
	for i := 0; i < full; i += maxElems {
		avx2Act(f, at(y, i), at(d, i), at(x, i), min(maxElems, full-i)/16)
	}
	if full == len(x) {
		return
	}
	var ty, td [16]float32
	copy(ty[:], x[full:])
	if d == nil {
		avx2Act(f, &ty[0], nil, &ty[0], 1)
	} else {
		avx2Act(f, &ty[0], &td[0], &ty[0], 1)
		copy(d[full:len(x)], td[:])
	}
	copy(y[full:len(x)], ty[:])
}

// headAVX2 cuts the rows in fours and the outputs in pairs; a sum does not depend on the cut.
func headAVX2(out, h []float32, ld int, wt, bias []float32, m, w, outs int) {
	checkHead(out, h, ld, wt, bias, m, w, outs)
	if w == 0 {
		headGeneric(out, h, ld, wt, bias, m, w, outs)
		return
	}
	step := max(4, maxSteps/(w/8)&^3)
	for i := 0; i < m; i += step {
		n := min(step, m-i)
		four, one := n/4, n%4
		for o := 0; o < outs; {
			wo, bo := at(wt, o*w), at(bias, o)
			if o+1 < outs {
				if four > 0 {
					avx2Head_4x2(at(out, i*outs+o), 4*outs, at(h, i*ld), 4*ld, wo, 4*w, w/8, bo, four)
				}
				if one > 0 {
					avx2Head_1x2(at(out, (i+4*four)*outs+o), 4*outs, at(h, (i+4*four)*ld), 4*ld, wo, 4*w, w/8, bo, one)
				}
				o += 2
				continue
			}
			if four > 0 {
				avx2Head_4x1(at(out, i*outs+o), 4*outs, at(h, i*ld), 4*ld, wo, 4*w, w/8, bo, four)
			}
			if one > 0 {
				avx2Head_1x1(at(out, (i+4*four)*outs+o), 4*outs, at(h, (i+4*four)*ld), 4*ld, wo, 4*w, w/8, bo, one)
			}
			o++
		}
	}
}

func updateAVX2(x, s, m, z []float32, c *[8]float32) {
	checkUpdate(x, s, m, z)
	const V = 8
	full := len(x) &^ (V - 1)
	for i := 0; i < full; i += maxElems {
		avx2Update(at(x, i), at(s, i), at(m, i), at(z, i), min(maxElems, full-i)/V, c)
	}
	if full == len(x) {
		return
	}
	var t [4][V]float32
	copy(t[0][:], x[full:])
	copy(t[1][:], s[full:len(x)])
	var tm, tz *float32
	if m != nil {
		copy(t[2][:], m[full:len(x)])
		tm = &t[2][0]
	}
	if z != nil {
		copy(t[3][:], z[full:len(x)])
		tz = &t[3][0]
	}
	avx2Update(&t[0][0], &t[1][0], tm, tz, 1, c)
	copy(x[full:], t[0][:])
	if m != nil {
		copy(m[full:len(x)], t[2][:])
	}
}

func normalsAVX2(z []float32, stride int, seed uint64, stream, block uint32, sample uint64, n int) {
	checkNormals(z, stride, n)
	const V = 8
	var t [4 * V]float32
	for i := 0; i < n; {
		id := sample + uint64(i)
		k := int(min(uint64(n-i), 1<<32-id&(1<<32-1), maxNormals)) // up to where the low word of the id overflows
		if full := k &^ (V - 1); full > 0 {
			avx2Normals4(at(z, i*stride), 4*stride, uint32(seed), uint32(seed>>32), block, stream, uint32(id), uint32(id>>32), full/V)
			i += full
			continue
		}
		avx2Normals4(&t[0], 16, uint32(seed), uint32(seed>>32), block, stream, uint32(id), uint32(id>>32), 1)
		for j := range k {
			copy(z[(i+j)*stride:][:4], t[4*j:])
		}
		i += k
	}
}

func adamAVX2(p, m, v, g, ema []float32, s *AdamStep) {
	checkAdam(p, m, v, g, ema)
	const V = 8
	k := s.constants()
	full := len(p) &^ (V - 1)
	for i := 0; i < full; i += maxElems {
		avx2Adam(at(p, i), at(m, i), at(v, i), at(g, i), at(ema, i), min(maxElems, full-i)/V, &k)
	}
	if full == len(p) {
		return
	}
	n := len(p)
	var t [5][V]float32
	copy(t[0][:], p[full:])
	copy(t[1][:], m[full:n])
	copy(t[2][:], v[full:n])
	copy(t[3][:], g[full:n])
	var te *float32
	if ema != nil {
		copy(t[4][:], ema[full:n])
		te = &t[4][0]
	}
	avx2Adam(&t[0][0], &t[1][0], &t[2][0], &t[3][0], te, 1, &k)
	copy(p[full:], t[0][:])
	copy(m[full:n], t[1][:])
	copy(v[full:n], t[2][:])
	if ema != nil {
		copy(ema[full:n], t[4][:])
	}
}
