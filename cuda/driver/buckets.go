//go:build gpu && cgo

package driver

import "math"

// A trainer of one of several processes computes the gradient of its rows of each batch, and the sum over all processes is made in
// buckets, ranges of the array of gradients. The sum of a bucket begins as soon as the last gradient in it is there, on the stream of the
// communicator, while the rest of the backward pass runs.

// Bucket is a range of the gradients that is summed at once.
type Bucket struct {
	Lo, N int
	Ready int // position of the backward pass after which all of it is there
}

// Buckets are about an eighth of the gradient, within these bounds, in bytes: a small sum costs its latency, a large one begins late.
const (
	leastBucket = 256 << 10
	// MostBucket is the upper bound, except for a parameter that is larger by itself.
	MostBucket = 25 << 20
)

// Buckets divides count gradients into ranges of at least size bytes each, or if that is 0 of about an eighth. Those of parameter i begin at at[i]
// and are there after position ready[i]. It begins with the last parameters, because the backward pass comes to the last layers first.
func Buckets(at, ready []int, count, size int) (out []Bucket) {
	if size == 0 {
		size = min(max(4*count/8, leastBucket), MostBucket)
	}
	hi := count
	when := math.MinInt
	for i := len(at) - 1; i >= 0; i-- {
		when = max(when, ready[i])
		if lo := at[i]; 4*(hi-lo) >= size || i == 0 {
			if hi > lo {
				out = append(out, Bucket{lo, hi - lo, when})
			}
			hi, when = lo, math.MinInt
		}
	}
	return out
}

// Early is the part of the gradient's numbers whose sums begin before the last gradient is there.
func Early(buckets []Bucket) float64 {
	last, all, early := math.MinInt, 0, 0
	for _, b := range buckets {
		last, all = max(last, b.Ready), all+b.N
	}
	for _, b := range buckets {
		if b.Ready < last {
			early += b.N
		}
	}
	return float64(early) / float64(max(all, 1))
}
