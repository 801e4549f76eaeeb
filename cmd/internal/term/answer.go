package term

import (
	"bytes"
	"image"
	"strconv"
	"strings"
)

// question asks a terminal, in this order: whether it has Kitty's graphics (it is to check a picture of one pixel and not to show it);
// how large a cell is (XTWINOPS 16); and what kind of terminal it is (primary device attributes, DA1). All terminals answer the last
// one, so its answer is the end of all answers.
const question = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\" + "\x1b[16t" + "\x1b[c"

// answer is what a terminal has said.
type answer struct {
	kitty, sixel bool
	cell         image.Point // zero: it did not say
	whole        bool        // the last answer is there
}

// sixelAttribute is the number by which a terminal says among its attributes that it has sixels.
const sixelAttribute = "4"

// parseAnswer reads what has come so far. Other bytes in between, keys that were pressed for instance, are ignored.
func parseAnswer(b []byte) (a answer) {
	for len(b) > 0 {
		i := bytes.IndexByte(b, 0x1b)
		if i < 0 || i+1 >= len(b) {
			break
		}
		kind := b[i+1]
		b = b[i+2:]
		switch kind {
		case '_': // APC … ST
			text, rest, ok := bytes.Cut(b, []byte("\x1b\\"))
			if !ok {
				return a
			}
			b = rest
			if bytes.HasPrefix(text, []byte("Gi=31;OK")) || bytes.HasPrefix(text, []byte("Gi=31,")) && bytes.HasSuffix(text, []byte(";OK")) {
				a.kitty = true
			}
		case '[': // CSI parameters and a final byte
			end := bytes.IndexFunc(b, func(r rune) bool { return r >= 0x40 && r <= 0x7e })
			if end < 0 {
				return a
			}
			a.control(string(b[:end]), b[end])
			b = b[end+1:]
		}
	}
	return a
}

// control reads an answer of the form CSI.
func (a *answer) control(parameters string, final byte) {
	p := strings.Split(strings.TrimPrefix(parameters, "?"), ";")
	switch {
	case final == 'c' && strings.HasPrefix(parameters, "?"):
		a.whole = true
		for _, attribute := range p[1:] {
			a.sixel = a.sixel || attribute == sixelAttribute
		}
	case final == 't' && len(p) == 3 && p[0] == "6":
		h, err1 := strconv.Atoi(p[1])
		w, err2 := strconv.Atoi(p[2])
		if err1 == nil && err2 == nil && w > 0 && h > 0 && w <= mostCell && h <= mostCell {
			a.cell = image.Pt(w, h)
		}
	}
}

// mostCell is the largest side of a cell, in pixels, that is believed.
const mostCell = 200
