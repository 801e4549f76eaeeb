package plots

import (
	"errors"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// ModePoint is an eigenvalue λ with the covariance of (Re λ, Im λ); NaN where that is not known.
type ModePoint struct {
	Re, Im float64
	Cov    [2][2]float64
	Class  string
}

// chi95 is the root of the 95 % quantile of χ² of two degrees.
const chi95 = 2.447746830680816

// Modes draws eigenvalues in the plane of λ with 95 % ellipses, a colour for each class, the neutral axis marked.
func Modes(path, title, unit string, modes []ModePoint) error {
	p := newPlot(title, "Re λ, "+unit+"  (decay < 0 < growth)", "Im λ, "+unit)
	addGrid(p)
	xr, yr := newExtent(), newExtent()
	var drawn plotter.XYs
	for _, m := range modes {
		if finite(m.Re) && finite(m.Im) {
			drawn = append(drawn, plotter.XY{X: m.Re, Y: m.Im})
			xr.add(m.Re)
			yr.add(m.Im)
		}
	}
	if len(drawn) == 0 {
		return errors.New("plots: no mode is finite")
	}
	// Ellipses widen the axes, up to twice what the modes span: one mode without information should not hide the others.
	spanX, spanY := math.Max(xr.hi-xr.lo, math.Abs(xr.hi)), math.Max(yr.hi-yr.lo, math.Abs(yr.hi))
	widen := func(e *extent, v, variance, span float64) {
		if h := chi95 * math.Sqrt(variance); finite(h) {
			h = math.Min(h, math.Max(span, 1e-300))
			e.add(v - h)
			e.add(v + h)
		}
	}
	for _, m := range modes {
		widen(&xr, m.Re, m.Cov[0][0], spanX)
		widen(&yr, m.Im, m.Cov[1][1], spanY)
	}
	xr.add(0)
	p.X.Min, p.X.Max = xr.padded(0.08, false)
	p.Y.Min, p.Y.Max = yr.padded(0.08, false)
	p.Add(line(plotter.XYs{{X: 0, Y: p.Y.Min}, {X: 0, Y: p.Y.Max}}, softInk, vg.Points(0.9), true))
	classes := []string{"decay", "growth", "neutral", "undetermined"}
	for i, class := range classes {
		var xy plotter.XYs
		for _, m := range modes {
			if m.Class != class || !finite(m.Re) || !finite(m.Im) {
				continue
			}
			xy = append(xy, plotter.XY{X: m.Re, Y: m.Im})
			if e := ellipse(m); e != nil {
				p.Add(&plotter.Polygon{XYs: []plotter.XYs{e}, Color: faded(seriesColor(i), 0.2), LineStyle: draw.LineStyle{Color: faded(seriesColor(i), 0.7), Width: vg.Points(0.8)}})
			}
		}
		if len(xy) == 0 {
			continue
		}
		dots := &plotter.Scatter{XYs: xy, GlyphStyle: draw.GlyphStyle{Color: seriesColor(i), Radius: vg.Points(2.6), Shape: draw.CircleGlyph{}}}
		p.Add(dots)
		p.Legend.Add(class, plot.Thumbnailer(dots))
	}
	placeLegend(p, drawn, len(classes))
	return page{width: 15 * vg.Centimeter, height: 12 * vg.Centimeter, panels: []panel{{Plot: p}}}.save(path)
}

// ellipse is the outline of a mode's 95 % region, or nil where it is not known.
func ellipse(m ModePoint) plotter.XYs {
	a, b, c := m.Cov[0][0], m.Cov[0][1], m.Cov[1][1]
	if !finite(a) || !finite(b) || !finite(c) || a < 0 || c < 0 {
		return nil
	}
	// Cholesky's factor of the covariance, also where it is singular.
	l11 := math.Sqrt(a)
	l21 := 0.0
	if l11 > 0 {
		l21 = b / l11
	}
	l22 := math.Sqrt(math.Max(c-l21*l21, 0))
	var xy plotter.XYs
	for k := range 60 {
		s, t := math.Sincos(2 * math.Pi * float64(k) / 60)
		xy = append(xy, plotter.XY{X: m.Re + chi95*l11*t, Y: m.Im + chi95*(l21*t+l22*s)})
	}
	return xy
}
