package data

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Dataset is n samples of D coordinates, with or without labels. Its numbers are either in X or in Bytes; the other is nil.
type Dataset struct {
	Name string // a built-in name, or the base name of the file
	D    int    // coordinates of a sample
	// Shape is that of one sample: [D] for a table, [height, width, channels] for images, [length, channels] for
	// sequences. Its product is D.
	Shape []int
	X     []float64 // n×D, row-major, data units
	Bytes []byte    // n×D, row-major, of images that come as bytes: data units are 0 … 255
	Norm  Normalisation

	// Columns are the names of the D coordinates of a table with a header; a name may be "". nil: there are none.
	Columns []string
	// Notes say what was found in a file, and warn of what may be wrong with it.
	Notes []Note

	Labels     []int32  // n of them, each in 0 … Classes−1; nil: there are none
	Classes    int      // number of classes; 0 without labels
	ClassNames []string // Classes of them; nil: the classes have numbers only

	SampleRate int         // of sounds, samples a second; 0: not a sound
	Alphabet   Alphabet    // of text, whose samples are windows of characters; nil: not text
	limits     *[2]float64 // the range that was stated for the values
}

// Note is one finding about a file.
type Note struct {
	Label string // "table", "header", "columns", or "warning"
	Text  string
}

func (s *Dataset) note(label, format string, args ...any) {
	s.Notes = append(s.Notes, Note{label, fmt.Sprintf(format, args...)})
}

func (s *Dataset) warn(format string, args ...any) { s.note("warning", format, args...) }

// N is the number of samples.
func (s *Dataset) N() int { return max(len(s.X), len(s.Bytes)) / s.D }

// Row is sample i in data units: a view into X, or a copy where the set holds bytes.
func (s *Dataset) Row(i int) []float64 {
	if s.Bytes == nil {
		return s.X[i*s.D : (i+1)*s.D : (i+1)*s.D]
	}
	return expand(s.Bytes[i*s.D : (i+1)*s.D])
}

// Values returns all samples in data units, n×D: X itself, or a copy of eight times the size where the set holds bytes.
func (s *Dataset) Values() []float64 {
	if s.Bytes == nil {
		return s.X
	}
	return expand(s.Bytes)
}

// Head is Values of the first n samples, or of all if there are fewer; of images of bytes at most 1000.
func (s *Dataset) Head(n int) []float64 {
	if s.Bytes != nil {
		n = min(n, 1000)
	}
	n = min(n, s.N()) * s.D
	if s.Bytes == nil {
		return s.X[:n]
	}
	return expand(s.Bytes[:n])
}

func expand(b []byte) []float64 {
	x := make([]float64, len(b))
	for i, v := range b {
		x[i] = float64(v)
	}
	return x
}

// Normalised returns all samples as the network sees them, n×D float32.
func (s *Dataset) Normalised() []float32 {
	dst := make([]float32, max(len(s.X), len(s.Bytes)))
	if s.Bytes == nil {
		s.Norm.Apply32(dst, s.X, s.D)
		return dst
	}
	const rows = 256
	parallel((s.N()+rows-1)/rows, func(i int) {
		from, to := i*rows*s.D, min((i+1)*rows*s.D, len(dst))
		s.Norm.ApplyBytes(dst[from:to], s.Bytes[from:to], s.D)
	})
	return dst
}

// NormalisedRow writes sample i as the network sees it to dst, of D numbers: the same bits as Normalised has.
func (s *Dataset) NormalisedRow(dst []float32, i int) {
	if s.Bytes == nil {
		s.Norm.Apply32(dst, s.X[i*s.D:(i+1)*s.D], s.D)
	} else {
		s.Norm.ApplyBytes(dst, s.Bytes[i*s.D:(i+1)*s.D], s.D)
	}
}

// keep reduces the set to samples first … first+n−1.
func (s *Dataset) keep(first, n int) {
	if s.Bytes != nil {
		s.Bytes = s.Bytes[first*s.D : (first+n)*s.D]
	} else {
		s.X = s.X[first*s.D : (first+n)*s.D]
	}
	if s.Labels != nil {
		s.Labels = s.Labels[first : first+n]
	}
}

// Choose reduces the set to the samples with these numbers, in this order.
func (s *Dataset) Choose(samples []int) {
	was, n := *s, len(samples)
	if was.Bytes != nil {
		s.Bytes = make([]byte, 0, n*s.D)
	} else {
		s.X = make([]float64, 0, n*s.D)
	}
	if was.Labels != nil {
		s.Labels = make([]int32, 0, n)
	}
	for _, i := range samples {
		if was.Bytes != nil {
			s.Bytes = append(s.Bytes, was.Bytes[i*s.D:(i+1)*s.D]...)
		} else {
			s.X = append(s.X, was.X[i*s.D:(i+1)*s.D]...)
		}
		if was.Labels != nil {
			s.Labels = append(s.Labels, was.Labels[i])
		}
	}
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
	// labels are those of the same samples, n of them; nil where the set has none.
	labels  func(seed, first uint64, n int) []float64
	classes int // their number
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
	return nil, 0, fmt.Errorf("data: set %q unknown; have %s, or a folder, an archive (.zip, .tar, .tar.gz), or a file ending in %s", name, strings.Join(Names(), ", "), strings.Join(extensions, ", "))
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
	if b.labels != nil {
		if err := s.setLabels(b.labels(seed, first, n), nil); err != nil {
			return nil, fmt.Errorf("data: %s: %w", name, err)
		}
		s.Classes = b.classes
	}
	return s, nil
}

// maxSamples bounds the coordinates of a set: 8 GiB of them.
const maxSamples = 1 << 30

// IsBuiltin reports whether name (with or without its parameter) is a built-in set rather than a file.
func IsBuiltin(name string) bool {
	base, _, _ := strings.Cut(name, ":")
	return slices.Contains(Names(), base)
}

// Load is LoadWith for n samples from sample first on (all of a file if n ≤ 0), with the labels that the data carry.
func Load(nameOrPath string, first uint64, n int, seed uint64) (*Dataset, error) {
	return LoadWith(nameOrPath, Options{First: first, N: n, Seed: seed})
}

func product(shape []int) int {
	p := 1
	for _, v := range shape {
		p *= v
	}
	return p
}
