package term

import (
	"fmt"
	"image"
	"image/color"
	"io"
	"slices"
	"strings"
)

const (
	upperHalf = "▀"
	lowerHalf = "▄"
	resetAll  = "\x1b[0m"
)

// drawBlocks draws two pixels a cell, one above the other: a half block in the colour of one on the background of the other.
func drawBlocks(w io.Writer, m image.Image, trueColour bool) error {
	r := m.Bounds()
	var b strings.Builder
	for y := r.Min.Y; y < r.Max.Y; y += 2 {
		style := "" // of the cell before
		for x := r.Min.X; x < r.Max.X; x++ {
			top, hasTop := opaque(m, x, y)
			bottom, hasBottom := opaque(m, x, y+1)
			text, now := " ", resetAll
			switch {
			case hasTop && hasBottom:
				text, now = upperHalf, resetAll+sgr(38, top, trueColour)+sgr(48, bottom, trueColour)
			case hasTop:
				text, now = upperHalf, resetAll+sgr(38, top, trueColour)
			case hasBottom:
				text, now = lowerHalf, resetAll+sgr(38, bottom, trueColour)
			}
			if now != style && (style != "" || now != resetAll) {
				b.WriteString(now)
			}
			style = now
			b.WriteString(text)
		}
		if style != resetAll {
			b.WriteString(resetAll)
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// opaque is the colour of a pixel, and whether it is seen: it is inside the picture and more than half opaque.
func opaque(m image.Image, x, y int) (color.NRGBA, bool) {
	if !image.Pt(x, y).In(m.Bounds()) {
		return color.NRGBA{}, false
	}
	c := color.NRGBAModel.Convert(m.At(x, y)).(color.NRGBA)
	return c, c.A > 127
}

// sgr selects a colour: 38 that of the text, 48 that of its background.
func sgr(which int, c color.NRGBA, trueColour bool) string {
	if trueColour {
		return fmt.Sprintf("\x1b[%d;2;%d;%d;%dm", which, c.R, c.G, c.B)
	}
	return fmt.Sprintf("\x1b[%d;5;%dm", which, nearest256(c))
}

// cubeLevels are the values of a channel in xterm's cube of 6×6×6 colours, which are numbers 16 to 231 of its 256.
var cubeLevels = [6]int{0, 95, 135, 175, 215, 255}

// greyish is how far apart the channels of a colour may be for it to be drawn as a grey.
const greyish = 16

// nearest256 is the number of the nearest colour of the cube, or for a colour that is nearly grey of the 24 greys that follow it.
func nearest256(c color.NRGBA) int {
	channels := []int{int(c.R), int(c.G), int(c.B)}
	number := 16
	for i, v := range channels {
		best := 0
		for level, at := range cubeLevels {
			if abs(at-v) < abs(cubeLevels[best]-v) {
				best = level
			}
		}
		number += best * [3]int{36, 6, 1}[i]
	}
	mean := (channels[0] + channels[1] + channels[2]) / 3
	if slices.Max(channels)-slices.Min(channels) > greyish || mean < 4 || mean > 246 { // greys are 8, 18, … 238
		return number
	}
	return 232 + min((mean-8+5)/10, 23)
}

func abs(v int) int { return max(v, -v) }
