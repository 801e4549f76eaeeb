package plots

import (
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The series colours: Okabe and Ito's palette, which colour-blind readers can distinguish, darkest first.
var palette = []color.NRGBA{
	{R: 0x00, G: 0x72, B: 0xb2, A: 0xff}, // blue
	{R: 0xd5, G: 0x5e, B: 0x00, A: 0xff}, // vermilion
	{R: 0x00, G: 0x9e, B: 0x73, A: 0xff}, // green
	{R: 0xcc, G: 0x79, B: 0xa7, A: 0xff}, // purple
	{R: 0xe6, G: 0x9f, B: 0x00, A: 0xff}, // orange
	{R: 0x56, G: 0xb4, B: 0xe9, A: 0xff}, // sky
	{R: 0x33, G: 0x33, B: 0x33, A: 0xff},
}

var (
	ink      = color.NRGBA{R: 0x22, G: 0x22, B: 0x22, A: 0xff}
	softInk  = color.NRGBA{R: 0x66, G: 0x66, B: 0x66, A: 0xff}
	gridInk  = color.NRGBA{R: 0xe8, G: 0xe8, B: 0xe8, A: 0xff}
	dataInk  = palette[0]
	modelInk = palette[1]
)

// seriesColor is the colour of series i.
func seriesColor(i int) color.NRGBA { return palette[i%len(palette)] }

// faded is c at the given opacity.
func faded(c color.NRGBA, alpha float64) color.NRGBA {
	c.A = uint8(math.Round(255 * math.Max(0, math.Min(1, alpha))))
	return c
}

func sans(size vg.Length) font.Font {
	return font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, size)
}

// newPlot is an empty plot in the style of the package.
func newPlot(title, xlabel, ylabel string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil // the page is white already
	style := func(s *text.Style, size vg.Length, c color.Color) {
		s.Font, s.Color = sans(size), c
	}
	p.Title.Text = title
	p.Title.Padding = vg.Points(6)
	style(&p.Title.TextStyle, 12, ink)
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		style(&a.Label.TextStyle, 10.5, ink)
		style(&a.Tick.Label, 9, softInk)
		a.Label.Padding = vg.Points(4)
		a.LineStyle = draw.LineStyle{Color: softInk, Width: vg.Points(0.6)}
		a.Tick.LineStyle = a.LineStyle
		a.Tick.Length = vg.Points(4)
		a.Padding = 0
		a.Tick.Marker = ticks{}
	}
	p.X.Label.Text, p.Y.Label.Text = xlabel, ylabel
	style(&p.Legend.TextStyle, 9.5, ink)
	p.Legend.Top = true
	p.Legend.XOffs, p.Legend.YOffs = vg.Points(-8), vg.Points(-6)
	p.Legend.Padding = vg.Points(3)
	p.Legend.ThumbnailWidth = vg.Points(22)
	return p
}

// addGrid draws a quiet grid; it goes in before everything else.
func addGrid(p *plot.Plot) {
	g := plotter.NewGrid()
	g.Horizontal = draw.LineStyle{Color: gridInk, Width: vg.Points(0.6)}
	g.Vertical = g.Horizontal
	p.Add(g)
}

// line is a line through the points in the given style.
func line(xy plotter.XYs, c color.Color, width vg.Length, dashed bool) *plotter.Line {
	l := &plotter.Line{XYs: xy, LineStyle: draw.LineStyle{Color: c, Width: width}}
	if dashed {
		l.Dashes = []vg.Length{vg.Points(5), vg.Points(3)}
	}
	return l
}
