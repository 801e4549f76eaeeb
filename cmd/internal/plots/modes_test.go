package plots

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// Ellipses hold 95 % of a normal: a point of the outline is χ away from the mode in units of its covariance.
func TestEllipse(t *testing.T) {
	m := ModePoint{Re: 1, Im: 2, Cov: [2][2]float64{{0.04, 0.01}, {0.01, 0.09}}}
	det := m.Cov[0][0]*m.Cov[1][1] - m.Cov[0][1]*m.Cov[0][1]
	for _, p := range ellipse(m) {
		x, y := p.X-m.Re, p.Y-m.Im
		q := (m.Cov[1][1]*x*x - 2*m.Cov[0][1]*x*y + m.Cov[0][0]*y*y) / det
		if math.Abs(q-chi95*chi95) > 1e-13 { // roundings of a quadratic form of size 6
			t.Fatalf("a point of the outline has χ² = %g, want %g", q, chi95*chi95)
		}
	}
	if ellipse(ModePoint{Cov: [2][2]float64{{math.NaN(), 0}, {0, 1}}}) != nil {
		t.Error("an outline without a covariance")
	}
}

func TestModes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.png")
	modes := []ModePoint{{Re: -1, Im: 2, Cov: [2][2]float64{{0.1, 0}, {0, 0.1}}, Class: "decay"}, {Re: 0, Cov: [2][2]float64{{1e9, 0}, {0, 0}}, Class: "undetermined"},
		{Re: 0.3, Class: "growth", Cov: [2][2]float64{{math.NaN(), 0}, {0, math.NaN()}}}, {Re: math.Inf(1), Class: "growth"}}
	if err := Modes(path, "modes", "1/s", modes); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.HasPrefix(b, []byte("\x89PNG")) {
		t.Errorf("%v", err)
	}
	if err := Modes(path, "modes", "1/s", modes[3:]); err == nil {
		t.Error("a picture of no finite mode")
	}
}
