package data

import (
	"bytes"
	_ "embed"
	"sync"
)

// The 1797 test images of "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, 1998, UCI Machine Learning
// Repository, doi:10.24432/C50P49, licence CC BY 4.0), the set that scikit-learn's load_digits returns: 8×8 pixels of 0 … 16,
// here as an .idx file.
//
//go:embed digits.idx.gz
var digitsFile []byte

// Their labels, 0 … 9, in the same order.
//
//go:embed digits-labels.idx.gz
var digitsLabelsFile []byte

const digitsN, digitsD = 1797, 64

var digitsPixels = sync.OnceValue(func() []float64 {
	s, err := readIDX(bytes.NewReader(digitsFile), int64(len(digitsFile)))
	if err != nil || s.N() != digitsN || s.D != digitsD {
		panic("data: the embedded digits are damaged") // cannot happen: the tests read them
	}
	return s.Values()
})

var digitsLabels = sync.OnceValue(func() []float64 {
	s, err := readIDX(bytes.NewReader(digitsLabelsFile), int64(len(digitsLabelsFile)))
	if err != nil || s.N() != digitsN {
		panic("data: the embedded labels of the digits are damaged") // cannot happen: the tests read them
	}
	return s.Values()
})

// digitsOrder is the order of the images that the seed shuffles: ranges of one seed do not overlap.
func digitsOrder(seed uint64) []int {
	order := make([]int, digitsN)
	for i := range order {
		order[i] = i
	}
	r := newDraw(seed, 0)
	for i := digitsN - 1; i > 0; i-- {
		j := r.below(i + 1)
		order[i], order[j] = order[j], order[i]
	}
	return order
}

// digits copies images first, first+1, … of the seed's order.
func digits(dst []float64, _ float64, seed, first uint64) {
	pixels := digitsPixels()
	for i, k := range digitsOrder(seed)[first:][:len(dst)/digitsD] {
		copy(dst[i*digitsD:(i+1)*digitsD], pixels[k*digitsD:(k+1)*digitsD])
	}
}

// digitsClasses are the labels of the same images.
func digitsClasses(seed, first uint64, n int) []float64 {
	all := digitsLabels()
	labels := make([]float64, n)
	for i, k := range digitsOrder(seed)[first:][:n] {
		labels[i] = all[k]
	}
	return labels
}

// digitsNorm maps pixels 0 … 16 to [−1, 1].
func digitsNorm(float64) Normalisation {
	return Normalisation{Mean: []float64{8}, Scale: []float64{8}}
}
