package data

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Dataset is n samples of D coordinates.
type Dataset struct {
	Name  string    // a built-in name, or the base name of the file
	D     int       // coordinates of a sample
	Shape []int     // of one sample, such as [28 28] for images; its product is D
	X     []float64 // n×D, row-major, data units
	Norm  Normalisation
}

// N is the number of samples.
func (s *Dataset) N() int { return len(s.X) / s.D }

// Row is sample i, a view into X.
func (s *Dataset) Row(i int) []float64 { return s.X[i*s.D : (i+1)*s.D : (i+1)*s.D] }

// Normalised returns the samples as the network sees them, n×D float32.
func (s *Dataset) Normalised() []float32 {
	dst := make([]float32, len(s.X))
	s.Norm.Apply32(dst, s.X, s.D)
	return dst
}

// builtin is a set that ByName knows.
type builtin struct {
	name  string
	shape []int
	def   int // default number of samples
	max   int // samples that exist; 0: unlimited
	// param is the default of the number after the colon in name:number; NaN where the set takes none.
	param float64
	norm  func(param float64) Normalisation
	// fill writes samples first … first+n−1 of the seed to dst.
	fill func(dst []float64, param float64, seed, first uint64)
}

// defaultN is the size of the training sets in arXiv:2403.11262, section 5.
const defaultN = 3000

func lookup(name string) (*builtin, float64, error) {
	base, arg, hasArg := strings.Cut(name, ":")
	for i := range builtins {
		b := &builtins[i]
		if b.name != base {
			continue
		}
		if !hasArg {
			return b, b.param, nil
		}
		if b.param != b.param {
			return nil, 0, fmt.Errorf("data: %s takes no parameter (got %q)", base, name)
		}
		v, err := strconv.ParseFloat(arg, 64)
		if err != nil || !(v > 0) || v > maxParam {
			return nil, 0, fmt.Errorf("data: %q: the parameter of %s must be a positive number, as in %s:%g", name, base, base, b.param)
		}
		return b, v, nil
	}
	return nil, 0, fmt.Errorf("data: set %q unknown; have %s, or a file ending in %s", name, strings.Join(Names(), ", "), strings.Join(extensions, ", "))
}

const maxParam = 1e6

// Names lists the built-in sets.
func Names() []string {
	names := make([]string, len(builtins))
	for i := range builtins {
		names[i] = builtins[i].name
	}
	return names
}

// ByName makes the first n samples of a built-in set for a seed; n ≤ 0 takes the set's default (3000, or all the
// digits). The name may carry a parameter where the set has one: gaussian1d:0.25 is N(0, 0.25).
func ByName(name string, n int, seed uint64) (*Dataset, error) {
	return Range(name, 0, n, seed)
}

// Range makes samples first … first+n−1 of a built-in set for a seed. Disjoint ranges of one seed are independent (for
// digits: disjoint), so a range behind the training set is fresh data.
func Range(name string, first uint64, n int, seed uint64) (*Dataset, error) {
	b, param, err := lookup(name)
	if err != nil {
		return nil, err
	}
	if n <= 0 {
		n = b.def
		if b.max > 0 && first < uint64(b.max) {
			n = min(n, b.max-int(first))
		}
	}
	d := product(b.shape)
	if b.max > 0 && (first > uint64(b.max) || uint64(n) > uint64(b.max)-first) {
		return nil, fmt.Errorf("data: %s has %d samples; asked for %d from sample %d on", b.name, b.max, n, first)
	}
	if n > maxSamples/d {
		return nil, fmt.Errorf("data: %s: %d samples of %d coordinates asked for; at most %d fit", b.name, n, d, maxSamples/d)
	}
	s := &Dataset{Name: name, D: d, Shape: slices.Clone(b.shape), X: make([]float64, n*d), Norm: b.norm(param)}
	b.fill(s.X, param, seed, first)
	return s, nil
}

// maxSamples bounds the coordinates of a set: 8 GiB of them.
const maxSamples = 1 << 30

// IsBuiltin reports whether name (with or without its parameter) is a built-in set rather than a file.
func IsBuiltin(name string) bool {
	base, _, _ := strings.Cut(name, ":")
	return slices.Contains(Names(), base)
}

// Load is what a --data flag means: a built-in name (n samples from sample first on), else a file (all of it if
// n ≤ 0, else n rows from row first on).
func Load(nameOrPath string, first uint64, n int, seed uint64) (*Dataset, error) {
	if IsBuiltin(nameOrPath) || !looksLikeFile(nameOrPath) {
		return Range(nameOrPath, first, n, seed)
	}
	s, err := ByPath(nameOrPath)
	if err != nil {
		return nil, err
	}
	have := s.N()
	if n <= 0 && first < uint64(have) {
		n = have - int(first)
	}
	if n <= 0 || first > uint64(have) || uint64(n) > uint64(have)-first {
		return nil, fmt.Errorf("data: %s has %d samples; asked for %d from sample %d on", nameOrPath, have, max(n, 1), first)
	}
	s.X = s.X[int(first)*s.D : (int(first)+n)*s.D]
	return s, nil
}

func product(shape []int) int {
	p := 1
	for _, v := range shape {
		p *= v
	}
	return p
}
