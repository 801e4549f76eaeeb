package picture

import (
	"fmt"
	"image"

	"golang.org/x/image/draw"
)

// Fit says how a picture is brought to a size. The zero value leaves it as it is.
type Fit struct {
	Side int  // of the square that the picture is resized to; 0 keeps the size
	Crop bool // cut out the square at the centre first
}

// Size is the size that a picture of height h and width w has afterwards.
func (f Fit) Size(h, w int) (int, int, error) {
	if f.Crop {
		h, w = min(h, w), min(h, w)
	}
	if f.Side == 0 {
		return h, w, nil
	}
	if h != w {
		return 0, 0, fmt.Errorf("has %d×%d pixels, which is not square; crop it to the square at its centre (--crop) before it is resized", w, h)
	}
	return f.Side, f.Side, nil
}

// Bytes brings h × w × channels bytes to the size that Size says. The filter is Catmull–Rom, widened where the picture shrinks.
func (f Fit) Bytes(dst, src []byte, h, w, channels int) {
	side := min(h, w)
	at := image.Rect(0, 0, w, h)
	if f.Crop {
		at = image.Rect(0, 0, side, side).Add(image.Pt((w-side)/2, (h-side)/2))
	}
	if f.Side == 0 || f.Side == at.Dx() {
		for y := range at.Dy() {
			copy(dst[y*at.Dx()*channels:][:at.Dx()*channels], src[((at.Min.Y+y)*w+at.Min.X)*channels:])
		}
		return
	}
	to := image.NewRGBA(image.Rect(0, 0, f.Side, f.Side))
	from := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		p := from.Pix[4*i : 4*i+4]
		p[0], p[1], p[2], p[3] = src[i*channels], src[i*channels+channels/2], src[i*channels+channels-1], 0xff
	}
	draw.CatmullRom.Scale(to, to.Rect, from, at, draw.Src, nil)
	for i := range f.Side * f.Side {
		copy(dst[i*channels:][:channels], to.Pix[4*i:])
	}
}
