package term

import (
	"image"
	"math"

	"golang.org/x/image/draw"
)

// Sizes of grids.
const (
	gap       = 1  // pixels between pictures
	sharpGap  = 4  // the same where pixels are small
	fewest    = 8  // pictures that should be seen where they can only be small
	fewSharp  = 40 // and where there are many pixels
	sharpSide = 64 // small pictures are enlarged to about this many pixels, where these are small
	dotsSide  = 24 // and to this many dots, so that these make shades
)

// Grid is a picture of pictures of one size, as many as are seen well: from left to right and from top to bottom, the gaps
// transparent. It returns how many they are.
func (t Terminal) Grid(pictures []image.Image) (*image.NRGBA, int) {
	if len(pictures) == 0 {
		return image.NewNRGBA(image.Rectangle{}), 0
	}
	space, between, want := t.Pixels(), gap, min(len(pictures), fewest)
	if t.Sharp() {
		between, want = sharpGap, min(len(pictures), fewSharp)
	}
	own := pictures[0].Bounds().Size()
	tile := t.tile(own, func(tile image.Point) bool { return fit(space, tile, between) >= want })
	columns := min(len(pictures), max(1, (space.X+between)/(tile.X+between)))
	rows := min((len(pictures)+columns-1)/columns, max(1, (space.Y+between)/(tile.Y+between)))
	n := min(len(pictures), columns*rows)
	m := image.NewNRGBA(image.Rect(0, 0, columns*(tile.X+between)-between, rows*(tile.Y+between)-between))
	for i, p := range pictures[:n] {
		at := image.Pt(i%columns*(tile.X+between), i/columns*(tile.Y+between))
		var by draw.Scaler = draw.NearestNeighbor // enlarged pixels stay sharp
		if tile.X < own.X {
			by = draw.CatmullRom
		}
		by.Scale(m, image.Rectangle{at, at.Add(tile)}, p, p.Bounds(), draw.Src, nil)
	}
	return m, n
}

// fit is how many tiles have room.
func fit(space, tile image.Point, between int) int {
	return ((space.X + between) / (tile.X + between)) * ((space.Y + between) / (tile.Y + between))
}

// tile is the size of a picture on the screen: its own times an integer where that is wanted and fits, its own, or the largest
// part of it that fits.
func (t Terminal) tile(own image.Point, fits func(image.Point) bool) image.Point {
	side := map[Mode]int{Kitty: sharpSide, Sixel: sharpSide, Braille: dotsSide}[t.Mode]
	for factor := side / max(own.X, own.Y); factor > 1; factor-- {
		if large := own.Mul(factor); fits(large) {
			return large
		}
	}
	for width := own.X; width > 1; width-- {
		size := image.Pt(width, max(1, int(math.Round(float64(own.Y)*float64(width)/float64(own.X)))))
		if fits(size) {
			return size
		}
	}
	return image.Pt(1, 1)
}
