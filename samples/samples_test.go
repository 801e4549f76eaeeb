package samples

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hbar/data"
)

// values is n×d numbers that do not repeat soon, from lo to hi.
func values(n int, lo, hi float64) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = lo + (hi-lo)*float64((i*i+3*i)%257)/256
	}
	return x
}

// put writes samples in pieces that split them.
func put(t *testing.T, path string, o Options, x []float64) {
	t.Helper()
	w, err := Create(path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for from := 0; from < len(x); from += 7 {
		if err := w.WriteFloat64(x[from:min(from+7, len(x))]); err != nil {
			t.Fatal(err)
		}
	}
	if w.Rows() != int64(o.N) {
		t.Errorf("%s: %d rows, want %d", path, w.Rows(), o.N)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
}

// Images that are written as .npz and as a folder read back with the same bytes and labels.
func TestImagesRoundTrip(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []int{1, 3} {
		o := Options{N: 12, Shape: []int{4, 5, c}, Low: -1, High: 1, Label: func(i int) int { return i % 5 }}
		x := values(o.N*20*c, -1.2, 1.2)
		x[3] = math.NaN()
		want := make([]byte, len(x))
		for i, v := range x {
			want[i] = byte(math.Round(min(max((v+1)*127.5, 0), 255)))
		}
		want[3] = 0
		for _, name := range []string{"x.npz", "pictures/"} {
			path := filepath.Join(dir, string(rune('0'+c))+name[:1])
			if err := os.Mkdir(path, 0o777); err != nil {
				t.Fatal(err)
			}
			path += "/" + name
			put(t, path, o, x)
			s, err := data.LoadWith(path, data.Options{Cache: data.NoCache})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(s.Bytes, want) || !slices.Equal(s.Shape, o.Shape) || s.Classes != 5 || s.Labels[7] != 2 {
				t.Errorf("%s, %d channels: shape %v, labels %v", name, c, s.Shape, s.Labels)
			}
		}
	}
}

// The same samples give the same file; tables and sequences are kept as floats.
func TestNpz(t *testing.T) {
	dir := t.TempDir()
	for _, shape := range [][]int{{3}, {6, 2}, {2, 2, 5}} {
		for _, dtype := range []data.DType{"", data.Float64} {
			o := Options{N: 4, Shape: shape, DType: dtype}
			x := values(4*o.d(), -5, 9)
			a, b := filepath.Join(dir, "a.npz"), filepath.Join(dir, "b.npz")
			put(t, a, o, x)
			put(t, b, o, x)
			p, err := os.ReadFile(a)
			if err != nil {
				t.Fatal(err)
			}
			if q, err := os.ReadFile(b); err != nil || !bytes.Equal(p, q) {
				t.Errorf("shape %v: two files of the same samples differ (%v)", shape, err)
			}
			length := 0
			if len(shape) == 2 {
				length = shape[0]
			}
			s, err := data.LoadWith(a, data.Options{Length: length})
			if err != nil || !slices.Equal(s.Shape, shape) || s.Labels != nil {
				t.Fatalf("shape %v: %v, %v", shape, s, err)
			}
			for i, v := range s.X {
				if want := x[i]; v != want && (dtype == data.Float64 || v != float64(float32(want))) {
					t.Errorf("shape %v: value %d is %v, want %v", shape, i, v, want)
				}
			}
		}
	}
}

func TestSounds(t *testing.T) {
	dir := t.TempDir()
	o := Options{N: 3, Shape: []int{10, 2}, SampleRate: 4000, Label: func(i int) int { return 2 - i }}
	x := values(60, -1.1, 1.1)
	x[1] = math.NaN()
	for _, name := range []string{"x.wav", "sounds/"} {
		put(t, dir+"/"+name, o, x)
		s, err := data.LoadWith(dir+"/"+name, data.Options{Length: 10})
		if err != nil || s.N() != 3 || !slices.Equal(s.Shape, o.Shape) || s.SampleRate != 4000 {
			t.Fatalf("%s: %v, %v", name, s, err)
		}
		if folder := name != "x.wav"; folder != slices.Equal(s.Labels, []int32{2, 1, 0}) {
			t.Errorf("%s: labels %v", name, s.Labels)
		}
		for i, v := range s.X {
			want := min(max(x[i], -1), 32767./32768)
			if i == 1 {
				want = 0
			}
			if math.Abs(v-want) > 0.5/32768+1e-12 { // half a step of 16 bits
				t.Errorf("%s: sample %d is %v, want %v", name, i, v, want)
			}
		}
	}
}

// A sheet has the samples in their order, each pixel a block, one class a column.
func TestSheet(t *testing.T) {
	o := Options{N: 5, Shape: []int{2, 2, 1}, Label: func(i int) int { return i % 3 }}
	s, err := NewSheet(o, 100, 0)
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float64, 20)
	for i := range x {
		x[i] = float64(10 * i)
	}
	s.Add(x[:9])
	s.Add(x[9:])
	s.Add(x) // there is no room for more
	path := filepath.Join(t.TempDir(), "sheet.png")
	if err := s.Write(path); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	const block = sheetTile / 2
	if m.Bounds().Dx() != 3*(2*block+sheetGap)+sheetGap || m.Bounds().Dy() != 2*(2*block+sheetGap)+sheetGap {
		t.Fatalf("a sheet of %v", m.Bounds())
	}
	for k := range 5 {
		for p := range 4 {
			px := sheetGap + k%3*(2*block+sheetGap) + p%2*block + block/2
			py := sheetGap + k/3*(2*block+sheetGap) + p/2*block + block/2
			if got := color.GrayModel.Convert(m.At(px, py)).(color.Gray).Y; got != uint8(x[4*k+p]) {
				t.Errorf("pixel %d of image %d is %d, want %g", p, k, got, x[4*k+p])
			}
		}
	}
	last := m.Bounds().Max
	if r, _, _, _ := m.At(last.X-3, last.Y-3).RGBA(); r != 0xffff {
		t.Error("where there is no image, the sheet is not white")
	}
	sound, err := NewSheet(Options{N: 1, Shape: []int{320, 1}}, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	loud := make([]float64, 320)
	for i := 160; i < 320; i++ {
		loud[i] = []float64{-1, 1}[i%2]
	}
	sound.Add(loud)
	n := [2]int{}
	img := sound.Image()
	for y := range sheetGap + waveHeight {
		for x := range img.Rect.Dx() {
			if img.NRGBAAt(x, y).R == 0x1f {
				n[2*x/img.Rect.Dx()]++
			}
		}
	}
	if n[0] != 80 || n[1] != 80*waveHeight {
		t.Errorf("a sound, silent and then loud, has %v pixels", n)
	}
}

// TestSpectrogram: the power of a sine of a quarter of the sample rate lies at the middle frequency, in the half of the sound that
// has it, with Hann's window of N samples: (N/4)² there, a quarter of that beside it, and nothing further on.
func TestSpectrogram(t *testing.T) {
	const length, columns = 4096, 16
	x := make([]float64, 2*length) // two channels, of which one is silent
	for i := length / 2; i < length; i++ {
		x[2*i] = 2 * math.Sin(math.Pi/2*float64(i))
	}
	const want = spectrumWindow * spectrumWindow / 16
	for px, column := range spectrogram(x, 2, columns) {
		centre := (2*px + 1) * length / (2 * columns)
		if centre+spectrumWindow/2 > length/2 && centre-spectrumWindow/2 < length/2 {
			continue // the piece has a part of both halves
		}
		for k, p := range column {
			expected := 0.0
			if px >= columns/2 {
				expected = map[int]float64{spectrumHeight / 2: want, spectrumHeight/2 - 1: want / 4, spectrumHeight/2 + 1: want / 4}[k]
			}
			if math.Abs(p-expected) > 1e-9*want { // rounding of 128 terms in float64
				t.Errorf("column %d, frequency %d: power %g, want %g", px, k, p, expected)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	image := Options{N: 2, Shape: []int{2, 2, 3}}
	for _, c := range []struct {
		path string
		o    Options
		want string
	}{
		{"x.npy", image, `ending ".npy"; have .npz, .wav, .txt, /`},
		{"x.npz", Options{N: 0, Shape: []int{2}}, "want at least one"},
		{"x.npz", Options{N: 2, Shape: []int{2, 2, 3}, Low: 3, High: 1}, "the lower one first"},
		{"x/", Options{N: 2, Shape: []int{2}}, "are no pictures"},
		{"x/", Options{N: 2, Shape: []int{2, 2, 2}}, "are no pictures"},
		{"x.wav", image, "are no sounds"},
		{"x.wav", Options{N: 1 << 20, Shape: []int{1 << 20, 1}}, "4 GiB"},
		{"none/x.npz", image, "does not exist"},
	} {
		if _, err := Create(dir+"/"+c.path, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s of %v: %v, want %q", c.path, c.o.Shape, err, c.want)
		}
	}
	for _, name := range []string{"x.npz", "x/", "y.wav"} {
		o := image
		if name == "y.wav" {
			o.Shape = []int{4, 3}
		}
		w, err := Create(dir+"/"+name, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.WriteFloat64(make([]float64, 13)); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(); err == nil || !strings.Contains(err.Error(), "1 of 2 samples") {
			t.Errorf("%s: half of the samples: %v", name, err)
		}
		w, err = Create(dir+"/"+name, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.WriteFloat64(make([]float64, 36)); err == nil || !strings.Contains(err.Error(), "more than the 2 samples") {
			t.Errorf("%s: too many samples: %v", name, err)
		}
		w.Abort()
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := NewSheet(Options{N: 1, Shape: []int{2}}, 1, 0); err == nil {
		t.Error("a contact sheet of points is no error")
	}
}

// A table has its rows one below the other, each with its name beside it and one column for each class.
func TestTable(t *testing.T) {
	row := func(v float64, label func(int) int) *Sheet {
		s, err := NewRow(Options{N: 40, Shape: []int{2, 2, 1}, Label: label})
		if err != nil {
			t.Fatal(err)
		}
		for range 40 {
			s.Add([]float64{v, v, v, v})
		}
		return s
	}
	for _, c := range []struct {
		label   func(int) int
		columns int
	}{{nil, RowRoom}, {func(i int) int { return i % 3 }, 3}, {func(int) int { return 2 }, RowRoom}} {
		m := table([]string{"h = 0", "h = 0.25"}, []*Sheet{row(0, c.label), row(100, c.label)})
		tile := 64 + sheetGap
		if want := image.Rect(0, 0, 7*len("h = 0.25")+2*7-1+c.columns*tile+sheetGap, 2*(tile+sheetGap)); m.Rect.Dy() != want.Dy() || m.Rect.Dx() < want.Dx()-7 || m.Rect.Dx() > want.Dx()+7 {
			t.Errorf("a table of %v, want about %v", m.Rect, want)
		}
		for i, want := range []uint8{0, 100} {
			if got := m.NRGBAAt(m.Rect.Dx()-10, i*(tile+sheetGap)+10).R; got != want {
				t.Errorf("row %d shows %d, want %d", i, got, want)
			}
			ink := 0
			for y := i * (tile + sheetGap); y < (i+1)*(tile+sheetGap); y++ {
				for x := range 60 {
					if m.NRGBAAt(x, y).R < 0x80 {
						ink++
					}
				}
			}
			if ink < 20 {
				t.Errorf("row %d has no name: %d dark pixels", i, ink)
			}
		}
	}
	if err := WriteRows(t.TempDir()+"/x.png", nil, nil); err == nil {
		t.Error("a table without rows was written")
	}
	if _, err := NewRow(Options{N: 3, Shape: []int{2}}); err == nil {
		t.Error("rows of numbers were drawn")
	}
}

// A sound that is not finite in places is drawn all the same.
func TestSpectrumNotFinite(t *testing.T) {
	s := &Sheet{o: Options{Shape: []int{4000, 1}}}
	x := values(4000, -1, 1)
	x[7], x[2000], x[3999] = math.NaN(), math.Inf(1), 1e200
	m := image.NewNRGBA(image.Rect(0, 0, waveWidth, spectrumHeight))
	s.spectrum(m, image.Point{}, x)
	if i := slices.Index(m.Pix, 0); i >= 0 {
		t.Errorf("byte %d of the picture is not drawn", i)
	}
}
