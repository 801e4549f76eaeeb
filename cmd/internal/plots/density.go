package plots

import (
	"fmt"
	"image"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Field is a function on a rectangle: Z[i·NX + j] is its value in the cell of row i (from YMin up) and column j.
type Field struct {
	Title                  string
	NX, NY                 int
	XMin, XMax, YMin, YMax float64
	Z                      []float64
	Points                 []float64 // optional points over it: n×2
}

// Density draws fields side by side as images with one common scale of colours, which starts at zero unless a value is
// negative.
func Density(path, heading, label string, fields ...Field) error {
	if len(fields) == 0 {
		return fmt.Errorf("plots: no field to draw")
	}
	r := extent{0, 0}
	for _, f := range fields {
		if f.NX < 1 || f.NY < 1 || len(f.Z) != f.NX*f.NY {
			return fmt.Errorf("plots: field %q: %d values for %d × %d cells", f.Title, len(f.Z), f.NX, f.NY)
		}
		for _, v := range f.Z {
			if finite(v) {
				r.add(v)
			}
		}
	}
	if r.hi == r.lo {
		r.hi = r.lo + 1
	}
	pg := page{heading: heading, height: 10.5 * vg.Centimeter}
	for i, f := range fields {
		p := newPlot(f.Title, "x₁", "x₂")
		if i > 0 {
			p.Y.Label.Text = ""
		}
		p.Add(plotter.NewImage(f.picture(r), f.XMin, f.YMin, f.XMax, f.YMax))
		if len(f.Points) > 0 {
			var xy plotter.XYs
			for k := 0; k+1 < len(f.Points); k += 2 {
				xy = append(xy, plotter.XY{X: f.Points[k], Y: f.Points[k+1]})
			}
			p.Add(&plotter.Scatter{XYs: xy, GlyphStyle: draw.GlyphStyle{
				Color: color.NRGBA{0xff, 0xff, 0xff, 0x90}, Radius: vg.Points(0.9), Shape: draw.CircleGlyph{},
			}})
		}
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = f.XMin, f.XMax, f.YMin, f.YMax
		pg.panels = append(pg.panels, panel{p, true})
	}
	pg.scale = scaleBar(label, r)
	pg.width = vg.Length(len(pg.panels))*9.2*vg.Centimeter + scaleWidth
	return pg.save(path)
}

// picture renders the field, each cell a block of pixels, top row first.
func (f Field) picture(r extent) *image.NRGBA {
	block := max(1, 600/max(f.NX, f.NY))
	img := image.NewNRGBA(image.Rect(0, 0, f.NX*block, f.NY*block))
	for y := range f.NY * block {
		for x := range f.NX * block {
			v := f.Z[(f.NY-1-y/block)*f.NX+x/block]
			img.SetNRGBA(x, y, Viridis((v-r.lo)/(r.hi-r.lo)))
		}
	}
	return img
}

const scaleWidth = 2.9 * vg.Centimeter

// scaleBar is the legend of the colours.
func scaleBar(label string, r extent) *plot.Plot {
	const n = 512
	img := image.NewNRGBA(image.Rect(0, 0, n/16, n))
	for i := range n * n / 16 {
		x, y := i%(n/16), i/(n/16)
		img.SetNRGBA(x, n-1-y, Viridis((float64(y)+0.5)/n))
	}
	p := newPlot("", "", label)
	p.HideX()
	p.Add(plotter.NewImage(img, 0, r.lo, 1, r.hi))
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, r.lo, r.hi
	return p
}

// stops of matplotlib's Viridis at 0, 1/8, …, 1 (S. van der Walt and N. Smith, CC0).
var stops = [9][3]float64{
	{68, 1, 84}, {71, 45, 123}, {59, 82, 139}, {44, 114, 142}, {33, 145, 140}, {40, 174, 128}, {94, 201, 98}, {173, 220, 48}, {253, 231, 37},
}

// Viridis is the colour at v in [0, 1]; NaN is grey.
func Viridis(v float64) color.NRGBA {
	if math.IsNaN(v) {
		return color.NRGBA{0xbb, 0xbb, 0xbb, 0xff}
	}
	v = math.Max(0, math.Min(1, v)) * float64(len(stops)-1)
	i := min(int(v), len(stops)-2)
	mix := func(c int) uint8 {
		return uint8(math.Round(stops[i][c] + (v-float64(i))*(stops[i+1][c]-stops[i][c])))
	}
	return color.NRGBA{mix(0), mix(1), mix(2), 0xff}
}
