package samplecmd

import (
	"fmt"
	"image"
	"image/color"
	"io"
	"math"
	"strings"
	"unicode"

	"hbar/cmd/internal/model"
	"hbar/cmd/internal/plots"
	"hbar/cmd/internal/term"
	"hbar/cmd/internal/ui"
	"hbar/data"
)

// Sizes of what is shown.
const (
	histogramRows  = 10
	histogramWidth = 72  // cells at most
	fewestCells    = 24  // of a density or a histogram in each direction
	perCell        = 0.5 // samples that a cell of a density holds in the mean, if there are enough
	perBar         = 20  // and a bar of a histogram
	textsShown     = 8   // windows of text
)

// showSamples draws the samples of a run on the terminal: images and sounds as a grid, text as it is, one coordinate as a histogram, two as a density,
// more as that of their first two principal components.
func (o options) showSamples(w io.Writer, m *model.Model, out *output) error {
	name := ""
	if o.name != "" {
		name = ", " + o.name
	}
	switch d := m.D(); {
	case m.Alphabet != nil:
		return o.showText(w, out, name)
	case out.tiles != nil:
		grid, n := o.screen.Grid(out.tiles.Pictures())
		fmt.Fprintf(w, "shown     %s of %s%s\n", ui.Count(int64(n)), ui.Plural(int64(o.n), "sample"), name)
		return o.screen.Draw(w, grid)
	case d == 1:
		return o.showHistogram(w, plots.Cloud{X: out.shown, D: d, Columns: m.Columns}, name)
	case d == 2:
		c := plots.Cloud{X: out.shown, D: d, Columns: m.Columns}
		return o.showDensity(w, c.X, [2]string{c.Axis(0, "x₁"), c.Axis(1, "x₂")}, name)
	default:
		flat, labels := plots.Flatten([]plots.Cloud{{X: out.shown, D: d}})
		return o.showDensity(w, flat[0].X, labels, name)
	}
}

// showText writes the first windows of text, each after a line with its number. What a terminal would take for a command is shown as a blank.
func (o options) showText(w io.Writer, out *output, name string) error {
	d := out.what.Shape[0] * out.what.Shape[1]
	n := min(len(out.shown)/d, textsShown)
	fmt.Fprintf(w, "shown     %s of %s%s\n", ui.Count(int64(n)), ui.Plural(int64(o.n), "sample"), name)
	for i := range n {
		text := strings.Map(func(c rune) rune {
			if c != '\n' && c != '\t' && !unicode.IsPrint(c) {
				return ' '
			}
			return c
		}, out.what.Alphabet.Text(out.shown[i*d:(i+1)*d]))
		if _, err := fmt.Fprintf(w, "--- %d\n%s\n", i, text); err != nil {
			return err
		}
	}
	return nil
}

// showHistogram draws a histogram, its axis below.
func (o options) showHistogram(w io.Writer, c plots.Cloud, name string) error {
	width := min(o.screen.Width, histogramWidth, max(fewestCells, c.N()/perBar))
	lines, r, outside := term.Histogram(c.X, width, histogramRows)
	digits := data.Digits(r.Low, r.High)
	low, high := fmt.Sprintf("%.*g", digits, r.Low), fmt.Sprintf("%.*g", digits, r.High)
	fmt.Fprintf(w, "shown     %s of %s%s%s\n", c.Axis(0, "x"), ui.Plural(int64(c.N()), "sample"), name, beyond(outside))
	_, err := fmt.Fprintf(w, "%s\n%s%s%s\n", strings.Join(lines, "\n"), low, strings.Repeat(" ", max(1, width-len(low)-len(high))), high)
	return err
}

// showDensity draws the density of points in the plane.
func (o options) showDensity(w io.Writer, xy []float64, labels [2]string, name string) error {
	n := len(xy) / 2
	x, y := make([]float64, n), make([]float64, n)
	for i := range n {
		x[i], y[i] = xy[2*i], xy[2*i+1]
	}
	room := o.screen.Pixels()
	space := min(room.X, room.Y)
	side := min(space, max(fewestCells, int(math.Sqrt(float64(n)/perCell))))
	ramp := func(v float64) color.NRGBA { return plots.Viridis(v) }
	if !o.screen.Coloured() {
		ramp = term.Grey
	}
	m, xs, ys, outside := term.Density(x, y, side, ramp)
	dx, dy := data.Digits(xs.Low, xs.High), data.Digits(ys.Low, ys.High)
	fmt.Fprintf(w, "shown     density of %s%s: %s from %.*g to %.*g, %s from %.*g to %.*g%s\n",
		ui.Plural(int64(n), "sample"), name, labels[0], dx, xs.Low, dx, xs.High, labels[1], dy, ys.Low, dy, ys.High, beyond(outside))
	var picture image.Image = term.Enlarge(m, max(1, space/side))
	return o.screen.Draw(w, picture)
}

// beyond says how many samples are not in the picture.
func beyond(outside int) string {
	if outside == 0 {
		return ""
	}
	return fmt.Sprintf("; %s outside", ui.Count(int64(outside)))
}
