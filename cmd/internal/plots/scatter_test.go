package plots

import "testing"

// Dots alone take the color of the line before them and draw without a line.
func TestLinesScatter(t *testing.T) {
	path := picturePath(t)
	err := Lines(path, Axes{X: "h", Y: "NLL"},
		Series{Name: "closed form", X: []float64{0, 0.5, 1}, Y: []float64{2, 1.5, 1.4}},
		Series{Name: "measured", X: []float64{0.2, 0.8}, Y: []float64{1.8, 1.42}, Err: []float64{0.05, 0.02}, Scatter: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, n := box(open(t, path), bluish); n < 500 {
		t.Errorf("%d pixels of the line's color", n)
	}
	if _, n := box(open(t, path), reddish); n > 0 {
		t.Errorf("%d pixels of a second color; dots take the line's", n)
	}
}
