package plots

import (
	"flag"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/plot/plotter"
)

var keep = flag.String("keep", "", "folder to keep the pictures of the tests in")

// picturePath is where a test draws.
func picturePath(t *testing.T) string {
	dir := *keep
	if dir == "" {
		dir = t.TempDir()
	}
	return filepath.Join(dir, t.Name()+".png")
}

func open(t *testing.T, path string) image.Image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// box is the smallest rectangle around the pixels for which is holds, and their number.
func box(img image.Image, is func(r, g, b int) bool) (image.Rectangle, int) {
	b, n := image.Rectangle{}, 0
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
			if is(int(c.R), int(c.G), int(c.B)) {
				b = b.Union(image.Rect(x, y, x+1, y+1))
				n++
			}
		}
	}
	return b, n
}

func bluish(r, g, b int) bool   { return b > r+60 }
func reddish(r, g, b int) bool  { return r > b+60 }
func coloured(r, g, b int) bool { return bluish(r, g, b) || reddish(r, g, b) }

func roll(n int, noise float64, rng *rand.Rand) []float64 {
	x := make([]float64, 2*n)
	for i := range n {
		t := 1.5 * math.Pi * (1 + 2*rng.Float64())
		x[2*i] = float64((t*math.Cos(t) + noise*rng.NormFloat64()) / 6.865)
		x[2*i+1] = float64((t*math.Sin(t) + noise*rng.NormFloat64()) / 6.865)
	}
	return x
}

// A circle of points in a wide box must come out round: the axes have one scale.
func TestCompareScatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var circle []float64
	for i := range 400 {
		s, c := math.Sincos(2 * math.Pi * float64(i) / 400)
		circle = append(circle, float64(2*c), float64(2*s))
	}
	path := picturePath(t)
	if err := Compare(path, "", nil, Cloud{Name: "circle", X: circle, D: 2}, Cloud{Name: "swiss roll", X: roll(2000, 0.5, rng), D: 2}); err != nil {
		t.Fatal(err)
	}
	b, n := box(open(t, path), bluish)
	if n < 1000 || math.Abs(float64(b.Dx())/float64(b.Dy())-1) > 0.02 { // two pixels of rounding in about 350, doubled
		t.Errorf("circle drawn as %d × %d pixels (%d blue ones)", b.Dx(), b.Dy(), n)
	}
	if _, n := box(open(t, path), reddish); n < 1000 {
		t.Errorf("%d pixels of the second cloud", n)
	}
}

func TestCompareSwissRoll(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	samples := roll(10000, 0.6, rng)
	samples[0] = 500 // one wild sample must not squeeze the rest
	samples[3] = math.NaN()
	path := picturePath(t)
	if err := Compare(path, "swiss roll, simple schedule", nil, Cloud{Name: "data", X: roll(3000, 0.5, rng), D: 2}, Cloud{Name: "samples, h = 1", X: samples, D: 2}); err != nil {
		t.Fatal(err)
	}
	img := open(t, path)
	if b, _ := box(img, reddish); b.Dy() < img.Bounds().Dy()/2 {
		t.Errorf("samples cover %v of %v: an outlier squeezed them", b, img.Bounds())
	}
}

func TestTitleCountsOutside(t *testing.T) {
	c := Cloud{Name: "samples", X: []float64{0, 0, 1, 1, 9, 9, math.NaN(), 0}, D: 2}
	xy, outside := c.points(-2, 2, -2, 2)
	if len(xy) != 2 || outside != 2 {
		t.Fatalf("%d inside, %d outside; want 2 and 2", len(xy), outside)
	}
	if got := c.title(4, outside); got != "samples  (4, 2 outside)" {
		t.Errorf("title %q", got)
	}
}

func TestCompareHistogram(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	a, b := make([]float64, 3000), make([]float64, 20000)
	for i := range a {
		a[i] = rng.NormFloat64()
	}
	for i := range b {
		b[i] = float64(1.1 * rng.NormFloat64())
	}
	path := picturePath(t)
	if err := Compare(path, "one-dimensional Gaussian", nil, Cloud{Name: "data", X: a, D: 1}, Cloud{Name: "samples", X: b, D: 1}); err != nil {
		t.Fatal(err)
	}
	if _, n := box(open(t, path), coloured); n < 5000 {
		t.Errorf("%d coloured pixels", n)
	}
	// Uniform on [0, 1): density 1 in every bin; the points outside count in the norm.
	u := make([]float64, 1000)
	for i := range u {
		u[i] = (float64(i) + 0.5) / 1000
	}
	for _, v := range density(Cloud{X: u, D: 1}, 0, 0.5, 10)[1:11] {
		if math.Abs(v.Y-1) > 1e-14 { // a rounding
			t.Errorf("density %g at %g, want 1", v.Y, v.X)
		}
	}
}

// The first image is black in its upper left quarter only: so must the sheet be.
func TestCompareImages(t *testing.T) {
	const side = 8
	n := 100
	x := make([]float64, n*side*side)
	for k := range n {
		for i := range side {
			for j := range side {
				if k == 0 && i < side/2 && j < side/2 || k > 0 && (i+j+k)%5 == 0 {
					x[(k*side+i)*side+j] = 16
				}
			}
		}
	}
	c := Cloud{Name: "data", X: x, D: side * side}
	path := picturePath(t)
	if err := Compare(path, "digits", []int{side, side}, c, Cloud{Name: "samples", X: x, D: side * side}); err != nil {
		t.Fatal(err)
	}
	if _, n := box(open(t, path), func(r, g, b int) bool { return r < 40 }); n < 10000 {
		t.Errorf("%d dark pixels", n)
	}
	sheet := contactSheet(c, []int{side, side}, 10, extent{0, 16})
	at := func(i, j int) uint8 { // the middle of pixel (i, j) of the first image
		block := 600 / (10 * side)
		gap := max(2, block*side/12)
		return sheet.NRGBAAt(gap+j*block+block/2, gap+i*block+block/2).R
	}
	if at(1, 1) > 10 || at(1, 6) < 200 || at(6, 1) < 200 || at(6, 6) < 200 {
		t.Errorf("quarters of the first image: %d %d / %d %d, want dark at the upper left only", at(1, 1), at(1, 6), at(6, 1), at(6, 6))
	}
}

// Three dimensions, nearly all variance along (1, 1, 0): the first component must find it.
func TestComparePrincipal(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var x []float64
	for range 2000 {
		u, v, w := 3*rng.NormFloat64(), rng.NormFloat64(), 0.1*rng.NormFloat64()
		x = append(x, float64((u-v)/math.Sqrt2), float64((u+v)/math.Sqrt2), float64(w))
	}
	if err := Compare(picturePath(t), "", nil, Cloud{Name: "data", X: x, D: 3}, Cloud{Name: "samples", X: x[:300], D: 3}); err != nil {
		t.Fatal(err)
	}
	p, share := principal([]Cloud{{Name: "data", X: x, D: 3}})
	if math.Abs(share[0]-0.9) > 0.02 || math.Abs(share[1]-0.1) > 0.02 { // chance in the variances of the sample; measured 0.005
		t.Errorf("shares %v, want 0.9 and 0.1", share)
	}
	s := 0.0
	for i := range 2000 {
		s += float64(p[0].X[2*i]) * float64(p[0].X[2*i])
	}
	if math.Abs(s/2000-9) > 1 { // 9 ± 0.3 by chance
		t.Errorf("variance along the first component %g, want 9", s/2000)
	}
}

func TestCompareRefuses(t *testing.T) {
	two := Cloud{Name: "data", X: make([]float64, 4), D: 2}
	for _, c := range []struct {
		clouds []Cloud
		want   string
	}{
		{nil, "nothing to compare"},
		{[]Cloud{{Name: "data", X: nil, D: 2}}, "0 numbers"},
		{[]Cloud{{Name: "data", X: make([]float64, 3), D: 2}}, "not n > 0 rows of 2"},
		{[]Cloud{two, {Name: "samples", X: make([]float64, 3), D: 3}}, "samples has 3 dimensions, data 2"},
	} {
		if err := Compare(picturePath(t), "", nil, c.clouds...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}

func TestLoss(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var steps, loss []float64
	for i := range 400 {
		steps = append(steps, float64(100*(i+1)))
		loss = append(loss, 5.7+60*math.Exp(-float64(i)/8)+0.3*rng.NormFloat64())
	}
	loss[7] = math.NaN()
	path := picturePath(t)
	if err := Loss(path, "swissroll, simple", steps, loss); err != nil {
		t.Fatal(err)
	}
	if _, n := box(open(t, path), reddish); n < 1000 {
		t.Errorf("%d pixels of the smoothed curve", n)
	}
	if err := Loss(path, "", []float64{1}, []float64{math.NaN()}); err == nil {
		t.Error("a loss without finite values is drawn")
	}
}

// A constant stays a constant, and the end is the mean of the last values, not of values beyond them.
func TestSmooth(t *testing.T) {
	xy := make(plotter.XYs, 50)
	for i := range xy {
		xy[i] = plotter.XY{X: float64(i), Y: 3}
	}
	for i, v := range smooth(xy, 7) {
		if math.Abs(v.Y-3) > 1e-14 { // a rounding of a mean of equal numbers
			t.Errorf("mean %g at %d of a constant 3", v.Y, i)
		}
	}
	for i := range xy {
		xy[i].Y = float64(i)
	}
	s := smooth(xy, 7)
	if s[0].Y != 0 || s[20].Y != 20 || math.Abs(s[49].Y-45.5) > 1e-13 { // a rounding
		t.Errorf("means of a line: %g, %g, %g; want 0, 20, 45.5", s[0].Y, s[20].Y, s[49].Y)
	}
}

func TestLines(t *testing.T) {
	var h, nll, err, wkb []float64
	for i := range 21 {
		x := float64(i) / 20
		h = append(h, x)
		nll = append(nll, 1.39-0.016*(1-math.Exp(-12*x)))
		err = append(err, 0.002+0.002*x)
		wkb = append(wkb, 1.39-0.19*x)
	}
	nll[9] = math.Inf(1)
	path := picturePath(t)
	axes := Axes{Title: "swiss roll, simple schedule", X: "h", Y: "NLL, nats per sample", YMin: 1.36, YMax: 1.4}
	if err := Lines(path, axes, Series{Name: "path integral", X: h, Y: nll, Err: err, Markers: true},
		Series{Name: "first order in h", X: h, Y: wkb, Dashed: true}); err != nil {
		t.Fatal(err)
	}
	img := open(t, path)
	if _, n := box(img, bluish); n < 1000 {
		t.Errorf("%d pixels of the first series", n)
	}
	if err := Lines(path, axes, Series{X: []float64{1}, Y: nil}); err == nil {
		t.Error("series of unequal lengths are drawn")
	}
	if err := Lines(path, Axes{LogY: true}, Series{X: []float64{1}, Y: []float64{-1}}); err == nil {
		t.Error("a negative value is drawn on a logarithmic axis")
	}
}

func TestLinesLog(t *testing.T) {
	n := []float64{10, 20, 40, 80, 160, 320}
	var e1, e2 []float64
	for _, v := range n {
		e1 = append(e1, 1/v)
		e2 = append(e2, 3/v/v)
	}
	if err := Lines(picturePath(t), Axes{X: "steps", Y: "error", LogX: true, LogY: true},
		Series{Name: "first order", X: n, Y: e1, Markers: true}, Series{Name: "second order", X: n, Y: e2, Markers: true}); err != nil {
		t.Fatal(err)
	}
}

// A hump in the upper right corner is bright there and nowhere else.
func TestDensity(t *testing.T) {
	f := Field{Title: "h = 0.1", NX: 120, NY: 100, XMin: -2, XMax: 2, YMin: -2, YMax: 2}
	for i := range f.NY {
		for j := range f.NX {
			x, y := -2+4*(float64(j)+0.5)/120, -2+4*(float64(i)+0.5)/100
			f.Z = append(f.Z, math.Exp(-((x-1)*(x-1)+(y-1)*(y-1))/0.2))
		}
	}
	g := f
	g.Title = "h = 1"
	path := picturePath(t)
	if err := Density(path, "q, the density of the sampler", "density", f, g); err != nil {
		t.Fatal(err)
	}
	pic := f.picture(extent{0, 1})
	n := pic.Rect.Dx()
	bright := func(x, y int) bool { c := pic.NRGBAAt(x, y); return c.R > 200 && c.G > 200 }
	if !bright(3*n/4, pic.Rect.Dy()/4) || bright(n/4, pic.Rect.Dy()/4) || bright(3*n/4, 3*pic.Rect.Dy()/4) {
		t.Error("the hump is not at the upper right")
	}
	if err := Density(path, "", "", Field{NX: 2, NY: 2, Z: make([]float64, 3)}); err == nil {
		t.Error("three values for four cells are drawn")
	}
}

func TestLabels(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{label(1e-18, 1), "0"}, {label(-0.5, 1), "−0.5"}, {label(1.365, 0.04), "1.365"}, {label(-2e-7, 1e-6), "−2e−07"},
		{label(80000, 1e5), "80\u2009000"}, {label(-1234567, 1e7), "−1\u2009234\u2009567"},
		{decade(0.01), "0.01"}, {decade(1e-5), "1e−5"}, {decade(2e6), "2e6"}, {decade(1e12), "1e12"},
		{thousands(999), "999"}, {thousands(-1000), "-1\u2009000"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		lo, hi float64
		want   []string
	}{
		{0, 1, []string{"0", "0.2", "0.4", "0.6", "0.8", "1"}},
		{-2.3, 2.4, []string{"−2", "−1", "0", "1", "2"}},
		{1.36, 1.4, []string{"1.36", "1.37", "1.38", "1.39", "1.4"}},
		{0, 80000, []string{"0", "20\u2009000", "40\u2009000", "60\u2009000", "80\u2009000"}},
	} {
		var got []string
		for _, k := range (ticks{}).Ticks(c.lo, c.hi) {
			got = append(got, k.Label)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("ticks from %g to %g: %q, want %q", c.lo, c.hi, got, c.want)
		}
	}
	for span := 1e-3; span < 1e5; span *= 1.07 {
		if n := len(ticks{}.Ticks(-span/3, 2*span/3)); n < 3 || n > 10 {
			t.Errorf("%d ticks on a range of %g", n, span)
		}
	}
	n := 0
	for _, k := range (logTicks{}).Ticks(0.05, 30) {
		if k.Label != "" {
			n++
		}
	}
	if n != 3 { // 0.1, 1, 10: four decades are touched, so only whole ones are named
		t.Errorf("%d labels from 0.05 to 30, want 3", n)
	}
}
