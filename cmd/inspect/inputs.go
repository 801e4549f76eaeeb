package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"hbar/data/npz"
	"hbar/nets"
	"hbar/program"
)

// inputs are the arrays to evaluate at, as the file has them.
type inputs struct {
	layout
	n      int
	arrays map[string][]float64 // x, t, and those of y, u, v, probe that are given
	unused []string             // names of other arrays
}

// given reports whether the file has an array.
func (in *inputs) given(name string) bool { return in.arrays[name] != nil }

// readInputs reads and checks the arrays of a file.
func (s *subject) readInputs(path string, o options) (*inputs, error) {
	arrays, err := npz.Read(path)
	if err != nil {
		return nil, err
	}
	in := &inputs{arrays: map[string][]float64{}}
	if err := s.take(in, arrays, o); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return in, nil
}

// take checks arrays and takes them over.
func (s *subject) take(in *inputs, arrays map[string]*npz.Array, o options) error {
	config := s.net.Config
	for _, name := range []string{"x", "t"} {
		if arrays[name] == nil {
			return fmt.Errorf("there is no array %s; have %s; want x and t, for some networks y, and for derivatives u, v, probe", name, strings.Join(npz.Names(arrays), ", "))
		}
	}
	var err error
	if in.layout, err = s.layoutOf(arrays["x"].Shape, o.Layout == channelsFirst); err != nil {
		return err
	}
	if in.n = arrays["x"].Shape[0]; in.n < 1 {
		return fmt.Errorf("x has no samples")
	}
	switch classes := config.Classes(); {
	case classes == 0 && arrays["y"] != nil:
		return fmt.Errorf("there is an array y of labels; this network takes none")
	case classes > 0 && arrays["y"] == nil:
		return fmt.Errorf("there is no array y; this network takes labels, %s", labels(config))
	}
	for _, name := range slices.Sorted(maps.Keys(arrays)) {
		a := arrays[name]
		want := in.shape(in.n)
		switch name {
		case "x", "u", "v", "probe":
		case "t", "y":
			want = want[:1]
		default:
			in.unused = append(in.unused, name)
			continue
		}
		if !program.SameShape(a.Shape, want) {
			return s.misshapen(name, a.Shape, want)
		}
		if err := finite(name, a, o.Precision != fp64); err != nil {
			return err
		}
		in.arrays[name] = a.X
	}
	return checkLabels(in.arrays["y"], config)
}

// layoutOf is the layout of x: samples of the network's shape, or of the shape of the images whose pixels an MLP takes as a row.
func (s *subject) layoutOf(shape []int, first bool) (layout, error) {
	takes := []layout{{s.net.Config.SampleShape(), first}}
	if own := s.SampleShape(); !program.SameShape(own, takes[0].sample) {
		takes = append(takes, layout{own, first})
	}
	var want []string
	for _, l := range takes {
		if len(shape) > 0 && program.SameShape(shape, l.shape(shape[0])) {
			return l, nil
		}
		want = append(want, l.String())
	}
	hint := ""
	for _, l := range takes {
		if l.first = !first; len(shape) > 0 && program.SameShape(shape, l.shape(shape[0])) {
			hint = "; this is the other order: give --layout " + map[bool]string{true: channelsFirst, false: channelsLast}[l.first]
		}
	}
	order := map[bool]string{true: channelsFirst, false: channelsLast}[first]
	return layout{}, fmt.Errorf("x has the shape %s; this network takes %s, %s%s", shapeText(shape), strings.Join(want, " or "), order, hint)
}

// misshapen is the error of an array that does not go with x.
func (s *subject) misshapen(name string, have, want []int) error {
	err := fmt.Errorf("%s has the shape %s; want %s, as x has", name, shapeText(have), shapeText(want))
	if len(want) == 1 {
		err = fmt.Errorf("%s has the shape %s; x has %d samples, so want %d numbers", name, shapeText(have), want[0], want[0])
	}
	if name == "v" && s.net.Config.Variance() {
		err = fmt.Errorf("%w: the output is the first half of the channels that the network gives", err)
	}
	return err
}

// shapeText writes the shape of an array, which may be a scalar.
func shapeText(shape []int) string {
	if len(shape) == 0 {
		return "() of a scalar"
	}
	return times(shape)
}

// labels says which labels a network takes.
func labels(c nets.Config) string {
	s := fmt.Sprintf("whole numbers from 0 to %d", c.Classes()-1)
	if c.NoLabel() {
		s += fmt.Sprintf(", or %d for none", c.Classes())
	}
	return s
}

// checkLabels refuses what is no label.
func checkLabels(y []float64, c nets.Config) error {
	most := float64(c.Classes() - 1)
	if c.NoLabel() {
		most++
	}
	for i, v := range y {
		if v != math.Trunc(v) || v < 0 || v > most {
			return fmt.Errorf("label %d in y is %g; this network takes %s", i, v, labels(c))
		}
	}
	return nil
}

// finite refuses elements that are not finite, or not in the precision of the network.
func finite(name string, a *npz.Array, single bool) error {
	for i, v := range a.X {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("%s%v is %g; want finite numbers", name, index(i, a.Shape), v)
		}
		if single && math.Abs(v) > math.MaxFloat32 {
			return fmt.Errorf("%s%v is %g, which float32 does not hold; give --precision fp64", name, index(i, a.Shape), v)
		}
	}
	return nil
}

// index is the place of element i of an array.
func index(i int, shape []int) []int {
	at := make([]int, len(shape))
	for d := len(shape) - 1; d >= 0; d-- {
		at[d] = i % shape[d]
		i /= shape[d]
	}
	return at
}
