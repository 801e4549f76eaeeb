package plots

import (
	"image"
	"image/color"
	"math"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// isImage reports whether shape makes an image of d numbers: height × width, with 1 or 3 colours last or none.
func isImage(shape []int, d int) bool {
	n := 1
	for _, s := range shape {
		n *= s
	}
	if n != d {
		return false
	}
	return len(shape) == 2 && shape[0] > 1 && shape[1] > 1 || len(shape) == 3 && (shape[2] == 1 || shape[2] == 3)
}

// images draws the first rows of each cloud as a sheet of small images, all on the first cloud's scale of values: one
// colour as ink on paper, three as they are.
func images(path, heading string, shape []int, clouds []Cloud) error {
	range0 := newExtent()
	for _, v := range clouds[0].X {
		range0.add(v)
	}
	pg := page{heading: heading, height: 10.5 * vg.Centimeter}
	for _, c := range clouds {
		side := 10
		for side > 1 && side*side > c.N() {
			side--
		}
		sheet := contactSheet(c, shape, side, range0)
		p := newPlot(c.title(side*side, 0), "", "")
		p.HideAxes()
		p.Add(plotter.NewImage(sheet, 0, 0, float64(sheet.Rect.Dx()), float64(sheet.Rect.Dy())))
		pg.panels = append(pg.panels, panel{p, true})
	}
	pg.width = vg.Length(len(pg.panels)) * 9.8 * vg.Centimeter
	return pg.save(path)
}

// contactSheet lays side × side images out with gaps, each pixel blown up to a block so that it stays sharp.
func contactSheet(c Cloud, shape []int, side int, r extent) *image.NRGBA {
	h, w := shape[0], shape[1]
	colours := 1
	if len(shape) == 3 {
		colours = shape[2]
	}
	block := max(1, 600/(side*max(h, w)))
	gap := max(2, block*max(h, w)/12)
	img := image.NewNRGBA(image.Rect(0, 0, side*(w*block+gap)+gap, side*(h*block+gap)+gap))
	for i := range img.Pix {
		img.Pix[i] = 0xff
	}
	frame := color.NRGBA{R: 0xf1, G: 0xf1, B: 0xf1, A: 0xff}
	for k := range side * side {
		x0, y0 := gap+(k%side)*(w*block+gap), gap+(k/side)*(h*block+gap)
		for y := range h * block {
			for x := range w * block {
				at := k*c.D + (y/block*w+x/block)*colours
				px := frame
				if colours == 1 {
					v := 1 - level(c.X[at], r)
					px.R, px.G, px.B = uint8(v*0xf1), uint8(v*0xf1), uint8(v*0xf1)
				} else {
					px.R, px.G, px.B = uint8(255*level(c.X[at], r)), uint8(255*level(c.X[at+1], r)), uint8(255*level(c.X[at+2], r))
				}
				img.SetNRGBA(x0+x, y0+y, px)
			}
		}
	}
	return img
}

// level maps the range of values to 0 … 1; values outside are clipped, and NaN is 0.
func level(v float64, r extent) float64 {
	f := (v - r.lo) / math.Max(r.hi-r.lo, math.SmallestNonzeroFloat64)
	if !(f > 0) {
		return 0
	}
	return math.Min(f, 1)
}
