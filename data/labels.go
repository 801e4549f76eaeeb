package data

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxClasses bounds the number of classes: a network has weights for each.
const maxClasses = 1 << 16

// setLabels gives the samples of a set their labels, whole numbers from 0 on. names may be nil. The number of classes is that of
// the names, else one more than the largest label.
func (s *Dataset) setLabels(labels []float64, names []string) error {
	if len(labels) != s.N() {
		return fmt.Errorf("%d labels for %d samples; want one label for each", len(labels), s.N())
	}
	if len(names) > maxClasses {
		return fmt.Errorf("%d classes; at most %d are read", len(names), maxClasses)
	}
	out := make([]int32, len(labels))
	classes := len(names)
	for i, v := range labels {
		k := int32(v)
		switch {
		case float64(k) != v, k < 0, k >= maxClasses:
			return fmt.Errorf("label %d is %g; labels are whole numbers from 0 to at most %d", i, v, maxClasses-1)
		case names != nil && int(k) >= len(names):
			return fmt.Errorf("label %d is %g; there are classes 0 to %d", i, v, len(names)-1)
		}
		out[i] = k
		if names == nil {
			classes = max(classes, int(k)+1)
		}
	}
	s.Labels, s.Classes, s.ClassNames = out, classes, names
	return nil
}

// LabelsAs are the labels as a network numbers its classes, whose names are given. Where both have names the names decide: the number of a class
// depends on which others a set has. A label whose name is not among them is an error.
func (s *Dataset) LabelsAs(names []string) ([]int32, error) {
	if s.Labels == nil || s.ClassNames == nil || names == nil || slices.Equal(s.ClassNames, names) {
		return s.Labels, nil
	}
	out := make([]int32, len(s.Labels))
	for i, label := range s.Labels {
		name := s.ClassNames[label]
		k := slices.Index(names, name)
		if k < 0 {
			return nil, fmt.Errorf("sample %d of %s is of the class %.60q; the network knows %.200q", i, s.Name, name, names)
		}
		out[i] = int32(k)
	}
	return out, nil
}

// dropLabels makes it a set without labels.
func (s *Dataset) dropLabels() { s.Labels, s.Classes, s.ClassNames = nil, 0, nil }

// readLabels reads a file of one label for each sample: .npy or idx of whole numbers, or text with a label a line. Text that is
// not a number names a class; the classes are then numbered in the order of their names.
func readLabels(path string) (labels []float64, names []string, err error) {
	base := strings.ToLower(filepath.Base(path))
	if !isTable(base) && readerFor(path, Options{}) != nil {
		f, size, err := openRegular(path)
		if err != nil {
			return nil, nil, err
		}
		defer f.Close()
		if strings.HasSuffix(base, ".npy") {
			labels, err = readNpyLabels(f, size)
		} else {
			labels, err = readIDXLabels(f, size)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("data: %s: labels: %w", path, err)
		}
		return labels, nil, nil
	}
	f, _, err := openRegular(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if labels, names, err = readTextLabels(f); err != nil {
		return nil, nil, fmt.Errorf("data: %s: labels: %w", path, err)
	}
	return labels, names, nil
}

// openRegular opens a regular file for reading and returns its size.
func openRegular(path string) (*os.File, int64, error) {
	// Before it is opened: opening a pipe waits for whoever writes to it.
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("data: %s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("data: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, fmt.Errorf("data: %w", err)
	}
	return f, st.Size(), nil
}

func readIDXLabels(r io.Reader, size int64) ([]float64, error) {
	s, err := readIDX(r, size)
	if err != nil {
		return nil, err
	}
	if s.D != 1 {
		return nil, fmt.Errorf("an array of rows of %d; want one label for each sample", s.D)
	}
	return s.Values(), nil
}

func readNpyLabels(r io.Reader, size int64) ([]float64, error) {
	br := bufio.NewReaderSize(r, 1<<16)
	h, headerSize, err := readNpyHeader(br, size)
	if err != nil {
		return nil, err
	}
	e, err := npyElement(h.descr)
	if err != nil {
		return nil, err
	}
	if len(h.shape) == 0 || slices.ContainsFunc(h.shape[1:], func(v int64) bool { return v != 1 }) {
		return nil, fmt.Errorf("an array of shape %v; want one label for each sample", h.shape)
	}
	n, err := elements(h.shape, (size-headerSize)/int64(e.size))
	if err != nil {
		return nil, err
	}
	labels, err := readElements(br, n, n, e)
	if err != nil {
		return nil, err
	}
	return labels, atEnd(br)
}

// maxLabelLine bounds a line of a text of labels.
const maxLabelLine = 1 << 12

func readTextLabels(r io.Reader) (labels []float64, names []string, err error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, maxLabelLine), maxLabelLine)
	var lines []string
	numbers := true
	for sc.Scan() {
		text := strings.TrimSpace(strings.TrimPrefix(sc.Text(), "\ufeff"))
		if text == "" || text[0] == '#' {
			continue
		}
		if strings.Contains(text, ",") {
			return nil, nil, fmt.Errorf("line %d has several fields; want one label a line", len(lines)+1)
		}
		if _, err := strconv.ParseFloat(text, 64); err != nil && len(lines) > 0 {
			numbers = false
		}
		lines = append(lines, text)
	}
	if errors.Is(sc.Err(), bufio.ErrTooLong) {
		return nil, nil, fmt.Errorf("line %d is longer than %d bytes; want one label a line", len(lines)+1, maxLabelLine)
	}
	if err := sc.Err(); err != nil {
		return nil, nil, err
	}
	if len(lines) == 0 {
		return nil, nil, errors.New("no labels")
	}
	if numbers {
		if _, err := strconv.ParseFloat(lines[0], 64); err != nil { // a header, or a single name
			if lines = lines[1:]; len(lines) == 0 {
				return nil, nil, errors.New("no labels after the first line")
			}
		}
		for _, text := range lines {
			v, _ := strconv.ParseFloat(text, 64)
			labels = append(labels, v)
		}
		return labels, nil, nil
	}
	labels, names = numberNames(lines)
	return labels, names, nil
}

// numberNames numbers names in their order.
func numberNames(each []string) (labels []float64, names []string) {
	names = slices.Clone(each)
	slices.Sort(names)
	names = slices.Compact(names)
	labels = make([]float64, len(each))
	for i, name := range each {
		k, _ := slices.BinarySearch(names, name)
		labels[i] = float64(k)
	}
	return labels, names
}

// siblingLabels is the file of labels that goes with one of images, as MNIST has them: train-labels-idx1-ubyte.gz beside
// train-images-idx3-ubyte.gz. It is empty if there is none.
func siblingLabels(path string) string {
	dir, base := filepath.Split(path)
	if !strings.Contains(base, "images") {
		return ""
	}
	name := strings.Replace(base, "images", "labels", 1)
	for _, dims := range []string{"idx2", "idx3", "idx4"} {
		name = strings.Replace(name, dims, "idx1", 1)
	}
	stem := strings.TrimSuffix(name, ".gz")
	for _, name := range []string{name, stem, stem + ".gz"} {
		if st, err := os.Stat(filepath.Join(dir, name)); err == nil && st.Mode().IsRegular() {
			return filepath.Join(dir, name)
		}
	}
	return ""
}
