package data

import (
	"fmt"
	"io"
	"math"
	"math/bits"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"hbar/data/internal/files"
)

// extensions are the endings of the names of files that are read.
var extensions = []string{".npy", ".csv", ".tsv", ".txt", ".dat", ".idx", ".idx.gz", "-ubyte", "-ubyte.gz", ".npz", ".bin", ".wav"}

// reader parses a file of the given size.
type reader func(r io.Reader, size int64) (*Dataset, error)

// tables are the endings of texts with one sample a line.
var tables = []string{".csv", ".tsv", ".txt", ".dat"}

func isTable(path string) bool {
	return slices.Contains(tables, strings.ToLower(filepath.Ext(path)))
}

func readerFor(path string, o Options) reader {
	base := strings.ToLower(filepath.Base(path))
	switch {
	case o.Text:
		return func(r io.Reader, size int64) (*Dataset, error) { return readText(r, size, o) }
	case strings.HasSuffix(base, ".npy"):
		return readNpy
	case isTable(base):
		return tableReader(o)
	case strings.HasSuffix(base, ".idx"), strings.HasSuffix(base, ".idx.gz"),
		strings.HasSuffix(base, "-ubyte"), strings.HasSuffix(base, "-ubyte.gz"):
		return readIDX
	case strings.HasSuffix(base, ".npz"):
		return func(r io.Reader, size int64) (*Dataset, error) { return readNpz(r, size, o.Labels == "") }
	case strings.HasSuffix(base, ".bin"):
		return func(r io.Reader, size int64) (*Dataset, error) { return readCIFAR(r, size, o.Labels == "") }
	case isWav(base):
		return func(r io.Reader, size int64) (*Dataset, error) { return readWav(r, size, o.Length) }
	}
	return nil
}

func looksLikeFile(path string) bool {
	return readerFor(path, Options{}) != nil || strings.ContainsAny(path, `/\`) || isFolderLike(path)
}

// byPath reads all samples of a file, by the ending of its name:
//
//	.npy                              bool, integers, float16, float32, float64 of any shape N×…, C or Fortran order, either byte order
//	.csv, .tsv, .txt, .dat            tables of numbers, one sample a line, with or without a header
//	.idx, -ubyte, and those with .gz  MNIST-style arrays of any type
//	.npz                              arrays as above, stored or deflated: arr_0 or images, and arr_1 or labels
//	.bin                              a binary batch of CIFAR-10 or CIFAR-100
//	.wav                              16-bit PCM, by LoadWith, whose options have the length of a piece
//
// The Normalisation is the identity; Fit makes another. Values must be finite. Expanded gzip data may be at most
// 256 MiB and 200 times the compressed size.
func byPath(path string, o Options) (*Dataset, error) {
	read := readerFor(path, o)
	if read == nil {
		return nil, fmt.Errorf("data: %s: unknown kind of file; have %s", path, strings.Join(extensions, ", "))
	}
	before, _, _ := files.Stamp(path)
	f, size, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s, err := read(f, size)
	if after, _, _ := files.Stamp(path); after != before {
		return nil, fmt.Errorf("data: %s %w", path, files.ErrChanged)
	}
	if err != nil && !o.Text && strings.EqualFold(filepath.Ext(path), ".txt") {
		return nil, fmt.Errorf("data: %s: %w (a .txt file is read as a table; --text reads it as characters)", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("data: %s: %w", path, err)
	}
	if o.Columns != "" && !isTable(path) {
		if err := s.selectColumns(o.Columns); err != nil {
			return nil, fmt.Errorf("data: %s: %w", path, err)
		}
	}
	s.Name = filepath.Base(path)
	return s, nil
}

// newDataset checks the values and describes n×shape samples.
func newDataset(x []float64, shape []int) (*Dataset, error) {
	d := product(shape)
	for i, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("row %d, coordinate %d is %g; values must be finite", i/d, i%d, v)
		}
	}
	return &Dataset{D: d, Shape: shape, X: x}, nil
}

// elements is the product of a shape of sizes ≥ 0, checked against the number of elements that the file can hold.
func elements(shape []int64, limit int64) (int64, error) {
	return elementsUpTo(maxSamples, shape, limit)
}

// elementsUpTo is elements with another bound than 2³⁰.
func elementsUpTo(most int64, shape []int64, limit int64) (int64, error) {
	if slices.Contains(shape, 0) {
		return 0, fmt.Errorf("shape %v is empty", shape)
	}
	p := int64(1)
	for _, v := range shape {
		if p > limit/v {
			return 0, fmt.Errorf("shape %v is larger than the file, which holds at most %d elements", shape, max(limit, 0))
		}
		p *= v
	}
	if p > most {
		return 0, fmt.Errorf("shape %v has more than %s elements; split the set", shape, powerOfTwo(most))
	}
	return p, nil
}

// powerOfTwo writes one as 2ⁿ.
func powerOfTwo(v int64) string {
	digits := []rune("⁰¹²³⁴⁵⁶⁷⁸⁹")
	text := "2"
	for _, c := range strconv.Itoa(bits.Len64(uint64(v)) - 1) {
		text += string(digits[c-'0'])
	}
	return text
}

// sampleShape drops the leading N. A list of numbers is N samples of one coordinate. N×H×W are images of one channel.
func sampleShape(shape []int64) []int {
	switch len(shape) {
	case 1:
		return []int{1}
	case 3:
		return []int{int(shape[1]), int(shape[2]), 1}
	}
	out := make([]int, len(shape)-1)
	for i, v := range shape[1:] {
		out[i] = int(v)
	}
	return out
}
