package simd

import "fmt"

// Winograd holds the transforms of convolutions 3×3 with stride 1 by Winograd's minimal filtering F(2×2, 3×3) (Lavin and
// Gray, 2016, "Fast algorithms for convolutional neural networks"). An output image is cut into tiles of 2×2 pixels, each
// of which depends on 4×4 input pixels d. In the transform domain of 16 components the convolution is a product of
// channels, one for each component:
//
//	V = Bᵀ d B,  U = G g Gᵀ,  M[ξ] = V[ξ] U[ξ] summed over channels,  y = Aᵀ M A
//
//	     | 1  0 −1  0 |      | 1   0   0  |       | 1  1  1  0 |
//	Bᵀ = | 0  1  1  0 |  G = | ½   ½   ½  |  Aᵀ = | 0  1 −1 −1 |
//	     | 0 −1  1  0 |      | ½  −½   ½  |
//	     | 0  1  0 −1 |      | 0   0   1  |
//
// Components are numbered row by row, ξ = 4i + j. Channels come in panels of Panel32. All strides count elements. The
// order of the additions is the one of the code in this file; all implementations give the same bits.
type Winograd struct {
	// WinogradInput transforms 4×4 patches. With d[i] = x[pix[16·t+i]·ld + 16·p + j], or 0 where pix is negative, it
	// writes v[ξ·vs + t·vt + p·vp + j] for tiles t < len(pix)/16, panels p < panels and j < 16.
	WinogradInput func(v []float32, vs, vt, vp int, x []float32, ld int, pix []int32, panels int)

	// WinogradOutput writes y[pix[4·t+i]·ld + 16·p + j] = (Aᵀ M A)[i] + bias[16·p + j] + r[pix[4·t+i]·ldr + 16·p + j]
	// with M[ξ] = m[ξ·ms + t·mt + p·mp + j]. Pixels with a negative pix are dropped. bias and r may be nil, and r may be y.
	WinogradOutput func(y []float32, ld int, pix []int32, m []float32, ms, mt, mp int, bias, r []float32, ldr, panels int)

	// WinogradOutputGrad transforms gradients 2×2, d[i] = dy[pix[4·t+i]·ld + 16·p + j] or 0, to z[ξ·zs + t·zt + p·zp + j]:
	// Z = A d Aᵀ with the last row and the last column of Z negated.
	WinogradOutputGrad func(z []float32, zs, zt, zp int, dy []float32, ld int, pix []int32, panels int)

	// WinogradWeights writes u[ξ·us + r·ur + j] = (G g Gᵀ)[ξ] with g[k] = w[r·wr + k·ws + j], k < 9, for rows r < rows and
	// j < 16; with flip g[8-k] stands for g[k].
	WinogradWeights func(u []float32, us, ur int, w []float32, ws, wr, rows int, flip bool)

	// WinogradWeightsGrad writes dw[k·ds + 16·p + j] = (Gᵀ P G)[k], k < 9, with P[ξ] = s[ξ·ss + 16·p + j], its last row and
	// column negated as WinogradOutputGrad left them, for panels p < panels; it adds to dw if add.
	WinogradWeightsGrad func(dw []float32, ds int, s []float32, ss, panels int, add bool)

	// Transpose16 writes n blocks of 16×16, dst[b·db + j·dj + i] = src[b·sb + i·si + j].
	Transpose16 func(dst []float32, db, dj int, src []float32, sb, si, n int)
}

var genericWinograd = Winograd{
	WinogradInput:       winogradInputGeneric,
	WinogradOutput:      winogradOutputGeneric,
	WinogradOutputGrad:  winogradOutputGradGeneric,
	WinogradWeights:     winogradWeightsGeneric,
	WinogradWeightsGrad: winogradWeightsGradGeneric,
	Transpose16:         transpose16Generic,
}

// span is the elements from the first to the last of count things at a stride, the last of which has tail elements.
func span(tail int, strides ...[2]int) int {
	for _, s := range strides {
		if s[0] < 0 || s[1] <= 0 {
			if s[1] <= 0 {
				return 0
			}
			panic(fmt.Sprintf("simd: Winograd: negative stride %d", s[0]))
		}
		tail += s[0] * (s[1] - 1)
	}
	return tail
}

// pixels checks that x holds all pixels of a table.
func pixels(name string, have, ld int, pix []int32, panels int) {
	most := int32(-1)
	for _, p := range pix {
		most = max(most, p)
	}
	if ld < 0 {
		panic(fmt.Sprintf("simd: %s: negative stride %d", name, ld))
	}
	if most >= 0 && panels > 0 {
		need(name, "pixels", have, int(most)*ld+panels*Panel32)
	}
}

func checkWinogradInput(v []float32, vs, vt, vp int, x []float32, ld int, pix []int32, panels int) {
	need("WinogradInput", "v", len(v), span(Panel32, [2]int{vs, 16}, [2]int{vt, len(pix) / 16}, [2]int{vp, panels}))
	pixels("WinogradInput", len(x), ld, pix[:len(pix)/16*16], panels)
}

func winogradInputGeneric(v []float32, vs, vt, vp int, x []float32, ld int, pix []int32, panels int) {
	checkWinogradInput(v, vs, vt, vp, x, ld, pix, panels)
	for t := range len(pix) / 16 {
		for p := range panels {
			for j := range Panel32 {
				var d, h [16]float32
				for i, q := range pix[16*t:][:16] {
					if q >= 0 {
						d[i] = x[int(q)*ld+p*Panel32+j]
					}
				}
				for c := range 4 {
					h[c], h[4+c], h[8+c], h[12+c] = d[c]-d[8+c], d[4+c]+d[8+c], d[8+c]-d[4+c], d[4+c]-d[12+c]
				}
				o := v[t*vt+p*vp+j:]
				for r := range 4 {
					h := h[4*r:][:4]
					o[(4*r)*vs], o[(4*r+1)*vs], o[(4*r+2)*vs], o[(4*r+3)*vs] = h[0]-h[2], h[1]+h[2], h[2]-h[1], h[1]-h[3]
				}
			}
		}
	}
}

func checkWinogradOutput(y []float32, ld int, pix []int32, m []float32, ms, mt, mp int, bias, r []float32, ldr, panels int) {
	need("WinogradOutput", "m", len(m), span(Panel32, [2]int{ms, 16}, [2]int{mt, len(pix) / 4}, [2]int{mp, panels}))
	pixels("WinogradOutput", len(y), ld, pix[:len(pix)/4*4], panels)
	if bias != nil {
		need("WinogradOutput", "bias", len(bias), panels*Panel32)
	}
	if r != nil {
		pixels("WinogradOutput", len(r), ldr, pix[:len(pix)/4*4], panels)
	}
}

func winogradOutputGeneric(y []float32, ld int, pix []int32, m []float32, ms, mt, mp int, bias, r []float32, ldr, panels int) {
	checkWinogradOutput(y, ld, pix, m, ms, mt, mp, bias, r, ldr, panels)
	for t := range len(pix) / 4 {
		for p := range panels {
			for j := range Panel32 {
				m := m[t*mt+p*mp+j:]
				var s [8]float32
				for c := range 4 {
					s[c] = m[c*ms] + m[(4+c)*ms] + m[(8+c)*ms]
					s[4+c] = m[(4+c)*ms] - m[(8+c)*ms] - m[(12+c)*ms]
				}
				o := [4]float32{s[0] + s[1] + s[2], s[1] - s[2] - s[3], s[4] + s[5] + s[6], s[5] - s[6] - s[7]}
				for i, q := range pix[4*t:][:4] {
					if q < 0 {
						continue
					}
					b := float32(0) // added too, as by the assembly: a sum of −0 becomes 0
					if bias != nil {
						b = bias[p*Panel32+j]
					}
					a := o[i] + b
					if r != nil {
						a += r[int(q)*ldr+p*Panel32+j]
					}
					y[int(q)*ld+p*Panel32+j] = a
				}
			}
		}
	}
}

func checkWinogradOutputGrad(z []float32, zs, zt, zp int, dy []float32, ld int, pix []int32, panels int) {
	need("WinogradOutputGrad", "z", len(z), span(Panel32, [2]int{zs, 16}, [2]int{zt, len(pix) / 4}, [2]int{zp, panels}))
	pixels("WinogradOutputGrad", len(dy), ld, pix[:len(pix)/4*4], panels)
}

func winogradOutputGradGeneric(z []float32, zs, zt, zp int, dy []float32, ld int, pix []int32, panels int) {
	checkWinogradOutputGrad(z, zs, zt, zp, dy, ld, pix, panels)
	for t := range len(pix) / 4 {
		for p := range panels {
			for j := range Panel32 {
				var d [4]float32
				for i, q := range pix[4*t:][:4] {
					if q >= 0 {
						d[i] = dy[int(q)*ld+p*Panel32+j]
					}
				}
				h := [8]float32{d[0], d[1], d[0] + d[2], d[1] + d[3], d[0] - d[2], d[1] - d[3], d[2], d[3]}
				o := z[t*zt+p*zp+j:]
				for r := range 4 {
					a, b := h[2*r], h[2*r+1]
					o[(4*r)*zs], o[(4*r+1)*zs], o[(4*r+2)*zs], o[(4*r+3)*zs] = a, a+b, a-b, b
				}
			}
		}
	}
}

func checkWinogradWeights(u []float32, us, ur int, w []float32, ws, wr, rows int) {
	need("WinogradWeights", "u", len(u), span(Panel32, [2]int{us, 16}, [2]int{ur, rows}))
	need("WinogradWeights", "w", len(w), span(Panel32, [2]int{ws, 9}, [2]int{wr, rows}))
}

// weights3 is G applied to three weights.
func weights3(a, b, c float32) (float32, float32, float32, float32) {
	s, h := 0.5*(a+c), 0.5*b
	return a, s + h, s - h, c
}

func winogradWeightsGeneric(u []float32, us, ur int, w []float32, ws, wr, rows int, flip bool) {
	checkWinogradWeights(u, us, ur, w, ws, wr, rows)
	for r := range rows {
		for j := range Panel32 {
			var g [9]float32
			for k := range g {
				g[k] = w[r*wr+k*ws+j]
				if flip {
					g[k] = w[r*wr+(8-k)*ws+j]
				}
			}
			var h [12]float32
			for c := range 3 {
				h[c], h[3+c], h[6+c], h[9+c] = weights3(g[c], g[3+c], g[6+c])
			}
			o := u[r*ur+j:]
			for i := range 4 {
				o[(4*i)*us], o[(4*i+1)*us], o[(4*i+2)*us], o[(4*i+3)*us] = weights3(h[3*i], h[3*i+1], h[3*i+2])
			}
		}
	}
}

func checkWinogradWeightsGrad(dw []float32, ds int, s []float32, ss, panels int) {
	need("WinogradWeightsGrad", "dw", len(dw), span(Panel32, [2]int{ds, 9}, [2]int{Panel32, panels}))
	need("WinogradWeightsGrad", "s", len(s), span(Panel32, [2]int{ss, 16}, [2]int{Panel32, panels}))
}

// grad3 is Gᵀ applied to four components, the last one negated.
func grad3(a, b, c, d float32) (float32, float32, float32) {
	h, k := 0.5*(b+c), 0.5*(b-c)
	return a + h, k, h - d
}

func winogradWeightsGradGeneric(dw []float32, ds int, s []float32, ss, panels int, add bool) {
	checkWinogradWeightsGrad(dw, ds, s, ss, panels)
	for i := range panels * Panel32 {
		var h [12]float32
		for c := range 4 {
			h[c], h[4+c], h[8+c] = grad3(s[c*ss+i], s[(4+c)*ss+i], s[(8+c)*ss+i], s[(12+c)*ss+i])
		}
		for r := range 3 {
			var g [3]float32
			g[0], g[1], g[2] = grad3(h[4*r], h[4*r+1], h[4*r+2], h[4*r+3])
			for c, v := range g {
				if k := (3*r+c)*ds + i; add {
					dw[k] += v
				} else {
					dw[k] = v
				}
			}
		}
	}
}

func checkTranspose16(dst []float32, db, dj int, src []float32, sb, si, n int) {
	need("Transpose16", "dst", len(dst), span(Panel32, [2]int{dj, 16}, [2]int{db, n}))
	need("Transpose16", "src", len(src), span(Panel32, [2]int{si, 16}, [2]int{sb, n}))
}

func transpose16Generic(dst []float32, db, dj int, src []float32, sb, si, n int) {
	checkTranspose16(dst, db, dj, src, sb, si, n)
	for b := range n {
		for i := range 16 {
			for j := range 16 {
				dst[b*db+j*dj+i] = src[b*sb+i*si+j]
			}
		}
	}
}
