package picture

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// fastPNG reads the PNG files that data sets are made of, of 8 bits a channel and not interlaced, with buffers that serve for the
// next one again: where pictures are small, image/png spends much of its time on making them. It does not decode rare forms and
// files with errors; image/png does that.
type fastPNG struct {
	in   bytes.Reader
	z    io.ReadCloser
	idat []byte
	raw  []byte
	pix  []byte
}

// fastMaxPixels bounds the pictures that are read so; the buffers stay.
const fastMaxPixels = 1 << 20

// layout is what a PNG says before its pixels.
type layout struct {
	w, h, colour int
	palette      [256][4]byte // red, green, blue, alpha
	colours      int          // in the palette
	idat         []byte
}

// The colour types of PNG.
const (
	pngGrey    = 0
	pngRGB     = 2
	pngPalette = 3
	pngRGBA    = 6
)

func (f *fastPNG) decode(b []byte) (p Picture, ok bool) {
	l, ok := f.parse(b)
	if !ok {
		return p, false
	}
	perPixel := map[int]int{pngGrey: 1, pngRGB: 3, pngPalette: 1, pngRGBA: 4}[l.colour]
	if perPixel == 0 || l.w*l.h > fastMaxPixels || l.colour == pngPalette && l.colours == 0 {
		return p, false
	}
	row := l.w * perPixel
	f.raw = sized(f.raw, l.h*(1+row))
	if !f.inflate(l.idat) {
		return p, false
	}
	for y := range l.h {
		var above []byte
		if y > 0 {
			above = f.raw[(y-1)*(1+row)+1:][:row]
		}
		if line := f.raw[y*(1+row):][:1+row]; !unfilter(line[0], line[1:], above, perPixel) {
			return p, false
		}
	}
	return f.convert(l, row)
}

// parse walks over the chunks and checks each.
func (f *fastPNG) parse(b []byte) (l layout, ok bool) {
	b = b[len(pngSignature):]
	parts, ended := 0, false // of IDAT, whose pieces follow each other
	for first := true; ; first = false {
		if len(b) < 12 {
			return l, false
		}
		n := binary.BigEndian.Uint32(b)
		if uint64(n) > uint64(len(b)-12) || (string(b[4:8]) == "IHDR") != first {
			return l, false
		}
		kind, body := string(b[4:8]), b[8:8+n]
		if crc32.ChecksumIEEE(b[4:8+n]) != binary.BigEndian.Uint32(b[8+n:]) {
			return l, false
		}
		b = b[12+n:]
		ended = ended || parts > 0 && kind != "IDAT"
		switch kind {
		case "IHDR":
			// Depth 8; one method each of compression, filtering and interlacing.
			if n != 13 || body[8] != 8 || body[10] != 0 || body[11] != 0 || body[12] != 0 {
				return l, false
			}
			l.w, l.h, l.colour = int(binary.BigEndian.Uint32(body)), int(binary.BigEndian.Uint32(body[4:])), int(body[9])
		case "PLTE":
			if l.colour != pngPalette || n%3 != 0 || n > 3*256 || l.colours > 0 || l.idat != nil {
				return l, false
			}
			l.colours = int(n / 3)
			for k := range l.colours {
				l.palette[k] = [4]byte{body[3*k], body[3*k+1], body[3*k+2], 255}
			}
		case "tRNS":
			if l.colour != pngPalette || int(n) > l.colours || l.idat != nil {
				return l, false
			}
			for k, alpha := range body {
				l.palette[k][3] = alpha
			}
		case "IDAT":
			if ended {
				return l, false
			}
			switch parts++; parts {
			case 1:
				l.idat = body
			case 2:
				f.idat = append(append(f.idat[:0], l.idat...), body...)
				l.idat = f.idat
			default:
				f.idat = append(f.idat, body...)
				l.idat = f.idat
			}
		case "IEND":
			return l, l.idat != nil
		default:
			if kind[0]&0x20 == 0 { // a chunk that must be understood
				return l, false
			}
		}
	}
}

// inflate fills raw, and sees that the compressed data end there, with the right checksum.
func (f *fastPNG) inflate(idat []byte) bool {
	f.in.Reset(idat)
	var err error
	if f.z == nil {
		f.z, err = zlib.NewReader(&f.in)
	} else {
		err = f.z.(zlib.Resetter).Reset(&f.in, nil)
	}
	if err != nil {
		f.z = nil
		return false
	}
	if _, err := io.ReadFull(f.z, f.raw); err != nil {
		return false
	}
	var one [1]byte
	n, err := f.z.Read(one[:])
	return n == 0 && err == io.EOF
}

// unfilter undoes the filter of a row (PNG specification, section 9); above is nil for the first.
func unfilter(filter byte, row, above []byte, perPixel int) bool {
	if above == nil && (filter == 2 || filter == 4) { // the row above counts as zero
		if filter == 2 {
			return true
		}
		filter = 1
	}
	switch filter {
	case 0:
	case 1: // the pixel to the left
		for i := perPixel; i < len(row); i++ {
			row[i] += row[i-perPixel]
		}
	case 2: // the pixel above
		above = above[:len(row)]
		for i, v := range above {
			row[i] += v
		}
	case 3: // the mean of both
		for i := range row {
			var left, up int
			if i >= perPixel {
				left = int(row[i-perPixel])
			}
			if above != nil {
				up = int(above[i])
			}
			row[i] += byte((left + up) / 2)
		}
	case 4: // Paeth: whichever of left, above and above left is nearest to left + above − above left
		above = above[:len(row)]
		for i := range min(perPixel, len(row)) {
			row[i] += above[i]
		}
		for i := perPixel; i < len(row); i++ {
			row[i] += paeth(int(row[i-perPixel]), int(above[i]), int(above[i-perPixel]))
		}
	default:
		return false
	}
	return true
}

func paeth(left, up, corner int) byte {
	toLeft, toUp := up-corner, left-corner
	toCorner := max(toLeft+toUp, -toLeft-toUp)
	toLeft, toUp = max(toLeft, -toLeft), max(toUp, -toUp)
	switch {
	case toLeft <= toUp && toLeft <= toCorner:
		return byte(left)
	case toUp <= toCorner:
		return byte(up)
	}
	return byte(corner)
}

// convert turns the rows of raw into a picture.
func (f *fastPNG) convert(l layout, row int) (p Picture, ok bool) {
	p = Picture{H: l.h, W: l.w, Channels: 3}
	if l.colour == pngGrey || l.colour == pngPalette && l.grey() {
		p.Channels = 1
	}
	f.pix = sized(f.pix, l.h*l.w*p.Channels)
	p.Pix = f.pix
	for y := range l.h {
		from, to := f.raw[y*(1+row)+1:][:row], p.Pix[y*l.w*p.Channels:][:l.w*p.Channels]
		switch l.colour {
		case pngGrey, pngRGB:
			copy(to, from)
		case pngRGBA:
			for x := range l.w {
				c, t := from[4*x:4*x+4:4*x+4], to[3*x:3*x+3:3*x+3]
				t[0], t[1], t[2] = c[0], c[1], c[2]
				if c[3] != 255 {
					p.Blended = true
					v := blend([3]byte{c[0], c[1], c[2]}, c[3])
					t[0], t[1], t[2] = v[0], v[1], v[2]
				}
			}
		case pngPalette:
			for x, k := range from {
				if int(k) >= l.colours {
					return p, false
				}
				c := &l.palette[k]
				p.Blended = p.Blended || c[3] != 255
				v := blend([3]byte{c[0], c[1], c[2]}, c[3])
				copy(to[x*p.Channels:][:p.Channels], v[:])
			}
		}
	}
	return p, true
}

// grey reports whether all colours of the palette are.
func (l *layout) grey() bool {
	for k := range l.colours {
		if c := l.palette[k]; c[0] != c[1] || c[1] != c[2] {
			return false
		}
	}
	return true
}
