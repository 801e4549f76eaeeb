// Package term draws pictures on terminals: in pixels where the terminal can show these, else in cells of text.
//
// Detect finds out what a terminal can do. It asks the terminal itself, and never where the output is none. Draw then writes a picture
// of at most Pixels pixels; Grid and Density make such pictures, Histogram is text by itself.
package term

import (
	"image"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"
)

// A Mode is how pictures are drawn.
type Mode string

const (
	Auto    Mode = "auto"    // the best that the terminal is known to show
	Kitty   Mode = "kitty"   // pixels, by the graphics protocol of Kitty, which other terminals have too
	Sixel   Mode = "sixel"   // pixels, by that of DEC's VT340
	Blocks  Mode = "blocks"  // two pixels a cell, half blocks in colour
	Braille Mode = "braille" // eight dots a cell, without colour
	Shades  Mode = "shades"  // a cell is one of five shades, without colour: for consoles whose fonts have no braille
)

// Names lists the modes, as an option takes them.
func Names() []string {
	return []string{string(Auto), string(Kitty), string(Sixel), string(Blocks), string(Braille), string(Shades)}
}

// Terminal is what an output can show.
type Terminal struct {
	Mode          Mode
	Width, Height int         // in cells
	Cell          image.Point // the size of a cell in pixels, for Kitty and Sixel
	TrueColour    bool        // 24-bit colours, else the 256 of xterm, for Blocks
}

// What holds where a terminal does not say.
const (
	defaultWidth  = 80
	defaultHeight = 24
)

var defaultCell = image.Pt(8, 16) // rather small, so that pictures fit

// answerTime is how long a terminal may take to answer. All but the oddest answer as fast as their connection is.
const answerTime = time.Second

// Detect is what an output can show. A mode other than Auto is taken as it is, wherever the output goes. env looks up the environment
// (os.Getenv).
func Detect(out io.Writer, mode Mode, env func(string) string) Terminal {
	t := Terminal{Mode: mode, Width: defaultWidth, Height: defaultHeight, Cell: defaultCell, TrueColour: trueColour(env)}
	if n, err := strconv.Atoi(env("COLUMNS")); err == nil && n > 0 {
		t.Width = n
	}
	f, isFile := out.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		if mode == Auto {
			t.Mode = Braille
		}
		return t
	}
	if w, h, err := term.GetSize(int(f.Fd())); err == nil && w > 0 && h > 0 {
		t.Width, t.Height = w, h
	}
	if c := cellSize(f, t.Width, t.Height); c != (image.Point{}) {
		t.Cell = c
	}
	var said answer
	if mode == Kitty || mode == Sixel || mode == Auto && mayAsk(env) {
		said = ask(answerTime)
	}
	if said.cell != (image.Point{}) {
		t.Cell = said.cell
	}
	if mode == Auto {
		t.Mode = choose(said, env)
	}
	return t
}

// mayAsk reports whether pixels are wanted and the terminal is one to which a question does no harm.
func mayAsk(env func(string) string) bool {
	return env("NO_COLOR") == "" && !plain(env("TERM"))
}

// plain reports whether a kind of terminal is known to show text alone.
func plain(kind string) bool {
	return kind == "" || kind == "dumb" || kind == "linux" || strings.HasPrefix(kind, "vt1") || strings.HasPrefix(kind, "vt2")
}

// choose is the best mode of a terminal.
func choose(said answer, env func(string) string) Mode {
	kind := env("TERM")
	switch {
	case said.kitty:
		return Kitty
	case said.sixel:
		return Sixel
	case kind == "linux":
		return Shades
	case env("NO_COLOR") != "" || plain(kind):
		return Braille
	}
	return Blocks
}

// trueColour reports whether the environment promises 24-bit colours.
func trueColour(env func(string) string) bool {
	if c := strings.ToLower(env("COLORTERM")); c == "truecolor" || c == "24bit" {
		return true
	}
	kind := env("TERM")
	for _, known := range []string{"alacritty", "contour", "foot", "ghostty", "kitty", "wezterm"} {
		if strings.Contains(kind, known) {
			return true
		}
	}
	return strings.HasSuffix(kind, "-direct")
}

// spareRows are left free below a picture, for its title and the next prompt.
const spareRows = 4

// Cells is the part of the terminal that a picture may take, in cells: all of its width, and as much of its height as can be seen at
// a time.
func (t Terminal) Cells() image.Point {
	return image.Pt(max(t.Width, 1), max(t.Height-spareRows, 4))
}

// Pixels is the same in pixels of a picture. They are square, or nearly so where they are made of cells.
func (t Terminal) Pixels() image.Point {
	c, p := t.Cells(), t.perCell()
	return image.Pt(c.X*p.X, c.Y*p.Y)
}

// perCell is how many pixels of a picture there are in a cell.
func (t Terminal) perCell() image.Point {
	switch t.Mode {
	case Kitty, Sixel:
		return t.Cell
	case Braille:
		return image.Pt(2, 4)
	}
	return image.Pt(1, 2)
}

// Coloured reports whether pictures have colours.
func (t Terminal) Coloured() bool { return t.Mode != Braille && t.Mode != Shades }

// Sharp reports whether there are many pixels, so that a picture's own may be enlarged.
func (t Terminal) Sharp() bool { return t.Mode == Kitty || t.Mode == Sixel }

// Draw writes a picture and the end of its last line. Pixels that are transparent show the terminal's background.
func (t Terminal) Draw(w io.Writer, m image.Image) error {
	switch t.Mode {
	case Kitty:
		return drawKitty(w, m)
	case Sixel:
		return drawSixel(w, m)
	case Braille:
		return drawBraille(w, m)
	case Shades:
		return drawShades(w, m)
	}
	return drawBlocks(w, m, t.TrueColour)
}
