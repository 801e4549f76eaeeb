package solver

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Strength is the strength h of the noise along the way from Tmax to Tmin: a constant, or a profile that is linear in
// λ = log(α/σ) between knots and constant outside them. Values compare with ==. The zero value is h = 0.
type Strength struct {
	h float64
	// profile is what String returns, "" for a constant. It is kept as text, so that values compare.
	profile string
}

// Constant is the strength h at all times.
func Constant(h float64) Strength { return Strength{h: h} }

// Knot is the strength H at Lambda = log(α/σ).
type Knot struct{ H, Lambda float64 }

// Profile is the strength through knots, whose Lambda must increase.
func Profile(knots ...Knot) (Strength, error) {
	parts := make([]string, len(knots))
	for i, k := range knots {
		parts[i] = number(k.H) + "@" + number(k.Lambda)
		switch {
		case !(k.H >= 0) || math.IsInf(k.H, 1):
			return Strength{}, fmt.Errorf("solver: knot %s: h must be finite and not negative", parts[i])
		case k.Lambda-k.Lambda != 0:
			return Strength{}, fmt.Errorf("solver: knot %s: λ must be finite", parts[i])
		case i > 0 && !(k.Lambda > knots[i-1].Lambda):
			return Strength{}, fmt.Errorf("solver: knots %s, %s: λ must increase from knot to knot", parts[i-1], parts[i])
		}
	}
	if len(knots) == 0 {
		return Strength{}, fmt.Errorf("solver: a profile of the strength without knots")
	}
	return Strength{profile: strings.Join(parts, ",")}, nil
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// ParseStrength reads a constant, "0.3", or knots "h@λ" separated by commas, "0@-4,0.5@0,1@3".
func ParseStrength(text string) (Strength, error) {
	if !strings.Contains(text, "@") {
		h, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		switch {
		case err != nil:
			return Strength{}, fmt.Errorf("strength %q is neither a number nor a profile of knots, as in 0@-4,0.5@0,1@3", text)
		case !(h >= 0) || math.IsInf(h, 1):
			return Strength{}, fmt.Errorf("%s is out of range; need ≥ 0", strings.TrimSpace(text))
		}
		return Constant(h), nil
	}
	var knots []Knot
	for part := range strings.SplitSeq(text, ",") {
		h, lambda, ok := strings.Cut(part, "@")
		a, err1 := strconv.ParseFloat(strings.TrimSpace(h), 64)
		b, err2 := strconv.ParseFloat(strings.TrimSpace(lambda), 64)
		if !ok || err1 != nil || err2 != nil {
			return Strength{}, fmt.Errorf("%q in %q is no knot h@λ, as in 0@-4,0.5@0,1@3", part, text)
		}
		knots = append(knots, Knot{a, b})
	}
	s, err := Profile(knots...)
	if err != nil {
		return s, fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "solver: "))
	}
	return s, nil
}

// ParseStrengths reads several: constants separated by commas, "0,0.3,1", or constants and profiles separated by semicolons,
// "0;1;0@-4,1@3". One profile needs no semicolon.
func ParseStrengths(text string) ([]Strength, error) {
	separator := ","
	if strings.ContainsAny(text, "@;") {
		separator = ";"
	}
	var out []Strength
	for part := range strings.SplitSeq(text, separator) {
		s, err := ParseStrength(part)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// String is what ParseStrength reads.
func (s Strength) String() string {
	if s.profile != "" {
		return s.profile
	}
	return number(s.h)
}

// MarshalJSON writes a constant as a number and a profile as its text.
func (s Strength) MarshalJSON() ([]byte, error) {
	if s.profile != "" {
		return json.Marshal(s.profile)
	}
	return json.Marshal(s.h)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Strength) UnmarshalJSON(b []byte) (err error) {
	var text string
	if json.Unmarshal(b, &text) != nil {
		text = string(b)
	}
	*s, err = ParseStrength(text)
	return err
}

// GobEncode implements gob.GobEncoder.
func (s Strength) GobEncode() ([]byte, error) { return s.MarshalJSON() }

// GobDecode implements gob.GobDecoder.
func (s *Strength) GobDecode(b []byte) error { return s.UnmarshalJSON(b) }

// IsConstant returns the strength if it is one and the same at all times.
func (s Strength) IsConstant() (h float64, ok bool) { return s.h, s.profile == "" }

// Knots are those of a profile, nil for a constant.
func (s Strength) Knots() []Knot {
	if s.profile == "" {
		return nil
	}
	var knots []Knot
	for part := range strings.SplitSeq(s.profile, ",") {
		h, lambda, _ := strings.Cut(part, "@")
		var k Knot // both are written by Profile
		k.H, _ = strconv.ParseFloat(h, 64)
		k.Lambda, _ = strconv.ParseFloat(lambda, 64)
		knots = append(knots, k)
	}
	return knots
}

// Least is the smallest strength on the way.
func (s Strength) Least() float64 {
	least := s.h
	for i, k := range s.Knots() {
		if i == 0 || k.H < least {
			least = k.H
		}
	}
	return least
}

// At returns the strength as a function of λ.
func (s Strength) At() func(lambda float64) float64 {
	knots := s.Knots()
	if knots == nil {
		return func(float64) float64 { return s.h }
	}
	return func(lambda float64) float64 {
		for i, k := range knots {
			if lambda <= k.Lambda {
				if i == 0 {
					return k.H
				}
				before := knots[i-1]
				w := (lambda - before.Lambda) / (k.Lambda - before.Lambda)
				return before.H + w*(k.H-before.H)
			}
		}
		return knots[len(knots)-1].H
	}
}

// Of returns the strength as a function of the time of a schedule.
func (s Strength) Of(schedule Schedule) func(t float64) float64 {
	at := s.At()
	if s.profile == "" {
		return at
	}
	return func(t float64) float64 { return at(schedule.Lambda(t)) }
}

// Suits is an error if s varies along the way and the schedule is one of matrices, which has no λ.
func (s Strength) Suits(schedule Schedule) error {
	if s.profile == "" {
		return nil
	}
	return NeedScalars(schedule, "a strength that varies along the way")
}

// WithStrength are the options with the strength s on a schedule.
func (o TableOptions) WithStrength(s Strength, schedule Schedule) TableOptions {
	o.H, o.HOf = s.h, nil
	if s.profile != "" {
		o.HOf = s.Of(schedule)
	}
	return o
}
