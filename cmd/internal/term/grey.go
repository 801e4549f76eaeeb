package term

import (
	"image"
	"image/color"
	"io"
	"strings"
)

// lightness is a picture as numbers in [0, 1], row by row. What is transparent is dark, as most terminals are.
func lightness(m image.Image) (v []float64, size image.Point) {
	r := m.Bounds()
	v = make([]float64, 0, r.Dx()*r.Dy())
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			// A premultiplied colour is that on black.
			v = append(v, float64(color.Gray16Model.Convert(m.At(x, y)).(color.Gray16).Y)/0xffff)
		}
	}
	return v, r.Size()
}

// dither makes each number 0 or 1 and hands the error on to its neighbours that are still to come, with the weights of Floyd and
// Steinberg (1976).
func dither(v []float64, size image.Point) []bool {
	on := make([]bool, len(v))
	pass := func(x, y int, e float64) {
		if x >= 0 && x < size.X && y < size.Y {
			v[y*size.X+x] += e
		}
	}
	for y := range size.Y {
		for x := range size.X {
			i := y*size.X + x
			e := v[i]
			if on[i] = v[i] >= 0.5; on[i] {
				e--
			}
			pass(x+1, y, e*7/16)
			pass(x-1, y+1, e*3/16)
			pass(x, y+1, e*5/16)
			pass(x+1, y+1, e*1/16)
		}
	}
	return on
}

// brailleDots are the bits of a braille character for its dots, by row and column.
var brailleDots = [4][2]rune{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}

const brailleBlank = '\u2800'

// drawBraille draws light pixels as dots, two by four a cell.
func drawBraille(w io.Writer, m image.Image) error {
	v, size := lightness(m)
	on := dither(v, size)
	var b strings.Builder
	for top := 0; top < size.Y; top += 4 {
		for left := 0; left < size.X; left += 2 {
			cell := brailleBlank
			for dy, row := range brailleDots {
				for dx, bit := range row {
					if y, x := top+dy, left+dx; y < size.Y && x < size.X && on[y*size.X+x] {
						cell |= bit
					}
				}
			}
			b.WriteRune(cell)
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// shades are the cells of a picture from dark to light.
var shades = []rune(" ░▒▓█")

// drawShades draws two pixels, one above the other, as one cell of their mean lightness.
func drawShades(w io.Writer, m image.Image) error {
	v, size := lightness(m)
	var b strings.Builder
	for y := 0; y < size.Y; y += 2 {
		for x := range size.X {
			mean := v[y*size.X+x] / 2
			if y+1 < size.Y {
				mean += v[(y+1)*size.X+x] / 2
			}
			b.WriteRune(shades[min(int(mean*float64(len(shades))), len(shades)-1)])
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}
