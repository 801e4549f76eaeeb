//go:build !noasm

package simd

// winogradKernels is one instruction set's transforms (kernels/_asm, winograd). Strides in bytes.
type winogradKernels struct {
	input       func(v *float32, vs, vt, vp int, x *float32, ld int, pix *int32, tiles, panels int)
	output      func(y *float32, ld int, pix *int32, m *float32, ms, mt, mp int, bias, r *float32, ldr, tiles, panels int)
	outputGrad  func(z *float32, zs, zt, zp int, dy *float32, ld int, pix *int32, tiles, panels int)
	weights     func(u *float32, us, ur int, w *float32, ws, wr, rows int)
	weightsGrad func(dw *float32, ds int, s *float32, ss, panels, add int)
	transpose   func(dst *float32, db, dj int, src *float32, sb, si, n int)
}

// A call takes a few microseconds.
const (
	maxPatches    = 512 // tiles times panels
	maxZeroPanels = 64  // panels of a pixel outside of the image
)

// patches calls f for ranges of tiles and panels.
func patches(tiles, panels int, f func(t, tiles, p, panels int)) {
	for p := 0; p < panels; p += maxZeroPanels {
		np := min(maxZeroPanels, panels-p)
		step := maxPatches / np
		for t := 0; t < tiles; t += step {
			f(t, min(step, tiles-t), p, np)
		}
	}
}

func (k *winogradKernels) impl() Winograd {
	return Winograd{
		WinogradInput: func(v []float32, vs, vt, vp int, x []float32, ld int, pix []int32, panels int) {
			checkWinogradInput(v, vs, vt, vp, x, ld, pix, panels)
			patches(len(pix)/16, panels, func(t, nt, p, np int) {
				k.input(at(v, t*vt+p*vp), 4*vs, 4*vt, 4*vp, at(x, p*Panel32), 4*ld, &pix[16*t], nt, np)
			})
		},
		WinogradOutput: func(y []float32, ld int, pix []int32, m []float32, ms, mt, mp int, bias, r []float32, ldr, panels int) {
			checkWinogradOutput(y, ld, pix, m, ms, mt, mp, bias, r, ldr, panels)
			patches(len(pix)/4, panels, func(t, nt, p, np int) {
				b := &noBias[0]
				if bias != nil {
					b = at(bias, p*Panel32)
				}
				k.output(at(y, p*Panel32), 4*ld, &pix[4*t], at(m, t*mt+p*mp), 4*ms, 4*mt, 4*mp, b, at(r, p*Panel32), 4*ldr, nt, np)
			})
		},
		WinogradOutputGrad: func(z []float32, zs, zt, zp int, dy []float32, ld int, pix []int32, panels int) {
			checkWinogradOutputGrad(z, zs, zt, zp, dy, ld, pix, panels)
			patches(len(pix)/4, panels, func(t, nt, p, np int) {
				k.outputGrad(at(z, t*zt+p*zp), 4*zs, 4*zt, 4*zp, at(dy, p*Panel32), 4*ld, &pix[4*t], nt, np)
			})
		},
		WinogradWeights: func(u []float32, us, ur int, w []float32, ws, wr, rows int, flip bool) {
			checkWinogradWeights(u, us, ur, w, ws, wr, rows)
			first, step := 0, 4*ws
			if flip {
				first, step = 8*ws, -4*ws
			}
			for r := 0; r < rows; r += maxPatches {
				k.weights(at(u, r*ur), 4*us, 4*ur, at(w, r*wr+first), step, 4*wr, min(maxPatches, rows-r))
			}
		},
		WinogradWeightsGrad: func(dw []float32, ds int, s []float32, ss, panels int, add bool) {
			checkWinogradWeightsGrad(dw, ds, s, ss, panels)
			old := 0
			if add {
				old = 1
			}
			for p := 0; p < panels; p += maxPatches {
				k.weightsGrad(at(dw, p*Panel32), 4*ds, at(s, p*Panel32), 4*ss, min(maxPatches, panels-p), old)
			}
		},
		Transpose16: func(dst []float32, db, dj int, src []float32, sb, si, n int) {
			checkTranspose16(dst, db, dj, src, sb, si, n)
			for b := 0; b < n; b += maxPatches {
				k.transpose(at(dst, b*db), 4*db, 4*dj, at(src, b*sb), 4*sb, 4*si, min(maxPatches, n-b))
			}
		},
	}
}

// noBias is zeros in place of a bias.
var noBias [maxZeroPanels * Panel32]float32
