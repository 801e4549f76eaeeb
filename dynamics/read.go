package dynamics

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"hbar/data/npz"
)

// ReadOptions say what a file does not.
type ReadOptions struct {
	Dt     float64 // step of time where a file has no times; 0 means 1
	Tokens int     // characters of a text that have an indicator of their own; 0 means 64
	// Alphabet are the names of the indicators of a text, as Data.Names has them, of a model that was fitted to another one. nil: the most
	// frequent characters.
	Alphabet []string
}

// Load reads trajectories from files, each by the ending of its name:
//
//	.npy  n, n×p, or m×n×p for m trajectories
//	.npz  x likewise, times n or m×n; or lengths of m trajectories that stand behind each other in x and times;
//	      or x0, times0, x1, times1, …; time or t may stand for times, loglik is left alone, and other arrays are refused
//	.csv  one time a line; a header names the outputs, and columns time (or t) and trajectory (or id), whose lines may be mixed
//	.txt, .md, .text  UTF-8 text: each character becomes a row of indicators
//
// Gaps are NaN, in .csv also empty fields. Rows that are NaN throughout at the end of a trajectory are no part of it, so
// trajectories of different lengths fit in one array. Several files are trajectories of the same outputs, in the same order; texts share
// one alphabet.
func Load(paths []string, o ReadOptions) (*Data, error) {
	if o.Dt == 0 {
		o.Dt = 1
	}
	if slices.ContainsFunc(paths, isText) {
		return readTexts(paths, o)
	}
	var all *Data
	for _, path := range paths {
		d, err := load(path, o)
		if err != nil {
			return nil, err
		}
		if err := d.Validate(); err != nil {
			return nil, fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "dynamics: "))
		}
		if all == nil {
			all = d
			continue
		}
		if d.P != all.P {
			return nil, fmt.Errorf("%s has %d outputs, %s has %d", path, d.P, paths[0], all.P)
		}
		for j := range min(len(d.Names), len(all.Names)) {
			if d.Names[j] != all.Names[j] {
				return nil, fmt.Errorf("output %d of %s is %q, and of %s it is %q; want the same outputs in the same order", j+1, path, d.Names[j], paths[0], all.Names[j])
			}
		}
		all.Records = append(all.Records, d.Records...)
	}
	if all == nil {
		return nil, errors.New("dynamics: no file is named")
	}
	return all, nil
}

func load(path string, o ReadOptions) (*Data, error) {
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".npy":
		a, err := npz.ReadNpy(path)
		if err != nil {
			return nil, err
		}
		d, err := fromArrays(map[string]*npz.Array{"x": a}, o)
		return d, named(path, err)
	case ".npz":
		arrays, err := npz.Read(path)
		if err != nil {
			return nil, err
		}
		d, err := fromArrays(arrays, o)
		return d, named(path, err)
	case ".csv":
		d, err := readCSV(path, o)
		return d, named(path, err)
	default:
		return nil, fmt.Errorf("%s: files ending in %q are not read; have .npy, .npz, .csv and text as .txt or .md", path, ext)
	}
}

// bare is an error of a file without its name, which named adds.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func named(path string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// fromArrays finds the trajectories in named arrays, and refuses those that it has no use for.
func fromArrays(arrays map[string]*npz.Array, o ReadOptions) (*Data, error) {
	left := maps.Clone(arrays)
	delete(left, "loglik") // of sequences that were generated
	var d *Data
	var err error
	switch {
	case arrays["x"] != nil:
		d, err = fromX(take(left, "x"), takeTimes(left, ""), take(left, "lengths"), o)
	case arrays["x0"] != nil:
		d, err = fromNumbered(left, o)
	default:
		return nil, fmt.Errorf("the archive has arrays %s; want x and times, or x0, times0, x1, times1, …", strings.Join(npz.Names(arrays), ", "))
	}
	if err != nil {
		return nil, err
	}
	if len(left) > 0 {
		return nil, fmt.Errorf("the archive has arrays of no use: %s; want x, times and lengths, or x0, times0, x1, times1, … without a number left out", strings.Join(npz.Names(left), ", "))
	}
	return d, nil
}

// fromNumbered finds the trajectories x0, x1, …, which have times all or none.
func fromNumbered(left map[string]*npz.Array, o ReadOptions) (*Data, error) {
	all := &Data{}
	for k := 0; left["x"+strconv.Itoa(k)] != nil; k++ {
		number := strconv.Itoa(k)
		d, err := fromX(take(left, "x"+number), takeTimes(left, number), nil, o)
		if err != nil {
			return nil, fmt.Errorf("x%d: %w", k, err)
		}
		if k == 0 {
			all.P, all.Timed = d.P, d.Timed
		}
		if d.P != all.P {
			return nil, fmt.Errorf("x%d has %d outputs, x0 has %d", k, d.P, all.P)
		}
		if d.Timed != all.Timed {
			with, without := 0, k
			if d.Timed {
				with, without = k, 0
			}
			return nil, fmt.Errorf("x%d has times and x%d has none; give times%d, or times of none", with, without, without)
		}
		all.Records = append(all.Records, d.Records...)
	}
	return all, nil
}

// take takes a named array out; nil if there is none.
func take(left map[string]*npz.Array, name string) *npz.Array {
	a := left[name]
	delete(left, name)
	return a
}

// takeTimes takes out the times of x, or of the x of a number, by any of the names that the header of a .csv may have, too.
func takeTimes(left map[string]*npz.Array, number string) *npz.Array {
	for _, name := range []string{"times", "time", "t"} {
		if a := take(left, name+number); a != nil {
			return a
		}
	}
	return nil
}

// fromX cuts an array of outputs into trajectories.
func fromX(x, times, lengths *npz.Array, o ReadOptions) (*Data, error) {
	shape := slices.Clone(x.Shape)
	if len(shape) == 0 || len(shape) > 3 || slices.Contains(shape, 0) {
		return nil, fmt.Errorf("x has shape %v; want n, n×outputs or trajectories×n×outputs, none of them 0", x.Shape)
	}
	if len(shape) == 2 && times != nil && len(times.Shape) == 2 && slices.Equal(times.Shape, shape) {
		shape = append(shape, 1) // trajectories of one output
	}
	if len(shape) == 1 {
		shape = append(shape, 1)
	}
	if len(shape) == 2 {
		shape = append([]int{1}, shape...)
	}
	m, n, p := shape[0], shape[1], shape[2]
	d := &Data{P: p, Timed: times != nil}
	at := func(k, i int) float64 { return o.Dt * float64(i) }
	if times != nil {
		switch {
		case len(times.Shape) == 1 && times.Shape[0] == n:
			at = func(k, i int) float64 { return times.X[i] }
		case len(times.Shape) == 2 && times.Shape[0] == m && times.Shape[1] == n:
			at = func(k, i int) float64 { return times.X[k*n+i] }
		default:
			return nil, fmt.Errorf("times have shape %v and x %v; want one time for each of the %d rows of a trajectory", times.Shape, x.Shape, n)
		}
	}
	cut := func(k, from, to int) {
		for to > from && allNaN(x.X[(k*n+to-1)*p:(k*n+to)*p]) {
			to--
		}
		r := Record{X: x.X[(k*n+from)*p : (k*n+to)*p]}
		for i := from; i < to; i++ {
			t := at(k, i)
			if times == nil {
				t = at(k, i-from)
			}
			r.Times = append(r.Times, t)
		}
		if r.Len() > 0 {
			d.Records = append(d.Records, r)
		}
	}
	if lengths != nil {
		sum := 0.0
		for _, l := range lengths.X {
			if l < 1 || l != float64(int(l)) {
				return nil, fmt.Errorf("a trajectory of length %g; want integers above 0", l)
			}
			sum += l
		}
		if m != 1 || sum != float64(n) {
			return nil, fmt.Errorf("lengths add up to %g, and x has shape %v", sum, x.Shape)
		}
		from := 0
		for _, l := range lengths.X {
			cut(0, from, from+int(l))
			from += int(l)
		}
	} else {
		for k := range m {
			cut(k, 0, n)
		}
	}
	if len(d.Records) == 0 {
		return nil, errors.New("x is NaN throughout")
	}
	return d, nil
}

func allNaN(x []float64) bool {
	for _, v := range x {
		if v == v {
			return false
		}
	}
	return true
}
