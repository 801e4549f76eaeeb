package flags

import (
	"fmt"
	"strconv"
	"strings"
)

// Ints defines an option that takes several whole numbers, comma-separated; *p is its default.
func (g *Group) Ints(p *[]int, name, unit string, r Range, usage string) {
	v := &ints{p, r}
	g.define(v, name, unit, usage, r.String(), v.String())
}

type ints struct {
	p *[]int
	r Range
}

func (l *ints) Type() string { return "whole numbers" }

func (l *ints) String() string {
	parts := make([]string, len(*l.p))
	for i, v := range *l.p {
		parts[i] = strconv.Itoa(v)
	}
	return strings.Join(parts, ",")
}

func (l *ints) Set(s string) error {
	var out []int
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		v, err := strconv.Atoi(strings.ReplaceAll(part, "_", ""))
		if err != nil {
			return notInList(part, s, "a whole number")
		}
		if !l.r.Holds(float64(v)) {
			return outside(part, l.r)
		}
		out = append(out, v)
	}
	*l.p = out
	return nil
}

// notInList is the error of a part of a list that is not what it should be.
func notInList(part, list, kind string) error {
	if part == strings.TrimSpace(list) {
		return fmt.Errorf("%q is not %s", part, kind)
	}
	return fmt.Errorf("%q in the list %q is not %s", part, list, kind)
}
