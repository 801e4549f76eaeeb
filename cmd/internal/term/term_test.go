package term

import (
	"bytes"
	"image"
	"image/color"
	"math"
	"strings"
	"testing"
)

// Answers of terminals, from their documentation and sources.
func TestParseAnswer(t *testing.T) {
	for _, c := range []struct {
		name, said string
		want       answer
	}{
		{"kitty", "\x1b_Gi=31;OK\x1b\\\x1b[6;17;8t\x1b[?62;c", answer{kitty: true, cell: image.Pt(8, 17), whole: true}},
		{"foot", "\x1b[6;20;10t\x1b[?62;4;22;28;29c", answer{sixel: true, cell: image.Pt(10, 20), whole: true}},
		{"xterm as VT340", "\x1b[6;13;6t\x1b[?63;1;2;4;6;9;15;16;22;28;29c", answer{sixel: true, cell: image.Pt(6, 13), whole: true}},
		{"xterm as VT420", "\x1b[?64;1;2;6;9;15;16;17;18;21;22;28c", answer{whole: true}},
		{"VT100", "\x1b[?1;2c", answer{whole: true}},
		{"class 4 is no attribute 4", "\x1b[?4;6c", answer{whole: true}},
		{"a picture that failed", "\x1b_Gi=31;ENOTSUPPORTED:no\x1b\\\x1b[?62c", answer{whole: true}},
		{"keys in between", "ls\r\x1b[A\x1b[?62;4cq", answer{sixel: true, whole: true}},
		{"cut short", "\x1b_Gi=31;OK\x1b\\\x1b[?62;4", answer{kitty: true}},
		{"cut shorter", "\x1b_Gi=31;OK\x1b", answer{}},
		{"an impossible cell", "\x1b[6;0;99999t\x1b[?6c", answer{whole: true}},
		{"nothing", "", answer{}},
	} {
		if got := parseAnswer([]byte(c.said)); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte("\x1b_Gi=31;OK\x1b\\\x1b[6;17;8t\x1b[?62;c"))
	f.Fuzz(func(t *testing.T, b []byte) { parseAnswer(b) })
}

// What is drawn follows the environment where the output is no terminal, or a terminal that is not asked.
func TestChoose(t *testing.T) {
	for _, c := range []struct {
		said answer
		env  map[string]string
		want Mode
	}{
		{answer{kitty: true, sixel: true}, map[string]string{"TERM": "xterm-kitty"}, Kitty},
		{answer{sixel: true}, map[string]string{"TERM": "foot"}, Sixel},
		{answer{}, map[string]string{"TERM": "xterm-256color"}, Blocks},
		{answer{}, map[string]string{"TERM": "xterm-256color", "NO_COLOR": "yes"}, Braille},
		{answer{}, map[string]string{"TERM": "linux"}, Shades},
		{answer{}, map[string]string{"TERM": "vt220"}, Braille},
		{answer{}, map[string]string{"TERM": "dumb"}, Braille},
		{answer{}, nil, Braille},
	} {
		if got := choose(c.said, func(k string) string { return c.env[k] }); got != c.want {
			t.Errorf("%+v, %v: %s, want %s", c.said, c.env, got, c.want)
		}
	}
	if env := map[string]string{"TERM": "xterm", "NO_COLOR": "1"}; mayAsk(func(k string) string { return env[k] }) {
		t.Error("a terminal is asked for pixels that NO_COLOR does not want")
	}
}

// Without a terminal there is text without colour, of 80 columns or as many as COLUMNS says; what is asked for by name is drawn anyway.
func TestNoTerminal(t *testing.T) {
	env := map[string]string{"TERM": "xterm-kitty", "COLORTERM": "truecolor"}
	lookup := func(k string) string { return env[k] }
	var out bytes.Buffer
	if got := Detect(&out, Auto, lookup); got.Mode != Braille || got.Width != 80 || out.Len() > 0 {
		t.Errorf("%+v, and %d bytes are written", got, out.Len())
	}
	env["COLUMNS"] = "33"
	if got := Detect(&out, Auto, lookup); got.Width != 33 || got.Pixels() != image.Pt(66, 80) {
		t.Errorf("%+v, %v pixels", got, got.Pixels())
	}
	if got := Detect(&out, Blocks, lookup); got.Mode != Blocks || !got.TrueColour || !got.Coloured() {
		t.Errorf("%+v", got)
	}
}

// A grid shows as many pictures as are seen well, and never more than there is room.
func TestGrid(t *testing.T) {
	var pictures []image.Image
	for i := range 100 {
		m := image.NewNRGBA(image.Rect(0, 0, 28, 28))
		for j := range m.Pix {
			m.Pix[j] = 0xff
		}
		m.SetNRGBA(0, 0, color.NRGBA{uint8(i), 0, 0, 0xff})
		pictures = append(pictures, m)
	}
	for _, c := range []struct {
		t    Terminal
		want int
		size image.Point
	}{
		{Terminal{Mode: Blocks, Width: 80, Height: 24}, 8, image.Pt(79, 39)},                           // 4 × 2 of 19 pixels
		{Terminal{Mode: Braille, Width: 80, Height: 24}, 10, image.Pt(144, 57)},                        // 5 × 2 of their own size
		{Terminal{Mode: Kitty, Width: 80, Height: 24, Cell: image.Pt(10, 20)}, 78, image.Pt(776, 356)}, // 13 × 6, twice as large
		{Terminal{Mode: Blocks, Width: 1, Height: 1}, 4, image.Pt(1, 7)},                               // nothing is seen, and nothing fails
	} {
		m, n := c.t.Grid(pictures)
		if room := c.t.Pixels(); n != c.want || m.Bounds().Size() != c.size || m.Bounds().Dx() > room.X || m.Bounds().Dy() > room.Y {
			t.Errorf("%+v: %d pictures in %v, want %d in %v; there is room for %v", c.t, n, m.Bounds().Size(), c.want, c.size, room)
		}
	}
	m, _ := Terminal{Mode: Braille, Width: 80, Height: 24}.Grid(pictures)
	if got := m.NRGBAAt(29*2, 29); got.R != 7 {
		t.Errorf("the picture in row 1, column 2 is %d, want 7", got.R)
	}
	if got := m.NRGBAAt(28, 0); got.A != 0 {
		t.Errorf("a gap is %v, want transparent", got)
	}
	if m, n := (Terminal{Mode: Blocks, Width: 80, Height: 24}).Grid(nil); n != 0 || !m.Bounds().Empty() {
		t.Errorf("no pictures: %d in %v", n, m.Bounds())
	}
}

func TestDensity(t *testing.T) {
	x, y := []float64{0, 1, 1, 1, 1, math.Inf(1)}, []float64{0, 1, 1, 1, 1, 0}
	m, xs, ys, outside := Density(x, y, 4, Grey)
	if xs != (Range{0, 1}) || ys != (Range{0, 1}) || outside != 1 {
		t.Errorf("axes %v, %v, %d outside", xs, ys, outside)
	}
	if top, bottom, none := m.NRGBAAt(3, 0), m.NRGBAAt(0, 3), m.NRGBAAt(1, 1); top.R != 255 || bottom.R != 128 || none.R != 0 {
		t.Errorf("four points %v, one %v, none %v", top, bottom, none)
	}
	for _, same := range []float64{0, 3, 1e308, -1e308} { // a point has a picture too
		if _, xs, _, outside := Density([]float64{same, same}, []float64{1, 2}, 5, Grey); outside != 0 || !xs.holds(same) {
			t.Errorf("all at %g: axis %v, %d outside", same, xs, outside)
		}
	}
	if _, _, _, outside := Density([]float64{-1e308, 1e308}, []float64{1, 2}, 5, Grey); outside != 0 {
		t.Errorf("far apart: %d outside", outside)
	}
	if _, _, _, outside := Density(nil, nil, 5, Grey); outside != 0 {
		t.Errorf("no points: %d outside", outside)
	}
	if got := Enlarge(m, 3); got.Bounds().Dx() != 12 || got.NRGBAAt(11, 0).R != 255 || got.NRGBAAt(8, 2).R != 0 {
		t.Errorf("enlarged to %v", got.Bounds())
	}
}

func TestHistogram(t *testing.T) {
	values := append(make([]float64, 16), 1, 3, 3, 3, 3) // of 0: 16, of 1: one, of 3: four
	lines, r, outside := Histogram(values, 4, 2)
	if r != (Range{0, 3}) || outside != 0 {
		t.Errorf("range %v, %d outside", r, outside)
	}
	if want := []string{"█", "█▁ ▄"}; strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}
