package flags

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"hbar/cmd/internal/ui"
)

// Set is the options of one command.
type Set struct {
	*pflag.FlagSet
	name, summary string
	operands      string
	groups        []*Group
	examples      []Example
	notes         []string
	help, version bool
}

// Example is a command line and what it does.
type Example struct{ Line, What string }

// Group is a titled part of the help. Its methods define options.
type Group struct {
	set   *Set
	title string
	flags []*pflag.Flag
}

// New begins the options of a command. name is how it is called ("train"), summary one or two sentences.
func New(name, summary string) *Set {
	s := &Set{FlagSet: pflag.NewFlagSet(name, pflag.ContinueOnError), name: name, summary: summary}
	s.SortFlags = false
	s.Usage = func() {} // Parse prints the help, on the right stream
	return s
}

// Group begins a part of the help.
func (s *Set) Group(title string) *Group {
	g := &Group{set: s, title: title}
	s.groups = append(s.groups, g)
	return g
}

// Example adds a command line to the end of the help.
func (s *Set) Example(line, what string) { s.examples = append(s.examples, Example{line, what}) }

// Note adds a paragraph between the options and the examples.
func (s *Set) Note(text string) { s.notes = append(s.notes, text) }

// Operands allows arguments that are not options, and names them in the help ("[FILE]").
func (s *Set) Operands(usage string) { s.operands = usage }

// Parse reads the arguments. For --help and --version it prints on w and returns pflag.ErrHelp; any other error is a usage
// error.
func (s *Set) Parse(args []string, w io.Writer) error {
	if s.Lookup("help") == nil {
		s.BoolVar(&s.help, "help", false, "")
		s.BoolVar(&s.version, "version", false, "")
	}
	err := s.FlagSet.Parse(s.long(args))
	switch {
	case s.help || errors.Is(err, pflag.ErrHelp):
		s.Help(w)
		return pflag.ErrHelp
	case err == nil && s.version:
		return Version(s.name, w)
	}
	if err != nil {
		return ui.UsageError{Err: tidy(s, err)}
	}
	if s.operands == "" && s.NArg() > 0 {
		return ui.Usagef("%q is not an option: every setting has a name, as in --%s VALUE", s.Arg(0), s.firstName())
	}
	return nil
}

func (s *Set) firstName() string {
	for _, g := range s.groups {
		if len(g.flags) > 0 {
			return g.flags[0].Name
		}
	}
	return "NAME"
}

// tidy shortens pflag's wrapping and suggests the nearest name for an unknown option.
func tidy(s *Set, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		name := unknown.GetSpecifiedName()
		if near := s.nearest(name); near != "" {
			return fmt.Errorf("option --%s unknown; did you mean --%s?", name, near)
		}
		return fmt.Errorf("option --%s unknown", name)
	}
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		return fmt.Errorf("--%s: %w", invalid.GetFlag().Name, invalid.Unwrap())
	}
	var missing *pflag.ValueRequiredError
	if errors.As(err, &missing) {
		return fmt.Errorf("--%s needs a value", missing.GetSpecifiedName())
	}
	return err
}

// nearest is the only option whose name begins or ends with that name, else one at most two edits away, or "".
func (s *Set) nearest(name string) string {
	best, at := "", 3
	var longer []string
	s.VisitAll(func(f *pflag.Flag) {
		if d := edits(name, f.Name); d < at && d < len(name) {
			best, at = f.Name, d
		}
		if strings.HasPrefix(f.Name, name+"-") || strings.HasSuffix(f.Name, "-"+name) || len(name) > 2 && strings.HasPrefix(f.Name, name) {
			longer = append(longer, f.Name)
		}
	})
	if len(longer) == 1 {
		return longer[0]
	}
	return best
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := min(row[j]+1, row[j+1]+1, diagonal+1)
			if a[i] == b[j] {
				next = min(next, diagonal)
			}
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}

// define registers an option. unit names its value in the help ("STEPS", "FILE").
func (g *Group) define(v pflag.Value, name, unit, usage, rng, def string) *pflag.Flag {
	f := g.set.VarPF(v, name, "", usage)
	f.DefValue = def
	f.Annotations = map[string][]string{"unit": {unit}, "range": {rng}}
	g.flags = append(g.flags, f)
	return f
}

// Int defines an integer option; *p is its default.
func (g *Group) Int(p *int, name, unit string, r Range, usage string) {
	g.define(&number[int]{p, r, strconv.Atoi}, name, unit, usage, r.String(), strconv.Itoa(*p))
}

// Uint64 defines an option for any 64-bit number without sign, such as a seed.
func (g *Group) Uint64(p *uint64, name, unit, usage string) {
	parse := func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) }
	g.define(&number[uint64]{p, Any, parse}, name, unit, usage, "0 … 2⁶⁴−1", strconv.FormatUint(*p, 10))
}

// Float defines a real option; *p is its default.
func (g *Group) Float(p *float64, name, unit string, r Range, usage string) {
	parse := func(s string) (float64, error) { return strconv.ParseFloat(s, 64) }
	g.define(&number[float64]{p, r, parse}, name, unit, usage, r.String(), strconv.FormatFloat(*p, 'g', -1, 64))
}

// String defines a text option; *p is its default, "" for none.
func (g *Group) String(p *string, name, unit, usage string) {
	g.define((*text)(p), name, unit, usage, "", *p)
}

// Bool defines a switch that is off unless given.
func (g *Group) Bool(p *bool, name, usage string) {
	f := g.define((*toggle)(p), name, "", usage, "", "")
	f.NoOptDefVal = "true"
}

// OnOff defines an option that is on or off; *p is its default.
func (g *Group) OnOff(p *bool, name, usage string) {
	v := (*onOff)(p)
	g.define(v, name, "on|off", usage, "", v.String())
}

// Choice defines an option with a list of valid names; *p is its default.
func (g *Group) Choice(p *string, name string, valid []string, usage string) {
	g.define(&choice{p: p, valid: valid}, name, strings.Join(valid, "|"), usage, "", *p)
}

// Unset defines an option with a list of valid names that has no default: *p stays "" unless it is given.
func (g *Group) Unset(p *string, name string, valid []string, usage string) {
	g.define(&choice{p: p, valid: valid}, name, strings.Join(valid, "|"), usage, "", "")
}

// Optional defines an option with a list of valid names that may be given without one, which means the first of them; *p stays "" unless
// it is given.
func (g *Group) Optional(p *string, name string, valid []string, usage string) {
	f := g.define(&choice{p: p, valid: valid}, name, "[="+strings.Join(valid, "|")+"]", usage, "", "")
	f.NoOptDefVal = valid[0]
}

// Refuse says why a Choice does not have a name that a user may expect.
func (g *Group) Refuse(name, value, why string) {
	g.set.Lookup(name).Value.(*choice).refused = map[string]string{value: why}
}

// List defines an option that takes several numbers, comma-separated; *p is its default.
func (g *Group) List(p *[]float64, name, unit string, r Range, usage string) {
	v := &list{p, r}
	g.define(v, name, unit, usage, r.String(), v.String())
}

type text string

func (t *text) String() string     { return string(*t) }
func (t *text) Set(s string) error { *t = text(s); return nil }
func (t *text) Type() string       { return "text" }

type toggle bool

func (t *toggle) String() string { return strconv.FormatBool(bool(*t)) }
func (t *toggle) Type() string   { return "bool" }
func (t *toggle) Set(s string) error {
	v, err := strconv.ParseBool(s)
	if err != nil {
		return fmt.Errorf("%q is neither true nor false", s)
	}
	*t = toggle(v)
	return nil
}

type onOff bool

func (o *onOff) Type() string { return "on|off" }
func (o *onOff) String() string {
	if *o {
		return "on"
	}
	return "off"
}

func (o *onOff) Set(s string) error {
	if s != "on" && s != "off" {
		return fmt.Errorf("%q is neither on nor off", s)
	}
	*o = s == "on"
	return nil
}

type choice struct {
	p       *string
	valid   []string
	refused map[string]string // why not
}

func (c *choice) String() string { return *c.p }
func (c *choice) Type() string   { return "name" }
func (c *choice) Set(s string) error {
	for _, v := range c.valid {
		if s == v {
			*c.p = s
			return nil
		}
	}
	if why := c.refused[s]; why != "" {
		return fmt.Errorf("%q: %s; have %s", s, why, strings.Join(c.valid, ", "))
	}
	return fmt.Errorf("%q unknown; have %s", s, strings.Join(c.valid, ", "))
}

// Given reports whether the user set the option, and not just its default.
func (s *Set) Given(name string) bool {
	f := s.Lookup(name)
	return f != nil && f.Changed
}
