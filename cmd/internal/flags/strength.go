package flags

import "hbar/solver"

// Strengths defines an option that takes strengths of the noise: numbers, comma-separated, a profile of knots h@λ, or several of both,
// separated by semicolons.
func (g *Group) Strengths(p *[]solver.Strength, name, usage string) {
	v := (*strengths)(p)
	g.define(v, name, "H,…|H@λ,…", usage+"; or a profile along the way, h@λ,… with λ = log(α/σ) increasing, as in 0@-4,0.5@0,1@3: linear in λ between these knots, constant outside; with profiles among several, semicolons separate them", "≥ 0", v.String())
}

type strengths []solver.Strength

func (s *strengths) Type() string { return "strengths" }

func (s *strengths) Set(text string) error {
	v, err := solver.ParseStrengths(text)
	if err == nil {
		*s = v
	}
	return err
}

func (s *strengths) String() string {
	separator, text := ",", ""
	for _, v := range *s {
		if _, ok := v.IsConstant(); !ok {
			separator = ";"
		}
	}
	for i, v := range *s {
		if i > 0 {
			text += separator
		}
		text += v.String()
	}
	return text
}
