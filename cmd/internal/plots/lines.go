package plots

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Series is one line of a plot. Err, if not nil, is a standard error for each value: the band is ± 1.96 of them.
// Points that are not finite break the line.
type Series struct {
	Name      string
	X, Y, Err []float64
	Dashed    bool // a dashed line: an expansion, an approximation
	Markers   bool // a dot on each value: measured, not computed in between
	Scatter   bool // dots with error bars and no line; drawn in the color of the series before
}

// Axes describes the axes of a line plot.
type Axes struct {
	Title, X, Y string
	LogX, LogY  bool
	// YMin and YMax bound the y axis unless equal; lines that leave it are cut.
	YMin, YMax float64
}

// Lines draws series over common axes.
func Lines(path string, axes Axes, series ...Series) error {
	p := newPlot(axes.Title, axes.X, axes.Y)
	addGrid(p)
	if axes.LogX {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, logTicks{}
	}
	if axes.LogY {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, logTicks{}
	}
	var drawn plotter.XYs
	xr, yr := newExtent(), newExtent()
	colors := -1
	for _, s := range series {
		if len(s.X) != len(s.Y) || s.Err != nil && len(s.Err) != len(s.Y) {
			return fmt.Errorf("plots: series %q has %d x, %d y and %d errors", s.Name, len(s.X), len(s.Y), len(s.Err))
		}
		if !s.Scatter || colors < 0 {
			colors++
		}
		c := seriesColor(colors)
		runs := s.runs(axes)
		if s.Scatter {
			for j, r := range runs {
				for _, v := range r.xy {
					xr.add(v.X)
					yr.add(v.Y)
				}
				if band := r.band(axes); len(band) > 0 {
					yr.addAll(band)
					for k, v := range r.xy {
						p.Add(line(plotter.XYs{{X: v.X, Y: band[k].Y}, {X: v.X, Y: band[len(band)-1-k].Y}}, c, vg.Points(1), false))
					}
				}
				drawn = append(drawn, r.xy...)
				dots := &plotter.Scatter{XYs: r.xy, GlyphStyle: draw.GlyphStyle{Color: c, Radius: vg.Points(2.8), Shape: draw.CircleGlyph{}}}
				p.Add(dots)
				if j == 0 && s.Name != "" {
					p.Legend.Add(s.Name, dots)
				}
			}
			continue
		}
		for _, r := range runs {
			if band := r.band(axes); len(band) > 0 {
				p.Add(&plotter.Polygon{XYs: []plotter.XYs{band}, Color: faded(c, 0.18)})
				yr.addAll(band)
			}
		}
		for j, r := range runs {
			for _, v := range r.xy {
				xr.add(v.X)
				yr.add(v.Y)
			}
			drawn = append(drawn, r.xy...)
			l := line(r.xy, c, vg.Points(1.6), s.Dashed)
			p.Add(l)
			thumbs := []plot.Thumbnailer{l}
			if s.Markers || len(r.xy) == 1 {
				dots := &plotter.Scatter{XYs: r.xy, GlyphStyle: draw.GlyphStyle{Color: c, Radius: vg.Points(2.4), Shape: draw.CircleGlyph{}}}
				p.Add(dots)
				thumbs = append(thumbs, dots)
			}
			if j == 0 && s.Name != "" {
				p.Legend.Add(s.Name, thumbs...)
			}
		}
	}
	if xr.empty() {
		return errors.New("plots: no finite value to draw")
	}
	p.X.Min, p.X.Max = xr.padded(0.02, axes.LogX)
	p.Y.Min, p.Y.Max = yr.padded(0.06, axes.LogY)
	if axes.YMin != axes.YMax {
		p.Y.Min, p.Y.Max = axes.YMin, axes.YMax
	}
	placeLegend(p, drawn, len(series))
	return page{width: 18 * vg.Centimeter, height: 11 * vg.Centimeter, panels: []panel{{Plot: p}}}.save(path)
}

// placeLegend moves the legend of n entries to the corner that hides the fewest of the points, the upper right first.
func placeLegend(p *plot.Plot, points plotter.XYs, n int) {
	height := 0.05 + 0.065*float64(n)
	fewest := len(points) + 1
	for _, corner := range []struct{ top, left bool }{{true, false}, {true, true}, {false, false}, {false, true}} {
		hidden := 0
		for _, v := range points {
			x, y := p.X.Norm(v.X), p.Y.Norm(v.Y)
			if corner.left {
				x = 1 - x
			}
			if !corner.top {
				y = 1 - y
			}
			if x > 0.6 && x <= 1 && y > 1-height && y <= 1 {
				hidden++
			}
		}
		if hidden < fewest {
			fewest = hidden
			p.Legend.Top, p.Legend.Left = corner.top, corner.left
		}
	}
	if p.Legend.Left {
		p.Legend.XOffs = -p.Legend.XOffs
	}
	if !p.Legend.Top {
		p.Legend.YOffs = -p.Legend.YOffs
	}
}

// run is a stretch of a series without gaps, with its standard errors or nil.
type run struct {
	xy  plotter.XYs
	err []float64
}

// runs splits a series where a value cannot be drawn.
func (s Series) runs(axes Axes) []run {
	var out []run
	open := false
	for j := range s.X {
		if !axes.drawable(s.X[j], s.Y[j]) {
			open = false
			continue
		}
		if !open {
			out = append(out, run{})
			open = true
		}
		r := &out[len(out)-1]
		r.xy = append(r.xy, plotter.XY{X: s.X[j], Y: s.Y[j]})
		if s.Err != nil {
			r.err = append(r.err, s.Err[j])
		}
	}
	return out
}

// band is the outline of the error band: the upper edge, then the lower one backwards. Values whose errors cannot be
// drawn leave no trace in it.
func (r run) band(axes Axes) plotter.XYs {
	var upper, lower plotter.XYs
	for j, e := range r.err {
		v := r.xy[j]
		up, down := v.Y+1.96*e, v.Y-1.96*e
		if axes.drawable(v.X, up) && axes.drawable(v.X, down) {
			upper = append(upper, plotter.XY{X: v.X, Y: up})
			lower = append(lower, plotter.XY{X: v.X, Y: down})
		}
	}
	if len(upper) < 2 {
		return nil
	}
	slices.Reverse(lower)
	return append(upper, lower...)
}

// drawable reports whether a point can be drawn on the axes.
func (a Axes) drawable(x, y float64) bool {
	return finite(x) && finite(y) && (!a.LogX || x > 0) && (!a.LogY || y > 0)
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// extent is the range of the values added to it.
type extent struct{ lo, hi float64 }

func newExtent() extent { return extent{math.Inf(1), math.Inf(-1)} }

func (e *extent) add(v float64) {
	e.lo, e.hi = math.Min(e.lo, v), math.Max(e.hi, v)
}

func (e *extent) addAll(xy plotter.XYs) {
	for _, v := range xy {
		e.add(v.Y)
	}
}

func (e extent) empty() bool { return e.lo > e.hi }

// padded widens the range by a fraction of itself on both sides; a single value gets a range around it.
func (e extent) padded(fraction float64, log bool) (lo, hi float64) {
	if log {
		r := math.Max(math.Pow(e.hi/e.lo, fraction), 1.02)
		return e.lo / r, e.hi * r
	}
	d := e.hi - e.lo
	if d == 0 {
		d = math.Max(math.Abs(e.hi), 1)
	}
	return e.lo - fraction*d, e.hi + fraction*d
}
