package flags

import "strings"

// Choices defines an option that takes several of a list of valid names, comma-separated; *p is its default.
func (g *Group) Choices(p *[]string, name string, valid []string, usage string) {
	v := &choices{p, valid}
	g.define(v, name, strings.Join(valid, "|")+",…", usage, "", v.String())
}

type choices struct {
	p     *[]string
	valid []string
}

func (c *choices) Type() string   { return "names" }
func (c *choices) String() string { return strings.Join(*c.p, ",") }

func (c *choices) Set(s string) error {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		name := ""
		if err := (&choice{p: &name, valid: c.valid}).Set(strings.TrimSpace(part)); err != nil {
			return err
		}
		out = append(out, name)
	}
	*c.p = out
	return nil
}
