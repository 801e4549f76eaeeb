package samples

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"

	"hbar/internal/atomicfile"
)

// SheetRoom is how many samples a contact sheet shows if nothing else is asked for.
const SheetRoom = 100

// Sheet collects samples for a contact sheet: images side by side, from left to right and from top to bottom; sounds
// as waveforms with their spectrograms below.
type Sheet struct {
	o       Options
	columns int
	x       []float64
	room    int
}

// NewSheet begins a sheet of the first samples, so many at most. columns 0 chooses: one for each class if labels go through the
// classes in turn, of which there are at most 32, else as many as there are rows.
func NewSheet(o Options, most, columns int) (*Sheet, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("samples: sheet: %w", err)
	}
	if o.Alphabet != nil {
		return nil, errors.New("samples: a contact sheet shows images and sounds; these samples are text, to be written as .txt")
	}
	if !o.IsImage() && len(o.Shape) != 2 {
		return nil, fmt.Errorf("samples: a contact sheet shows images and sounds, not samples of shape %v", o.Shape)
	}
	if o.IsImage() && (o.Shape[0] > sheetSide || o.Shape[1] > sheetSide) {
		return nil, fmt.Errorf("samples: images of %d×%d are too large for a contact sheet of at most %d pixels", o.Shape[1], o.Shape[0], sheetSide)
	}
	s := &Sheet{o: o, columns: columns, room: min(o.N, most) * o.d()}
	if s.columns <= 0 {
		s.columns = s.chooseColumns(min(o.N, most))
	}
	return s, nil
}

func (s *Sheet) chooseColumns(n int) int {
	if classes := classesInTurn(s.o.Label, n); classes > 0 {
		return classes
	}
	return int(math.Ceil(math.Sqrt(float64(n))))
}

// classesInTurn is how many classes the labels of n samples go through, if they do and these are few enough for a row; else 0.
func classesInTurn(label func(i int) int, n int) int {
	if label == nil {
		return 0
	}
	classes := 1
	for classes < n && classes <= mostColumns && label(classes) != label(0) {
		classes++
	}
	if classes > 1 && classes <= mostColumns && classes < n {
		return classes
	}
	return 0
}

// Add takes samples in data units, as many as still have room.
func (s *Sheet) Add(x []float64) { s.x = append(s.x, x[:min(len(x), s.room-len(s.x))]...) }

// Left is how many more samples it has room for.
func (s *Sheet) Left() int { return (s.room - len(s.x)) / s.o.d() }

// The measures of a sheet in pixels.
const (
	sheetGap    = 2
	mostColumns = 32   // of classes
	sheetTile   = 64   // small images are blown up to about this
	sheetWidth  = 1400 // and not beyond this width of all
	sheetSide   = 4096 // of one image at most
	waveHeight  = 48
	waveWidth   = 160
)

// Pictures are the samples one by one, images pixel by pixel and sounds as waveforms.
func (s *Sheet) Pictures() []image.Image {
	var all []image.Image
	for d := s.o.d(); len(s.x) >= d*(len(all)+1); {
		x, size := s.x[d*len(all):][:d], image.Pt(waveWidth, waveHeight)
		if s.o.IsImage() {
			size = image.Pt(s.o.Shape[1], s.o.Shape[0])
		}
		m := image.NewNRGBA(image.Rectangle{Max: size})
		if s.o.IsImage() {
			s.picture(m, image.Point{}, x, 1)
		} else {
			s.wave(m, image.Point{}, x)
		}
		all = append(all, m)
	}
	return all
}

// Image draws the sheet.
func (s *Sheet) Image() *image.NRGBA {
	n, d := len(s.x)/s.o.d(), s.o.d()
	columns := max(1, min(s.columns, n))
	lines := (n + columns - 1) / columns
	h, w, block := waveHeight+spectrumHeight, waveWidth, 1
	if s.o.IsImage() {
		h, w = s.o.Shape[0], s.o.Shape[1]
		block = max(1, min(sheetTile/max(h, w), sheetWidth/(columns*w)))
	}
	m := image.NewNRGBA(image.Rect(0, 0, columns*(w*block+sheetGap)+sheetGap, max(lines, 1)*(h*block+sheetGap)+sheetGap))
	for i := range m.Pix {
		m.Pix[i] = 0xff
	}
	for k := range n {
		at := image.Pt(sheetGap+(k%columns)*(w*block+sheetGap), sheetGap+(k/columns)*(h*block+sheetGap))
		if x := s.x[k*d : (k+1)*d]; s.o.IsImage() {
			s.picture(m, at, x, block)
		} else {
			s.wave(m, at, x)
			s.spectrum(m, at.Add(image.Pt(0, waveHeight)), x)
		}
	}
	return m
}

// picture draws an image, each of its pixels a block so that it stays sharp.
func (s *Sheet) picture(m *image.NRGBA, at image.Point, x []float64, block int) {
	h, w, c := s.o.Shape[0], s.o.Shape[1], s.o.Shape[2]
	for py := range h * block {
		for px := range w * block {
			p := x[(py/block*w+px/block)*c:][:c]
			m.SetNRGBA(at.X+px, at.Y+py, color.NRGBA{s.o.toByte(p[0]), s.o.toByte(p[c/2]), s.o.toByte(p[c-1]), 0xff})
		}
	}
}

// wave draws a sound: a vertical line from the least to the largest value of each column's stretch, over all channels.
func (s *Sheet) wave(m *image.NRGBA, at image.Point, x []float64) {
	length, c := s.o.Shape[0], s.o.Shape[1]
	row := func(v float64) int {
		return int(math.Round((1 - min(max(v, -1), 1)) / 2 * (waveHeight - 1)))
	}
	for px := range waveWidth {
		from, to := px*length/waveWidth, max((px+1)*length/waveWidth, px*length/waveWidth+1)
		lo, hi := math.Inf(1), math.Inf(-1)
		for _, v := range x[from*c : min(to, length)*c] {
			lo, hi = min(lo, v), max(hi, v)
		}
		for py := range waveHeight {
			shade := color.NRGBA{0xf1, 0xf1, 0xf1, 0xff}
			if hi >= lo && py >= row(hi) && py <= row(lo) {
				shade = color.NRGBA{0x1f, 0x4e, 0x79, 0xff}
			}
			m.SetNRGBA(at.X+px, at.Y+py, shade)
		}
	}
}

// Write draws the sheet into a PNG file, whole or not at all.
func (s *Sheet) Write(path string) error { return writePNG(path, s.Image()) }

func writePNG(path string, m image.Image) error {
	f, err := atomicfile.Create(path)
	if err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	defer f.Abort()
	if err := png.Encode(f, m); err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	if err := f.Commit(); err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	return nil
}
