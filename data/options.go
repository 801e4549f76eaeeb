package data

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"

	"hbar/data/internal/picture"
)

// NoLabels is the value of Options.Labels that leaves labels away.
const NoLabels = "none"

// Options say how a set is loaded. The zero value takes all of it, with the labels that it carries.
type Options struct {
	First uint64 // number of the first sample
	N     int    // how many; 0 takes all of a file, and the default of a built-in set
	Seed  uint64 // of a built-in set

	// Columns are the coordinates to take of a table, by name or by number from 1, comma-separated; 2-5 is a range. "" takes all but
	// a column that numbers the rows.
	Columns string
	// Prefer are the columns to take, by name, of a table that has them all and for which Columns says nothing.
	Prefer []string
	// Header says whether the first line of a table names the columns: HeaderAuto (or ""), HeaderYes, HeaderNo.
	Header string

	Labels string // a file of labels; "none" for none; "" for those that the data carry
	Length int    // samples of a piece of sound; in an array N×T or N×T×C it says that these are sequences of this length
	// Text takes a file of any name for text, as windows of Length characters, one every Stride characters (0: one after the other).
	// Alphabet are the characters that it may have; nil: those that it has.
	Text     bool
	Stride   int
	Alphabet Alphabet
	Resize   int  // images are resized to this many pixels squared; 0 keeps their size
	Crop     bool // images are first cut to the square at their centre
	// Range is the lowest and the highest value that images and sequences may have; Normalise maps it to −1 … 1. nil: it is found
	// by looking.
	Range []float64
	Cache string // folder for decoded pictures; "" is the user's cache folder, "none" keeps none
}

// maxSide bounds Options.Resize.
const maxSide = 1 << 13

// Validate checks what does not depend on the data.
func (o Options) Validate() error {
	switch {
	case o.Resize < 0 || o.Resize > maxSide:
		return fmt.Errorf("data: resize to %d pixels; want 1 to %d, or 0 to keep the size", o.Resize, maxSide)
	case o.Length < 0 || o.Length > maxSamples:
		return fmt.Errorf("data: pieces of %d samples; want 1 to 2³⁰", o.Length)
	case o.Stride < 0 || o.Stride > maxSamples:
		return fmt.Errorf("data: a window every %d characters; want 1 to 2³⁰, or 0 for one after the other", o.Stride)
	case o.Stride > 0 && !o.Text:
		return fmt.Errorf("data: a stride of %d is for text", o.Stride)
	case o.Range != nil && (len(o.Range) != 2 || !(o.Range[1] > o.Range[0]) || o.Range[1]-o.Range[0] > math.MaxFloat64):
		return fmt.Errorf("data: range %v; want two numbers, the lower first", o.Range)
	}
	return nil
}

// fit is what is to be done to images.
func (o Options) fit() picture.Fit { return picture.Fit{Side: o.Resize, Crop: o.Crop} }

// LoadWith is what a --data flag means: a built-in name, else a file, folder or archive, in full or a range of its samples.
func LoadWith(nameOrPath string, o Options) (*Dataset, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Header != "" && o.Header != HeaderAuto && (o.Text || isBuiltinOrUnknown(nameOrPath) || isFolderLike(nameOrPath) || !isTable(nameOrPath)) {
		return nil, fmt.Errorf("data: --header %s is for tables in files (%s), and %s is none; leave it out", o.Header, strings.Join(tables, ", "), nameOrPath)
	}
	s, err := loadAll(nameOrPath, o)
	if err != nil {
		return nil, err
	}
	switch o.Labels {
	case "":
	case NoLabels:
		s.dropLabels()
	default:
		labels, names, err := readLabels(o.Labels)
		if err == nil {
			if err = s.setLabels(labels, names); err != nil {
				err = fmt.Errorf("data: %s: labels of %s: %w", o.Labels, nameOrPath, err)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	if !o.Text && isBuiltinOrUnknown(nameOrPath) {
		return s, s.checkRange(o.Range)
	}
	have, n := s.N(), o.N
	if n <= 0 && o.First < uint64(have) {
		n = have - int(o.First)
	}
	if n <= 0 || o.First > uint64(have) || uint64(n) > uint64(have)-o.First {
		return nil, fmt.Errorf("data: %s has %d samples; asked for %d from sample %d on", nameOrPath, have, max(n, 1), o.First)
	}
	s.keep(int(o.First), n)
	return s, s.checkRange(o.Range)
}

// loadAll is a range of a built-in set, or a whole file, folder or archive.
func loadAll(nameOrPath string, o Options) (s *Dataset, err error) {
	switch {
	case o.Text && (IsBuiltin(nameOrPath) || isFolderLike(nameOrPath)):
		return nil, fmt.Errorf("data: %s is not a text; name one file of characters", nameOrPath)
	case o.Text && o.Columns != "":
		return nil, fmt.Errorf("data: --columns %s is for tables; %s is read as text", o.Columns, nameOrPath)
	case o.Text:
		return readFile(nameOrPath, o)
	case isBuiltinOrUnknown(nameOrPath):
		if o.Columns != "" {
			return nil, fmt.Errorf("data: --columns %s is for tables in files; %s is a built-in set", o.Columns, nameOrPath)
		}
		s, err = Range(nameOrPath, o.First, o.N, o.Seed)
	case isFolderLike(nameOrPath) && o.Columns != "":
		return nil, fmt.Errorf("data: --columns %s is for tables; %s holds pictures or sounds", o.Columns, nameOrPath)
	case isFolderLike(nameOrPath):
		if s, err = readFolder(nameOrPath, o); err == nil {
			s.Name = filepath.Base(nameOrPath)
		}
	default:
		s, err = readFile(nameOrPath, o)
	}
	if err != nil {
		return nil, err
	}
	if err := s.sequences(o); err != nil {
		return nil, fmt.Errorf("data: %s: %w", nameOrPath, err)
	}
	if !isFolderLike(nameOrPath) || s.Bytes == nil { // pictures were brought to size as they were decoded
		if err := s.resize(o.fit()); err != nil {
			return nil, fmt.Errorf("data: %s: %w", nameOrPath, err)
		}
	}
	return s, nil
}

// readFile is a whole file, with the labels that are in it or lie beside it.
func readFile(path string, o Options) (*Dataset, error) {
	s, err := byPath(path, o)
	if err != nil || o.Labels != "" {
		return s, err
	}
	if beside := siblingLabels(path); beside != "" {
		labels, names, err := readLabels(beside)
		if err != nil {
			return nil, err
		}
		if err := s.setLabels(labels, names); err != nil {
			return nil, fmt.Errorf("data: %s beside %s: %w (--labels none leaves them away)", beside, path, err)
		}
	}
	return s, nil
}

// sequences takes arrays N×T and N×T×C for sequences where a length is given.
func (s *Dataset) sequences(o Options) error {
	if o.Length == 0 || s.SampleRate > 0 {
		return nil
	}
	var shape []int
	switch {
	case len(s.Shape) == 1:
		shape = []int{s.D, 1}
	case len(s.Shape) == 3 && s.Shape[2] == 1: // read as images of one channel
		shape = s.Shape[:2]
	}
	if shape == nil || shape[0] != o.Length {
		return fmt.Errorf("samples of shape %v are not sequences of length %d (--length)", s.Shape, o.Length)
	}
	if s.Bytes != nil {
		return fmt.Errorf("sequences of bytes; want floats (x.astype('float32') in numpy)")
	}
	s.Shape = shape
	return nil
}

// isBuiltinOrUnknown says that a name is not meant to be a file's.
func isBuiltinOrUnknown(name string) bool { return IsBuiltin(name) || !looksLikeFile(name) }
