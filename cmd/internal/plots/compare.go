package plots

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Cloud is a set of points: n rows of D coordinates, row-major.
type Cloud struct {
	Name string // "data", "samples, h = 1"
	X    []float64
	D    int
	// Columns are names of the coordinates, for axes: D of them, or nil.
	Columns []string
}

// N is the number of points.
func (c Cloud) N() int {
	if c.D < 1 {
		return 0
	}
	return len(c.X) / c.D
}

func (c Cloud) check() error {
	if c.D < 1 || len(c.X) == 0 || len(c.X)%c.D != 0 {
		return fmt.Errorf("plots: %s: %d numbers are not n > 0 rows of %d", c.Name, len(c.X), c.D)
	}
	return nil
}

// maxPoints is how many points of a cloud are drawn: more only blacken the page.
const maxPoints = 8000

// Compare draws clouds of one dimension side by side, as suits it: histograms over each other for D = 1, scatter plots
// with equal axes for D = 2, small images if shape says that the rows are images (height, width, optionally 3 colours
// last), and otherwise the first two principal components of the first cloud.
func Compare(path, heading string, shape []int, clouds ...Cloud) error {
	if len(clouds) == 0 {
		return fmt.Errorf("plots: nothing to compare")
	}
	for _, c := range clouds {
		if err := c.check(); err != nil {
			return err
		}
		if c.D != clouds[0].D {
			return fmt.Errorf("plots: %s has %d dimensions, %s %d", c.Name, c.D, clouds[0].Name, clouds[0].D)
		}
	}
	switch d := clouds[0].D; {
	case isImage(shape, d):
		return images(path, heading, shape, clouds)
	case d == 1:
		return histograms(path, heading, clouds[0].Axis(0, "x"), clouds)
	case d == 2:
		return scatter(path, heading, clouds[0].Axis(0, "x₁"), clouds[0].Axis(1, "x₂"), clouds)
	}
	flat, labels := Flatten(clouds)
	return scatter(path, heading, labels[0], labels[1], flat)
}

// Flatten makes clouds of two dimensions of some of more: the first two principal components of the first cloud, of which labels
// say what part of the variance they hold. Columns of different size are scaled before.
func Flatten(clouds []Cloud) (flat []Cloud, labels [2]string) {
	clouds = slices.Clone(clouds)
	of := "of the variance"
	if scale := unlike(clouds[0]); scale != nil {
		of = "of the scaled columns' variance"
		for i := range clouds {
			clouds[i] = clouds[i].scaled(scale)
		}
	}
	projected, share := principal(clouds)
	for i := range labels {
		labels[i] = fmt.Sprintf("component %d (%.0f %% %s)", i+1, 100*share[i], of)
	}
	return projected, labels
}

// Axis is the name of coordinate j.
func (c Cloud) Axis(j int, none string) string {
	if j < len(c.Columns) && c.Columns[j] != "" {
		return c.Columns[j]
	}
	return none
}

// alike is the ratio of standard deviations up to which coordinates are taken to have one unit. With larger ratios a picture with equal
// scales would show one of them alone.
const alike = 8

// unlike are the standard deviations of the coordinates of a cloud (1 for those that do not vary) if they are of different size,
// else nil.
func unlike(c Cloud) []float64 {
	x, _ := centred(c, min(c.N(), maxPoints, max(fitNumbers/c.D, 2)))
	n, d := x.Dims()
	std := make([]float64, d)
	least, largest := math.Inf(1), 0.0
	for j := range std {
		top := 0.0
		for i := range n {
			top = math.Max(top, math.Abs(x.At(i, j)))
		}
		if top == 0 {
			std[j] = 1
			continue
		}
		for i := range n {
			v := x.At(i, j) / top
			std[j] += v * v / float64(n)
		}
		std[j] = top * math.Sqrt(std[j])
		least, largest = math.Min(least, std[j]), math.Max(largest, std[j])
	}
	if largest <= alike*least {
		return nil
	}
	return std
}

// scaled divides the coordinates.
func (c Cloud) scaled(by []float64) Cloud {
	x := make([]float64, len(c.X))
	for i, v := range c.X {
		x[i] = v / by[i%c.D]
	}
	c.X = x
	return c
}

// scatter draws each cloud (D = 2) in a panel of its own, all with the same axes, which have one scale unless the coordinates are
// of different size. The axes follow the bulk of
// the points; how many lie outside is said in the panel's title.
func scatter(path, heading, xlabel, ylabel string, clouds []Cloud) error {
	xlo, xhi := bulk(clouds, 0)
	ylo, yhi := bulk(clouds, 1)
	pg := page{heading: heading, height: 10.5 * vg.Centimeter}
	for i, c := range clouds {
		p := newPlot("", xlabel, ylabel)
		addGrid(p)
		if i > 0 {
			p.Y.Label.Text = ""
		}
		xy, outside := c.points(xlo, xhi, ylo, yhi)
		n := float64(len(xy) + 1)
		dots := &plotter.Scatter{XYs: xy, GlyphStyle: draw.GlyphStyle{
			Color:  faded(seriesColor(i), math.Min(0.75, math.Max(0.3, 20/math.Sqrt(n)))),
			Radius: vg.Points(math.Min(2.2, math.Max(0.8, 9/math.Pow(n, 0.25)))),
			Shape:  draw.CircleGlyph{},
		}}
		p.Add(dots)
		p.Title.Text = c.title(len(xy)+outside, outside)
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = xlo, xhi, ylo, yhi
		wide, high := xhi-xlo, yhi-ylo
		pg.panels = append(pg.panels, panel{p, wide <= alike*high && high <= alike*wide})
	}
	pg.width = vg.Length(len(pg.panels)) * 9.5 * vg.Centimeter
	return pg.save(path)
}

// title says what a panel shows: the cloud, how many of its points, and how many of these lie outside the axes.
func (c Cloud) title(shown, outside int) string {
	s := c.Name + "  (" + thousands(int64(shown))
	if shown < c.N() {
		s += " of " + thousands(int64(c.N()))
	}
	if outside > 0 {
		s += ", " + thousands(int64(outside)) + " outside"
	}
	return s + ")"
}

// points are at most maxPoints points, evenly spread over the rows, that lie within the bounds, and the number of those
// that do not.
func (c Cloud) points(xlo, xhi, ylo, yhi float64) (xy plotter.XYs, outside int) {
	n := c.N()
	shown := min(n, maxPoints)
	for k := range shown {
		i := int(int64(k) * int64(n) / int64(shown))
		x, y := c.X[i*c.D], c.X[i*c.D+1]
		if x >= xlo && x <= xhi && y >= ylo && y <= yhi {
			xy = append(xy, plotter.XY{X: x, Y: y})
		} else {
			outside++
		}
	}
	return xy, outside
}

// bulk is a range of coordinate j that holds the first cloud whole and all but a few per mille of the others.
func bulk(clouds []Cloud, j int) (lo, hi float64) {
	e := newExtent()
	for i, c := range clouds {
		v := c.column(j)
		if len(v) == 0 {
			continue
		}
		slices.Sort(v)
		cut := 0
		if i > 0 {
			cut = len(v) / 500
		}
		e.add(v[cut])
		e.add(v[len(v)-1-cut])
	}
	if e.empty() {
		return -1, 1
	}
	return e.padded(0.06, false)
}

// column is coordinate j of at most maxPoints rows, without what is not finite.
func (c Cloud) column(j int) []float64 {
	n := c.N()
	shown := min(n, maxPoints)
	v := make([]float64, 0, shown)
	for k := range shown {
		i := int(int64(k) * int64(n) / int64(shown))
		if x := c.X[i*c.D+j]; finite(x) {
			v = append(v, x)
		}
	}
	return v
}

// histograms draws the densities of one-dimensional clouds over each other: the first filled, the others as lines.
func histograms(path, heading, axis string, clouds []Cloud) error {
	lo, hi := bulk(clouds, 0)
	p := newPlot(heading, axis, "density")
	addGrid(p)
	bins := min(max(int(2*math.Cbrt(float64(min(clouds[0].N(), maxPoints)))), 16), 80)
	top := 0.0
	for i, c := range clouds {
		l := line(density(c, lo, hi, bins), seriesColor(i), vg.Points(1.7), false)
		for _, v := range l.XYs {
			top = math.Max(top, v.Y)
		}
		l.StepStyle = plotter.PostStep
		if i == 0 {
			l.FillColor, l.Color, l.Width = faded(seriesColor(0), 0.25), faded(seriesColor(0), 0.6), vg.Points(0.8)
		}
		p.Add(l)
		p.Legend.Add(fmt.Sprintf("%s (%s)", c.Name, thousands(int64(c.N()))), l)
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = lo, hi, 0, 1.08*top
	return page{width: 18 * vg.Centimeter, height: 10 * vg.Centimeter, panels: []panel{{Plot: p}}}.save(path)
}

// density is the histogram of a one-dimensional cloud as a step function that starts and ends at zero. It is
// normalised by all points, those outside [lo, hi] included.
func density(c Cloud, lo, hi float64, bins int) plotter.XYs {
	count := make([]float64, bins)
	for _, x := range c.X {
		if k := (x - lo) / (hi - lo) * float64(bins); k >= 0 && k < float64(bins) {
			count[int(k)]++
		}
	}
	width := (hi - lo) / float64(bins)
	xy := plotter.XYs{{X: lo}}
	for k, n := range count {
		xy = append(xy, plotter.XY{X: lo + float64(k)*width, Y: n / float64(len(c.X)) / width})
	}
	return append(xy, plotter.XY{X: hi})
}
