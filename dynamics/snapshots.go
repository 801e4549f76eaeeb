package dynamics

import (
	"fmt"
	"math"
	"runtime"
	"sync"
)

// segment is a stretch of consecutive windows of one record: pairs of neighbours among its pairs+1 windows.
type segment struct {
	record, first int // the newest snapshot of the first window
	pairs         int
}

// chunk is a piece of work: segments with up to chunkPairs pairs.
type chunk struct {
	segments []segment
	pairs    int
	row      int // of the first pair, among all
}

const chunkPairs = 2048

// NoPairsError is data without a stretch of as many snapshots as a lift needs.
type NoPairsError struct{ Needs, Longest int }

func (e *NoPairsError) Error() string {
	return fmt.Sprintf("dynamics: no trajectory is long enough: the lift needs %d snapshots one step apart without a gap, and the longest stretch has %d", e.Needs, e.Longest)
}

// stretches lists the windows whose snapshots are one step apart, none across a gap or from one record to another: segments of up to
// chunkPairs pairs, of none where no snapshot follows a window. longest is the most snapshots in a row.
func stretches(data *Data, l *Lift, dt float64) (segs []segment, longest int) {
	complete := func(r *Record, i int) bool {
		for _, v := range r.Row(i, data.P) {
			if v != v {
				return false
			}
		}
		return true
	}
	for k := range data.Records {
		r := &data.Records[k]
		run := 0 // complete snapshots one step apart, up to i
		for i := range r.Len() {
			switch {
			case !complete(r, i):
				run = 0
			case run > 0 && math.Abs(r.Times[i]-r.Times[i-1]-dt) > stepTolerance*dt:
				run = 1
			default:
				run++
			}
			longest = max(longest, run)
			if run == l.Delays {
				segs = append(segs, segment{record: k, first: i})
			}
			if run > l.Delays {
				if segs[len(segs)-1].pairs == chunkPairs {
					segs = append(segs, segment{record: k, first: i - 1})
				}
				segs[len(segs)-1].pairs++
			}
		}
	}
	return segs, longest
}

// chunks lists the pairs of windows one step apart.
func chunks(data *Data, l *Lift, dt float64) (all []chunk, pairs int, err error) {
	segs, longest := stretches(data, l, dt)
	c := chunk{}
	for _, s := range segs {
		if s.pairs == 0 {
			continue
		}
		if c.pairs > 0 && c.pairs+s.pairs > chunkPairs {
			all = append(all, c)
			c = chunk{row: pairs}
		}
		c.segments = append(c.segments, s)
		c.pairs += s.pairs
		pairs += s.pairs
	}
	if pairs == 0 {
		return nil, 0, &NoPairsError{l.Delays + 1, longest}
	}
	return append(all, c), pairs, nil
}

// fill writes the features of a segment's windows, pairs+1 rows with the given stride.
func (s *segment) fill(dst []float64, stride int, data *Data, l *Lift) {
	r := &data.Records[s.record]
	p, d := data.P, l.Dim()
	for k := range s.pairs + 1 {
		row := dst[k*stride : k*stride+d]
		for j := range l.Delays {
			l.standardise(row[j*p:(j+1)*p], r.Row(s.first+k-j, p))
		}
		l.finish(row)
	}
}

// parallel runs work on each of n items on all processors, in any order.
func parallel(n int, work func(i int)) {
	workers := min(runtime.GOMAXPROCS(0), n)
	var wg sync.WaitGroup
	next := make(chan int)
	for range workers {
		wg.Go(func() {
			for i := range next {
				work(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
