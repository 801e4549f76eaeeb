// Package picture turns PNG and JPEG files into bytes, height × width × channels.
//
// Grey pictures have one channel, all others three: red, green, blue. Transparent pixels are laid over white. Pictures of 16
// bits a channel keep the upper eight. Colour profiles and orientations that a file may name are not applied.
package picture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"strings"
)

// MaxPixels bounds the number of pixels that a file may declare.
const MaxPixels = 1 << 26

// IsPicture reports whether a file name is that of a PNG or JPEG.
func IsPicture(name string) bool {
	name = strings.ToLower(name)
	return strings.HasSuffix(name, ".png") || strings.HasSuffix(name, ".jpg") || strings.HasSuffix(name, ".jpeg")
}

const pngSignature = "\x89PNG\r\n\x1a\n"

// Picture is height × width × channels bytes.
type Picture struct {
	H, W, Channels int    // Channels is 1 or 3
	Pix            []byte // row by row
	Blended        bool   // it had transparent pixels
}

// Decoder reads pictures one after the other. Its zero value is ready.
type Decoder struct {
	fast fastPNG
	pix  []byte
}

// Decode reads a PNG or JPEG, whatever its name. It looks at the declared size before it makes room for it. The pixels are valid
// until the next call.
func (d *Decoder) Decode(b []byte) (Picture, error) {
	var m image.Image
	var err error
	switch {
	case len(b) == 0:
		return Picture{}, errors.New("empty file")
	case bytes.HasPrefix(b, []byte(pngSignature)):
		if err := checkPNG(b); err != nil {
			return Picture{}, err
		}
		if p, ok := d.fast.decode(b); ok {
			return p, nil
		}
		m, err = png.Decode(bytes.NewReader(b))
	case bytes.HasPrefix(b, []byte{0xff, 0xd8}):
		c, cerr := jpeg.DecodeConfig(bytes.NewReader(b))
		if cerr != nil {
			return Picture{}, plain(cerr)
		}
		// A block of 8×8 takes a bit at the least.
		if err := checkSize(uint64(c.Width), uint64(c.Height), len(b), 512); err != nil {
			return Picture{}, err
		}
		m, err = jpeg.Decode(bytes.NewReader(b))
	default:
		return Picture{}, errors.New("neither PNG nor JPEG")
	}
	if err != nil {
		return Picture{}, plain(err)
	}
	p := Picture{H: m.Bounds().Dy(), W: m.Bounds().Dx(), Channels: channels(m, b)}
	d.pix = sized(d.pix, p.H*p.W*p.Channels)
	p.Pix = d.pix
	toBytes(p.Pix, m, p.Channels)
	if o, ok := m.(interface{ Opaque() bool }); ok {
		p.Blended = !o.Opaque()
	}
	return p, nil
}

// WithChannels is the pixels with 1 or 3 channels. Those of a grey picture are repeated in three.
func (p Picture) WithChannels(channels int) []byte {
	if channels == p.Channels {
		return p.Pix
	}
	out := make([]byte, 3*len(p.Pix))
	for i, v := range p.Pix {
		out[3*i], out[3*i+1], out[3*i+2] = v, v, v
	}
	return out
}

// sized is b with the length n, or a new slice if it is too small.
func sized(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// checkPNG checks what the header of a PNG declares against the size of the file.
func checkPNG(b []byte) error {
	if len(b) < 33 || string(b[12:16]) != "IHDR" {
		return errors.New("truncated PNG: it ends within its header")
	}
	w, h := uint64(binary.BigEndian.Uint32(b[16:])), uint64(binary.BigEndian.Uint32(b[20:]))
	bits := uint64(b[24])
	switch b[25] {
	case 2:
		bits *= 3
	case 4:
		bits *= 2
	case 6:
		bits *= 4
	}
	// Deflate makes at most 1032 bytes of one.
	return checkSize(w, h, len(b), 1032*8/max(bits, 1))
}

func checkSize(w, h uint64, size int, pixelsPerByte uint64) error {
	if w == 0 || h == 0 {
		return fmt.Errorf("declares %d×%d pixels", w, h)
	}
	if w > MaxPixels || h > MaxPixels || w*h > MaxPixels {
		return fmt.Errorf("declares %d×%d pixels; at most 2²⁶ are read", w, h)
	}
	if w*h > pixelsPerByte*uint64(size) {
		return fmt.Errorf("declares %d×%d pixels in a file of %d bytes, which cannot hold them", w, h, size)
	}
	return nil
}

// plain drops the name of the standard library's package from an error.
func plain(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if strings.Contains(text, "unexpected EOF") || text == "EOF" {
		return errors.New("truncated: the picture ends early")
	}
	return errors.New(strings.TrimPrefix(strings.TrimPrefix(text, "png: "), "jpeg: "))
}

// channels is 1 for a grey picture and 3 for all others. b is the file that m was read from.
func channels(m image.Image, b []byte) int {
	switch m := m.(type) {
	case *image.Gray, *image.Gray16:
		return 1
	case *image.Paletted:
		for _, c := range m.Palette {
			if r, g, b, _ := c.RGBA(); r != g || g != b {
				return 3
			}
		}
		return 1
	case *image.NRGBA, *image.NRGBA64:
		// Go reads grey with transparency as colours.
		if bytes.HasPrefix(b, []byte(pngSignature)) && (b[25] == 0 || b[25] == 4) {
			return 1
		}
	}
	return 3
}

// toBytes writes the pixels of m to dst, height × width × channels, row by row.
func toBytes(dst []byte, m image.Image, channels int) {
	r := m.Bounds()
	w, h := r.Dx(), r.Dy()
	_ = dst[:w*h*channels]
	switch m := m.(type) {
	case *image.Gray:
		for y := range h {
			row := m.Pix[m.PixOffset(r.Min.X, r.Min.Y+y):][:w]
			if channels == 1 {
				copy(dst[y*w:], row)
				continue
			}
			to := dst[y*w*3:][:w*3]
			for x, v := range row {
				to[3*x], to[3*x+1], to[3*x+2] = v, v, v
			}
		}
	case *image.RGBA: // from PNG and JPEG always opaque
		for y := range h {
			fourToBytes(dst[y*w*channels:], m.Pix[m.PixOffset(r.Min.X, r.Min.Y+y):][:4*w], channels, false)
		}
	case *image.NRGBA:
		for y := range h {
			fourToBytes(dst[y*w*channels:], m.Pix[m.PixOffset(r.Min.X, r.Min.Y+y):][:4*w], channels, true)
		}
	case *image.Paletted:
		table := make([][3]byte, 256)
		for k, c := range m.Palette {
			table[k] = overWhite(c)
		}
		for y := range h {
			for x, k := range m.Pix[m.PixOffset(r.Min.X, r.Min.Y+y):][:w] {
				copy(dst[(y*w+x)*channels:][:channels], table[k][:])
			}
		}
	case *image.YCbCr:
		for y := range h {
			for x := range w {
				i, j := m.YOffset(r.Min.X+x, r.Min.Y+y), m.COffset(r.Min.X+x, r.Min.Y+y)
				var c [3]byte
				c[0], c[1], c[2] = color.YCbCrToRGB(m.Y[i], m.Cb[j], m.Cr[j])
				copy(dst[(y*w+x)*channels:][:channels], c[:])
			}
		}
	case *image.NRGBA64: // the upper byte of each
		for y := range h {
			for x := range w {
				p := m.Pix[m.PixOffset(r.Min.X+x, r.Min.Y+y):][:8]
				c := blend([3]byte{p[0], p[2], p[4]}, p[6])
				copy(dst[(y*w+x)*channels:][:channels], c[:])
			}
		}
	default: // 16 bits without transparency, CMYK
		for y := range h {
			for x := range w {
				c := overWhite(m.At(r.Min.X+x, r.Min.Y+y))
				copy(dst[(y*w+x)*channels:][:channels], c[:])
			}
		}
	}
}

// fourToBytes takes pixels of red, green, blue and alpha.
func fourToBytes(dst, pix []byte, channels int, alpha bool) {
	for x := 0; 4*x < len(pix); x++ {
		p := pix[4*x : 4*x+4 : 4*x+4]
		c := [3]byte{p[0], p[1], p[2]}
		if alpha && p[3] != 0xff {
			c = blend(c, p[3])
		}
		copy(dst[x*channels:][:channels], c[:])
	}
}

// blend lays a colour that is not multiplied with its alpha over white.
func blend(c [3]byte, alpha byte) [3]byte {
	for k, v := range c {
		c[k] = byte((int(v)*int(alpha) + 255*(255-int(alpha)) + 127) / 255)
	}
	return c
}

func overWhite(c color.Color) [3]byte {
	n := color.NRGBAModel.Convert(c).(color.NRGBA)
	return blend([3]byte{n.R, n.G, n.B}, n.A)
}
