package solver

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func TestStrength(t *testing.T) {
	all, err := ParseStrengths("0;0.3; 0@-4,0.5@0,1@3")
	if err != nil || len(all) != 3 {
		t.Fatal(all, err)
	}
	p := all[2]
	at := p.At()
	for lambda, want := range map[float64]float64{-9: 0, -4: 0, -2: 0.25, 0: 0.5, 1.5: 0.75, 3: 1, 8: 1} {
		if got := at(lambda); math.Abs(got-want) > 1e-15 { // a rounding or two of numbers up to one
			t.Errorf("h(λ = %g) = %g, want %g", lambda, got, want)
		}
	}
	if p.String() != "0@-4,0.5@0,1@3" || p.Least() != 0 || all[1].Least() != 0.3 || all[0] != Constant(0) || all[0] != (Strength{}) {
		t.Errorf("%v, least %g", p, p.Least())
	}
	if again, err := ParseStrength(p.String()); err != nil || again != p {
		t.Errorf("%v read as %v, %v", p, again, err)
	}
	if b, err := json.Marshal(all); err != nil || string(b) != `[0,0.3,"0@-4,0.5@0,1@3"]` {
		t.Errorf("%s, %v", b, err)
	}
	var back []Strength
	if err := json.Unmarshal([]byte(`[0,0.3,"0@-4,0.5@0,1@3"]`), &back); err != nil || len(back) != 3 || back[1] != all[1] || back[2] != p {
		t.Errorf("%v, %v", back, err)
	}
	if list, err := ParseStrengths("0,0.3,1"); err != nil || len(list) != 3 || list[2] != Constant(1) {
		t.Errorf("%v, %v", list, err)
	}
	for text, want := range map[string]string{
		"x":          `strength "x" is neither a number`,
		"-1":         "-1 is out of range",
		"1@0,0.5":    `"0.5" in`,
		"1@0,2@0":    "λ must increase",
		"1@0,-2@1":   "not negative",
		"1@0,2@inf":  "λ must be finite",
		"0,1@3;0.1x": `"0" in "0,1@3"`,
	} {
		if _, err := ParseStrengths(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
}

// TestProfileTable: the rows of a profile that is the same everywhere are those of the constant, and a profile has at each step the rows
// of the constant that it is there.
func TestProfileTable(t *testing.T) {
	s, err := NewSchedule("cosine", nil)
	if err != nil {
		t.Fatal(err)
	}
	flat, err := Profile(Knot{0.4, -1}, Knot{0.4, 2})
	if err != nil {
		t.Fatal(err)
	}
	slope, err := Profile(Knot{0, -3}, Knot{1.2, 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, sampler := range []Sampler{EulerMaruyama, Exponential, Exponential2} {
		o := TableOptions{Sampler: sampler, Grid: GridLambda, Steps: 12}
		rows := func(h Strength) *Table {
			table, err := NewTable(s, Prediction{}, o.WithStrength(h, s))
			if err != nil {
				t.Fatal(err)
			}
			return table
		}
		a, b := rows(Constant(0.4)), rows(flat)
		for k := range a.Rows {
			if a.Rows[k] != b.Rows[k] {
				t.Fatalf("%v, row %d: %+v, and %+v of a flat profile", sampler, k, a.Rows[k], b.Rows[k])
			}
		}
		c := rows(slope)
		for k := range c.Rows {
			at := s.Lambda(c.Times[k])
			if sampler != EulerMaruyama { // the middle of the step
				at = (at + s.Lambda(c.Times[k+1])) / 2
			}
			one := rows(Constant(slope.At()(at))).Rows[k]
			if math.Abs(one.Noise-c.Rows[k].Noise) > 1e-9 || math.Abs(one.State-c.Rows[k].State) > 1e-9 || math.Abs(one.Net-c.Rows[k].Net) > 1e-9*math.Abs(one.Net) { // h is taken at the middle in λ, and TimeOfLambda is a root to some 10⁻¹⁰
				t.Errorf("%v, row %d: %+v, want %+v", sampler, k, c.Rows[k], one)
			}
		}
	}
}
