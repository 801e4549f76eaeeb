//go:build !noasm

package simd

// avx512 uses AVX-512 F, DQ, BW and VL: blocks of up to 12 rows by two panels of one vector each.
var avx512 = &Impl{
	Name:      "avx512",
	Product32: avx512F32.product,
	Product64: avx512F64.product,
	Act32:     actAVX512,
	Head32:    headAVX2,
	Update:    updateAVX512,
	Normals4:  normalsAVX512,
	Adam:      adamAVX512,
	Jet32:     avx512F32.jets,
	Jet64:     avx512F64.jets,
	Peak32:    func(n int) int { peak(avx512Peak32, n); return n * 12 * 2 * 16 },
	Peak64:    func(n int) int { peak(avx512Peak64, n); return n * 12 * 2 * 8 },
}

var avx512F32 = &rung[float32]{
	one: []productFn[float32]{nil, avx512Product32_1x1, avx512Product32_2x1, avx512Product32_3x1, avx512Product32_4x1, avx512Product32_5x1, avx512Product32_6x1, avx512Product32_7x1, avx512Product32_8x1, avx512Product32_9x1, avx512Product32_10x1, avx512Product32_11x1, avx512Product32_12x1},
	two: []productFn[float32]{nil, avx512Product32_1x2, avx512Product32_2x2, avx512Product32_3x2, avx512Product32_4x2, avx512Product32_5x2, avx512Product32_6x2, avx512Product32_7x2, avx512Product32_8x2, avx512Product32_9x2, avx512Product32_10x2, avx512Product32_11x2, avx512Product32_12x2},
	carry: carrier[float32]{panels: 2, steps: 4,
		silu: []carryFn[float32]{8: avx512Silu32Carry_8x2, 9: avx512Silu32Carry_9x2, 10: avx512Silu32Carry_10x2, 11: avx512Silu32Carry_11x2, 12: avx512Silu32Carry_12x2},
		grad: []carryFn[float32]{8: avx512Silu32GradCarry_8x2, 9: avx512Silu32GradCarry_9x2, 10: avx512Silu32GradCarry_10x2, 11: avx512Silu32GradCarry_11x2, 12: avx512Silu32GradCarry_12x2}},
	act:     [4]actFn[float32]{SiLU: avx512Silu32, GELU: avx512Gelu32, Tanh: avx512Tanh32},
	grad:    [4]gradFn[float32]{SiLU: avx512Silu32Grad, GELU: avx512Gelu32Grad, Tanh: avx512Tanh32Grad},
	tangent: [4]tangentFn[float32]{SiLU: avx512Silu32Tangent, GELU: avx512Gelu32Tangent, Tanh: avx512Tanh32Tangent},
	lanes:   16,
	jet: [4][6]jetFn[float32]{
		1: {1: avx512Silu32Jet_1_1, 2: avx512Silu32Jet_1_2, 3: avx512Silu32Jet_1_3, 4: avx512Silu32Jet_1_4, 5: avx512Silu32Jet_1_5},
		2: {1: avx512Silu32Jet_2_1, 2: avx512Silu32Jet_2_2, 3: avx512Silu32Jet_2_3, 4: avx512Silu32Jet_2_4, 5: avx512Silu32Jet_2_5},
		3: {1: avx512Silu32Jet_3_1, 2: avx512Silu32Jet_3_2, 3: avx512Silu32Jet_3_3, 4: avx512Silu32Jet_3_4},
	},
}

var avx512F64 = &rung[float64]{
	one:     []productFn[float64]{nil, avx512Product64_1x1, avx512Product64_2x1, avx512Product64_3x1, avx512Product64_4x1, avx512Product64_5x1, avx512Product64_6x1, avx512Product64_7x1, avx512Product64_8x1, avx512Product64_9x1, avx512Product64_10x1, avx512Product64_11x1, avx512Product64_12x1},
	two:     []productFn[float64]{nil, avx512Product64_1x2, avx512Product64_2x2, avx512Product64_3x2, avx512Product64_4x2, avx512Product64_5x2, avx512Product64_6x2, avx512Product64_7x2, avx512Product64_8x2, avx512Product64_9x2, avx512Product64_10x2, avx512Product64_11x2, avx512Product64_12x2},
	act:     [4]actFn[float64]{SiLU: avx512Silu64},
	grad:    [4]gradFn[float64]{SiLU: avx512Silu64Grad},
	tangent: [4]tangentFn[float64]{SiLU: avx512Silu64Tangent},
	lanes:   8,
	jet: [4][6]jetFn[float64]{
		1: {1: avx512Silu64Jet_1_1, 2: avx512Silu64Jet_1_2, 3: avx512Silu64Jet_1_3, 4: avx512Silu64Jet_1_4, 5: avx512Silu64Jet_1_5},
		2: {1: avx512Silu64Jet_2_1, 2: avx512Silu64Jet_2_2, 3: avx512Silu64Jet_2_3, 4: avx512Silu64Jet_2_4, 5: avx512Silu64Jet_2_5},
		3: {1: avx512Silu64Jet_3_1, 2: avx512Silu64Jet_3_2, 3: avx512Silu64Jet_3_3, 4: avx512Silu64Jet_3_4},
	},
}

// avx512Act applies f to n rows of 16 elements.
func avx512Act(f Act, y, d, x *float32, n int) {
	switch {
	case f == SiLU && d == nil:
		avx512Silu32(y, 64, x, 64, n)
	case f == SiLU:
		avx512Silu32Grad(y, 64, d, 64, x, 64, n)
	case f == GELU && d == nil:
		avx512Gelu32(y, 64, x, 64, n)
	case f == GELU:
		avx512Gelu32Grad(y, 64, d, 64, x, 64, n)
	case f == Tanh && d == nil:
		avx512Tanh32(y, 64, x, 64, n)
	case f == Tanh:
		avx512Tanh32Grad(y, 64, d, 64, x, 64, n)
	}
}

// actAVX512 puts what is left after whole rows through a padded row.
func actAVX512(f Act, y, d, x []float32) {
	checkAct(f, y, d, x)
	if f == Identity {
		actGeneric(f, y, d, x)
		return
	}
	full := len(x) &^ 15
	for i := 0; i < full; i += maxElems {
		avx512Act(f, at(y, i), at(d, i), at(x, i), min(maxElems, full-i)/16)
	}
	if full == len(x) {
		return
	}
	var ty, td [16]float32
	copy(ty[:], x[full:])
	if d == nil {
		avx512Act(f, &ty[0], nil, &ty[0], 1)
	} else {
		avx512Act(f, &ty[0], &td[0], &ty[0], 1)
		copy(d[full:len(x)], td[:])
	}
	copy(y[full:len(x)], ty[:])
}

func updateAVX512(x, s, m, z []float32, c *[8]float32) {
	checkUpdate(x, s, m, z)
	const V = 16
	full := len(x) &^ (V - 1)
	for i := 0; i < full; i += maxElems {
		avx512Update(at(x, i), at(s, i), at(m, i), at(z, i), min(maxElems, full-i)/V, c)
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
	avx512Update(&t[0][0], &t[1][0], tm, tz, 1, c)
	copy(x[full:], t[0][:])
	if m != nil {
		copy(m[full:len(x)], t[2][:])
	}
}

func normalsAVX512(z []float32, stride int, seed uint64, stream, block uint32, sample uint64, n int) {
	checkNormals(z, stride, n)
	const V = 16
	var t [4 * V]float32
	for i := 0; i < n; {
		id := sample + uint64(i)
		k := int(min(uint64(n-i), 1<<32-id&(1<<32-1), maxNormals)) // up to where the low word of the id overflows
		if full := k &^ (V - 1); full > 0 {
			avx512Normals4(at(z, i*stride), 4*stride, uint32(seed), uint32(seed>>32), block, stream, uint32(id), uint32(id>>32), full/V)
			i += full
			continue
		}
		avx512Normals4(&t[0], 16, uint32(seed), uint32(seed>>32), block, stream, uint32(id), uint32(id>>32), 1)
		for j := range k {
			copy(z[(i+j)*stride:][:4], t[4*j:])
		}
		i += k
	}
}

func adamAVX512(p, m, v, g, ema []float32, s *AdamStep) {
	checkAdam(p, m, v, g, ema)
	const V = 16
	k := s.constants()
	full := len(p) &^ (V - 1)
	for i := 0; i < full; i += maxElems {
		avx512Adam(at(p, i), at(m, i), at(v, i), at(g, i), at(ema, i), min(maxElems, full-i)/V, &k)
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
	avx512Adam(&t[0][0], &t[1][0], &t[2][0], &t[3][0], te, 1, &k)
	copy(p[full:], t[0][:])
	copy(m[full:n], t[1][:])
	copy(v[full:n], t[2][:])
	if ema != nil {
		copy(ema[full:n], t[4][:])
	}
}
