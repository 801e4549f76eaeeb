package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"

	"hbar/data/npz"
	"hbar/program"
)

// reference is what results are compared with.
type reference struct {
	path   string
	arrays map[string]*npz.Array
}

// difference is how far an array is from the reference's. Numbers that are not finite are infinitely far.
type difference struct {
	Name    string `json:"array"`
	Largest number `json:"largest"` // absolute difference
	RMS     number `json:"rms"`     // root of the mean squared difference
	// Relative is Largest over the largest absolute value of the reference; if that is zero, Largest.
	Relative number `json:"relative"`
}

// number is a float64 that JSON has as null where it is not finite.
type number float64

func (v number) MarshalJSON() ([]byte, error) {
	if math.IsInf(float64(v), 0) || math.IsNaN(float64(v)) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, float64(v), 'g', -1, 64), nil
}

func readReference(path string) (*reference, error) {
	arrays, err := npz.Read(path)
	return &reference{path, arrays}, err
}

// common are the names of the results that the reference has too, in their shapes.
func (r *reference) common(out map[string]*npz.Array) ([]string, error) {
	var names []string
	for _, name := range npz.Names(out) {
		want, got := r.arrays[name], out[name]
		if want == nil {
			continue
		}
		if !program.SameShape(want.Shape, got.Shape) {
			return nil, fmt.Errorf("%s: %s has the shape %s; the result has %s", r.path, name, shapeText(want.Shape), shapeText(got.Shape))
		}
		names = append(names, name)
	}
	if names == nil {
		return nil, fmt.Errorf("%s has no array of the results, %s; have %s", r.path, strings.Join(npz.Names(out), ", "), strings.Join(npz.Names(r.arrays), ", "))
	}
	return names, nil
}

// left says which results only one of the two has, a line each: a reference that is not compared is no sign that the two agree.
func (r *reference) left(out map[string]*npz.Array, eval string) (lines []string) {
	for _, d := range computed {
		switch have, want := out[d.name] != nil, r.arrays[d.name] != nil; {
		case want && !have:
			lines = append(lines, fmt.Sprintf("%s of %s is not compared: there is no %s in %s", d.name, r.path, d.of, eval))
		case have && !want:
			lines = append(lines, fmt.Sprintf("%s is not compared: it is not in %s", d.name, r.path))
		}
	}
	return lines
}

// compare returns the differences of the arrays that both have.
func (r *reference) compare(out map[string]*npz.Array) ([]difference, error) {
	names, err := r.common(out)
	if err != nil {
		return nil, err
	}
	var all []difference
	for _, name := range names {
		all = append(all, distance(name, out[name].X, r.arrays[name].X))
	}
	return all, nil
}

func distance(name string, got, want []float64) difference {
	largest, squares, scale := 0.0, 0.0, 0.0
	for i, w := range want {
		d := math.Abs(got[i] - w)
		if math.IsNaN(d) {
			d = math.Inf(1)
		}
		largest, squares, scale = max(largest, d), squares+d*d, max(scale, math.Abs(w))
	}
	relative := largest
	if scale > 0 && !math.IsInf(largest, 0) {
		relative /= scale
	}
	return difference{name, number(largest), number(math.Sqrt(squares / max(1, float64(len(want))))), number(relative)}
}

// printDifferences writes a table. The error, if any, names the arrays beyond the tolerance.
func printDifferences(w io.Writer, all []difference, o options) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "array\tlargest difference\trms\trelative\t")
	var beyond []string
	for _, d := range all {
		fmt.Fprintf(t, "%s\t%.3g\t%.3g\t%.3g\t\n", d.Name, float64(d.Largest), float64(d.RMS), float64(d.Relative))
		if !(float64(d.Relative) <= o.Tol) {
			beyond = append(beyond, d.Name)
		}
	}
	t.Flush()
	if beyond != nil {
		return fmt.Errorf("%s: beyond the tolerance of %g: %s", o.Compare, o.Tol, strings.Join(beyond, ", "))
	}
	return nil
}
