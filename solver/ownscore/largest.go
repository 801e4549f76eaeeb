package ownscore

import (
	"cmp"
	"container/heap"
)

// largest keeps the largest thousandth of n values that come one by one, for their 99.9 % quantile: the values of all paths at all steps
// would take gigabytes. Like package slices it holds a NaN for less than any number.
type largest struct {
	room   int
	values values
}

func newLargest(n int) *largest { return &largest{room: n - n*999/1000} }

// add takes a value.
func (l *largest) add(v float64) {
	switch {
	case len(l.values) < l.room:
		heap.Push(&l.values, v)
	case cmp.Less(l.values[0], v):
		l.values[0] = v
		heap.Fix(&l.values, 0)
	}
}

// least is the least of those that are kept. Of n sorted values it is that at n·999/1000.
func (l *largest) least() float64 { return l.values[0] }

// values are a heap with the least value first.
type values []float64

func (v values) Len() int           { return len(v) }
func (v values) Less(i, j int) bool { return cmp.Less(v[i], v[j]) }
func (v values) Swap(i, j int)      { v[i], v[j] = v[j], v[i] }
func (v *values) Push(x any)        { *v = append(*v, x.(float64)) }
func (v *values) Pop() any          { panic("ownscore: nothing is taken out") }
