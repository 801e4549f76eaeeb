package term

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// gradient is a picture of odd sizes, with a transparent corner.
func gradient(w, h int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetNRGBA(x, y, color.NRGBA{uint8(255 * x / w), uint8(255 * y / h), uint8(40 * ((x + y) % 3)), 0xff})
		}
	}
	for y := range h / 3 {
		for x := range w / 3 {
			m.SetNRGBA(x, y, color.NRGBA{})
		}
	}
	return m
}

func drawn(t *testing.T, mode Mode, trueColour bool, m image.Image) string {
	t.Helper()
	var b bytes.Buffer
	if err := (Terminal{Mode: mode, TrueColour: trueColour}).Draw(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// compare checks a decoded picture: its size, what is transparent, and each colour to the given error in a channel.
func compare(t *testing.T, what string, got, want *image.NRGBA, allowed int) {
	t.Helper()
	if got.Bounds() != want.Bounds() {
		t.Fatalf("%s: a picture of %v, want %v", what, got.Bounds(), want.Bounds())
	}
	worst := 0
	for y := range want.Bounds().Dy() {
		for x := range want.Bounds().Dx() {
			g, w := got.NRGBAAt(x, y), want.NRGBAAt(x, y)
			if g.A != w.A {
				t.Fatalf("%s: pixel %d, %d has opacity %d, want %d", what, x, y, g.A, w.A)
			}
			for _, d := range []int{int(g.R) - int(w.R), int(g.G) - int(w.G), int(g.B) - int(w.B)} {
				worst = max(worst, d, -d)
			}
		}
	}
	if worst > allowed {
		t.Errorf("%s: a colour is %d from the right one, allowed are %d", what, worst, allowed)
	}
}

// xterm is colour n of xterm's 256: a cube of 6×6×6 and 24 greys (the sixteen before them are the user's).
func xterm(n int) color.NRGBA {
	level := func(i int) uint8 { return []uint8{0, 95, 135, 175, 215, 255}[i] }
	if n < 232 {
		return color.NRGBA{level((n - 16) / 36), level((n - 16) / 6 % 6), level((n - 16) % 6), 0xff}
	}
	g := uint8(8 + 10*(n-232))
	return color.NRGBA{g, g, g, 0xff}
}

// screen plays a terminal: it puts cells of half blocks on a picture.
func screen(t *testing.T, text string, w, h int) *image.NRGBA {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	var fore, back color.NRGBA
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for row, line := range lines {
		if fore.A != 0 || back.A != 0 {
			t.Error("a line ends in colour")
		}
		for x := 0; line != ""; {
			if rest, ok := strings.CutPrefix(line, "\x1b["); ok {
				codes, after, _ := strings.Cut(rest, "m")
				line = after
				var n []int
				for _, c := range strings.Split(codes, ";") {
					v, err := strconv.Atoi(c)
					if err != nil {
						t.Fatalf("code %q", codes)
					}
					n = append(n, v)
				}
				c := color.NRGBA{}
				switch {
				case n[0] == 0:
					fore, back = c, c
					continue
				case n[1] == 2:
					c = color.NRGBA{uint8(n[2]), uint8(n[3]), uint8(n[4]), 0xff}
				case n[1] == 5:
					c = xterm(n[2])
				}
				if n[0] == 38 {
					fore = c
				} else {
					back = c
				}
				continue
			}
			r := []rune(line)[0]
			line = line[len(string(r)):]
			top, bottom := back, back
			switch r {
			case '▀':
				top = fore
			case '▄':
				bottom = fore
			case ' ':
			default:
				t.Fatalf("cell %q", r)
			}
			m.SetNRGBA(x, 2*row, top)
			m.SetNRGBA(x, 2*row+1, bottom)
			x++
		}
	}
	return m
}

// A terminal that is played by this test shows the picture: exactly in 24-bit colours, and in 256 to half of what is between two
// levels of the cube, the first two, which are 95 apart.
func TestBlocks(t *testing.T) {
	m := gradient(31, 17)
	compare(t, "24-bit", screen(t, drawn(t, Blocks, true, m), 31, 17), m, 0)
	const cube = 95/2 + 1
	compare(t, "256 colours", screen(t, drawn(t, Blocks, false, m), 31, 17), m, cube)
	for v := range 256 { // greys are ten apart, and from black and to white
		g := uint8(v)
		if got := int(xterm(nearest256(color.NRGBA{g, g, g, 0xff})).R); max(got-v, v-got) > 9 {
			t.Errorf("grey %d is drawn as %d", v, got)
		}
	}
	plain := image.NewNRGBA(image.Rect(0, 0, 3, 2))
	if got := drawn(t, Blocks, true, plain); got != "   \n" {
		t.Errorf("nothing is drawn as %q", got)
	}
}

// Kitty's protocol carries a PNG in base64, in parts of at most 4096 bytes, all but the last with m=1.
func TestKitty(t *testing.T) {
	m := gradient(211, 97)
	text := strings.TrimSuffix(drawn(t, Kitty, true, m), "\n")
	var data strings.Builder
	for first := true; text != ""; first = false {
		part, rest, ok := strings.Cut(text, "\x1b\\")
		keys, payload, _ := strings.Cut(strings.TrimPrefix(part, "\x1b_G"), ";")
		if !ok || !strings.HasPrefix(part, "\x1b_G") || len(payload) > 4096 || strings.Contains(keys, "a=T") != first || first && !strings.Contains(keys, "f=100") {
			t.Fatalf("a part with keys %q and %d bytes", keys, len(payload))
		}
		if last := rest == ""; strings.Contains(keys, "m=1") == last {
			t.Errorf("the last part %v has keys %q", last, keys)
		}
		data.WriteString(payload)
		text = rest
	}
	b, err := base64.StdEncoding.DecodeString(data.String())
	if err != nil {
		t.Fatal(err)
	}
	got, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "Kitty", got.(*image.NRGBA), m, 0)
}

// sixels plays a VT340.
func sixels(t *testing.T, text string, w, h int) *image.NRGBA {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	text, ok := strings.CutPrefix(text, "\x1bP0;1q")
	text, end := strings.CutSuffix(text, "\x1b\\\n")
	if !ok || !end {
		t.Fatalf("no sixels: %.20q", text)
	}
	palette := map[int]color.NRGBA{}
	colour, x, y, repeat := 0, 0, 0, 1
	numbers := func() (n []int) {
		i := strings.IndexFunc(text, func(r rune) bool { return r != ';' && (r < '0' || r > '9') })
		if i < 0 {
			i = len(text)
		}
		for _, s := range strings.Split(text[:i], ";") {
			v, _ := strconv.Atoi(s)
			n = append(n, v)
		}
		text = text[i:]
		return n
	}
	for text != "" {
		c := text[0]
		text = text[1:]
		switch {
		case c == '"':
			if n := numbers(); len(n) != 4 || n[0] != n[1] || n[2] != w || n[3] != h {
				t.Errorf("raster attributes %v, want square pixels and %d, %d", n, w, h)
			}
		case c == '#':
			n := numbers()
			colour = n[0]
			if len(n) == 5 {
				percent := func(v int) uint8 { return uint8(math.Round(float64(v) * 2.55)) }
				palette[n[0]] = color.NRGBA{percent(n[2]), percent(n[3]), percent(n[4]), 0xff}
			}
		case c == '!':
			repeat = numbers()[0]
		case c == '$':
			x = 0
		case c == '-':
			x, y = 0, y+6
		case c >= '?' && c <= '~':
			for range repeat {
				for bit := range 6 {
					if (c-'?')>>bit&1 == 1 {
						m.SetNRGBA(x, y+bit, palette[colour])
					}
				}
				x++
			}
			repeat = 1
		default:
			t.Fatalf("byte %q", c)
		}
	}
	return m
}

// A VT340 that is played by this test shows the picture. Its colours are in percent, so they err by 1.3 of 255; those of a picture of
// more than 256 colours are means of those in a box of the median cut, which is up to 32 wide for these 2870 colours.
func TestSixel(t *testing.T) {
	few := gradient(14, 13)
	compare(t, "few colours", sixels(t, drawn(t, Sixel, true, few), 14, 13), few, 2)
	many := gradient(70, 41)
	// The encoder makes a palette of 256 colours, and goes through the colours in an order that differs from run to run: 34 was the most in 900 runs.
	compare(t, "many colours", sixels(t, drawn(t, Sixel, true, many), 70, 41), many, 48)
}

// The decoder of libsixel shows the same picture.
func TestSixelByLibsixel(t *testing.T) {
	const decoder = "sixel2png"
	if _, err := exec.LookPath(decoder); err != nil {
		t.Skipf("%s is not installed (Debian: libsixel-bin): %v", decoder, err)
	}
	m := gradient(14, 13)
	for i := 3; i < len(m.Pix); i += 4 {
		m.Pix[i] = 0xff // it knows nothing transparent
	}
	dir := t.TempDir()
	in, out := filepath.Join(dir, "a.six"), filepath.Join(dir, "a.png")
	if err := os.WriteFile(in, []byte(drawn(t, Sixel, true, m)), 0o666); err != nil {
		t.Fatal(err)
	}
	if b, err := exec.Command(decoder, "-i", in, "-o", out).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	decoded, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	got := image.NewNRGBA(m.Bounds())
	for y := range 13 {
		for x := range 14 {
			got.Set(x, y, decoded.At(x, y))
		}
	}
	compare(t, "libsixel", got, m, 3)
}

// Braille: each cell's dots are those of Unicode's chart, and dithering keeps the mean lightness, to the error that leaves the picture
// at its edges: at most half a pixel for each pixel of the edges.
func TestBraille(t *testing.T) {
	m := image.NewNRGBA(image.Rect(0, 0, 3, 5))
	for y := range 5 {
		for x := range 3 {
			m.SetNRGBA(x, y, Grey(0))
		}
	}
	m.SetNRGBA(0, 0, Grey(1)) // dot 1
	m.SetNRGBA(1, 1, Grey(1)) // dot 5
	m.SetNRGBA(2, 3, Grey(1)) // dot 7 of the next cell
	m.SetNRGBA(1, 4, Grey(1)) // dot 4 of the next line
	if got, want := drawn(t, Braille, false, m), "⠑⡀\n⠈⠀\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	const w, h = 40, 32
	grey := image.NewNRGBA(image.Rect(0, 0, w, h))
	sum := 0.0
	for y := range h {
		for x := range w {
			v := float64(x) / (w - 1)
			grey.SetNRGBA(x, y, Grey(v))
			sum += v
		}
	}
	dots := 0
	for _, r := range drawn(t, Braille, false, grey) {
		if r >= brailleBlank {
			for bits := r - brailleBlank; bits > 0; bits &= bits - 1 {
				dots++
			}
		}
	}
	if edge := 0.5 * (w + 2*h); math.Abs(float64(dots)-sum) > edge {
		t.Errorf("%d dots for a lightness of %.1f, allowed are %.0f more or less", dots, sum, edge)
	}
}

func TestShades(t *testing.T) {
	m := image.NewNRGBA(image.Rect(0, 0, 5, 3))
	for x := range 5 {
		m.SetNRGBA(x, 0, Grey(float64(x)/4))
		m.SetNRGBA(x, 1, Grey(float64(x)/4))
		m.SetNRGBA(x, 2, Grey(1)) // half a cell
	}
	if got, want := drawn(t, Shades, false, m), " ░▒▓█\n▒▒▒▒▒\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
