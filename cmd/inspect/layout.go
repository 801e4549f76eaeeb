package main

import (
	"fmt"
	"slices"
	"strings"

	"hbar/program"
)

// layout is how a file has samples: their shape with channels last, and whether the file has channels first.
type layout struct {
	sample []int
	first  bool
}

// size is the number of elements of a sample.
func (l layout) size() int { return program.Size(l.sample) }

// swapped reports whether the order of the elements differs from the network's.
func (l layout) swapped() bool { return l.first && len(l.sample) > 1 }

// shape is that of n samples in the file.
func (l layout) shape(n int) []int {
	if !l.swapped() {
		return append([]int{n}, l.sample...)
	}
	last := len(l.sample) - 1
	return slices.Concat([]int{n, l.sample[last]}, l.sample[:last])
}

// String describes the shape of an array: "n × 32 × 32 × 3".
func (l layout) String() string {
	return "n × " + times(l.shape(0)[1:])
}

// times writes a shape: "32 × 32 × 3".
func times(shape []int) string {
	parts := make([]string, len(shape))
	for i, d := range shape {
		parts[i] = fmt.Sprint(d)
	}
	return strings.Join(parts, " × ")
}

// read returns samples lo to hi of an array of the file as the network takes them.
func (l layout) read(x []float64, lo, hi int) []float64 {
	d := l.size()
	x = x[lo*d : hi*d]
	if !l.swapped() {
		return x
	}
	c := l.sample[len(l.sample)-1]
	out := make([]float64, len(x))
	for i := range hi - lo {
		transpose(out[i*d:(i+1)*d], x[i*d:(i+1)*d], c, d/c)
	}
	return out
}

// write is the reverse of read: it stores samples from lo on.
func (l layout) write(dst, y []float64, lo int) {
	d := l.size()
	dst = dst[lo*d:]
	if !l.swapped() {
		copy(dst, y)
		return
	}
	c := l.sample[len(l.sample)-1]
	for i := range len(y) / d {
		transpose(dst[i*d:(i+1)*d], y[i*d:(i+1)*d], d/c, c)
	}
}

// transpose writes the transpose of an array of rows and columns.
func transpose(dst, src []float64, rows, cols int) {
	for i := range rows {
		for j := range cols {
			dst[j*rows+i] = src[i*cols+j]
		}
	}
}
