package samples

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
)

// RowRoom is how many samples a row of a table shows, unless their labels go through more classes in turn.
const RowRoom = 10

// NewRow begins a row of a table of samples, which WriteRows draws: the first samples, one for each class if the labels go through
// at most 32 classes in turn.
func NewRow(o Options) (*Sheet, error) {
	columns := min(o.N, RowRoom)
	if classes := classesInTurn(o.Label, o.N); classes > 0 {
		columns = classes
	}
	return NewSheet(o, columns, columns)
}

// WriteRows draws sheets one below the other, each with its name to the left of it, into a PNG file, whole or not at all. Samples
// of the same number that were made from the same noise lie in one column.
func WriteRows(path string, names []string, rows []*Sheet) error {
	if len(rows) == 0 || len(names) != len(rows) {
		return fmt.Errorf("samples: %w", errors.New("a table has at least one row, and a name for each"))
	}
	return writePNG(path, table(names, rows))
}

// table draws the rows.
func table(names []string, rows []*Sheet) *image.NRGBA {
	face := basicfont.Face7x13
	margin, width, height := 0, 0, 0
	pictures := make([]*image.NRGBA, len(rows))
	for i, s := range rows {
		pictures[i] = s.Image()
		margin = max(margin, font.MeasureString(face, names[i]).Ceil()+2*face.Advance)
		width = max(width, pictures[i].Rect.Dx())
		height += max(pictures[i].Rect.Dy(), face.Height)
	}
	m := image.NewNRGBA(image.Rect(0, 0, margin+width, height))
	draw.Draw(m, m.Rect, image.White, image.Point{}, draw.Src)
	y := 0
	for i, p := range pictures {
		tall := max(p.Rect.Dy(), face.Height)
		draw.Draw(m, p.Rect.Add(image.Pt(margin, y)), p, image.Point{}, draw.Src)
		text := font.Drawer{Dst: m, Src: image.NewUniform(color.Black), Face: face, Dot: fixed.P(face.Advance, y+(tall+face.Ascent-face.Descent)/2)}
		text.DrawString(names[i])
		y += tall
	}
	return m
}
