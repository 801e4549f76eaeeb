package plots

import (
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	"hbar/internal/atomicfile"
)

const dpi = 144

// page is a picture under construction: a heading over a row of panels.
type page struct {
	heading       string
	width, height vg.Length
	panels        []panel
	scale         *plot.Plot // the legend of colours at the right, or nil
}

// panel is one plot of a page.
type panel struct {
	*plot.Plot
	equal bool // the axes have one scale: a circle looks like one
}

// save draws the page and writes it to path as PNG.
func (pg page) save(path string) (err error) {
	defer func() { // gonum/plot panics on what it cannot draw
		if r := recover(); r != nil {
			err = fmt.Errorf("plot %s: %v", path, r)
		}
	}()
	img := vgimg.NewWith(vgimg.UseWH(pg.width, pg.height), vgimg.UseDPI(dpi), vgimg.UseBackgroundColor(color.White))
	c := draw.New(img)
	if pg.heading != "" {
		style := newPlot("", "", "").Title.TextStyle
		style.Font = sans(13)
		c.FillText(style, vg.Point{X: c.Center().X, Y: c.Max.Y - vg.Points(8)}, pg.heading)
		c = draw.Crop(c, 0, 0, 0, -vg.Points(20))
	}
	if pg.scale != nil {
		// The bar lines up with the panels, which have a label and ticks below and a title above.
		bar := draw.Crop(c, c.Size().X-scaleWidth, -vg.Points(16), vg.Points(43), -vg.Points(28))
		pg.scale.Draw(bar)
		c = draw.Crop(c, 0, -scaleWidth, 0, 0)
	}
	tiles := draw.Tiles{
		Rows: 1, Cols: len(pg.panels),
		PadTop: vg.Points(8), PadBottom: vg.Points(8), PadLeft: vg.Points(8), PadRight: vg.Points(14), PadX: vg.Points(14),
	}
	row := make([]*plot.Plot, len(pg.panels))
	for i, p := range pg.panels {
		row[i] = p.Plot
	}
	names := make([][2]string, len(row))
	for i, p := range row {
		names[i] = [2]string{p.X.Label.Text, p.Y.Label.Text}
	}
	for range 2 { // new ranges may have wider labels, which move the axes a little
		for i, cell := range plot.Align([][]*plot.Plot{row}, tiles, c)[0] {
			p := row[i]
			if pg.panels[i].equal {
				equalise(p, p.DataCanvas(cell))
			}
			area := p.DataCanvas(cell).Size()
			fitTicks(&p.X, names[i][0], area.X, false)
			fitTicks(&p.Y, names[i][1], area.Y, true)
		}
	}
	for i, cell := range plot.Align([][]*plot.Plot{row}, tiles, c)[0] {
		row[i].Draw(cell)
	}
	f, err := atomicfile.Create(path)
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := (vgimg.PngCanvas{Canvas: img}).WriteTo(f); err != nil {
		return err
	}
	return f.Commit()
}

// equalise widens one of the ranges of p so that both axes have the same scale on the data area.
func equalise(p *plot.Plot, area draw.Canvas) {
	size := area.Size()
	dx, dy := (p.X.Max-p.X.Min)/float64(size.X), (p.Y.Max-p.Y.Min)/float64(size.Y)
	widen := func(a *plot.Axis, ratio float64) {
		middle, half := (a.Min+a.Max)/2, (a.Max-a.Min)/2*ratio
		a.Min, a.Max = middle-half, middle+half
	}
	if dx < dy {
		widen(&p.X, dy/dx)
	} else {
		widen(&p.Y, dx/dy)
	}
}
