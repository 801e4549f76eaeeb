package files

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Read returns the contents of file i.
func (s *Set) Read(i int) ([]byte, error) {
	var out []byte
	err := s.Each([]int{i}, 1, func(_, _ int, b []byte) error {
		out = slices.Clone(b)
		return nil
	})
	return out, err
}

// Each reads the files of these indices, which rise, and calls do with their contents on so many goroutines, numbered from 0.
// k counts the indices; b is valid during the call. The error is that of the first file in order that is known to fail.
func (s *Set) Each(indices []int, workers int, do func(worker, k int, b []byte) error) error {
	e := &each{s: s, indices: indices, do: do}
	e.failed.Store(int64(len(indices)))
	if s.stream != nil {
		e.streamed(workers)
	} else {
		e.random(workers)
	}
	return e.err
}

type each struct {
	s       *Set
	indices []int
	do      func(worker, k int, b []byte) error

	mu     sync.Mutex
	err    error
	failed atomic.Int64 // the first k that is known to fail
}

// fail notes the error of file k.
func (e *each) fail(k int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if int64(k) < e.failed.Load() || e.err == nil {
		e.failed.Store(int64(k))
		e.err = fmt.Errorf("%s: %s: %w", e.s.Name, e.s.Files[e.indices[k]].Path, err)
	}
}

// random lets every worker take the next file.
func (e *each) random(workers int) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range max(workers, 1) {
		wg.Go(func() {
			var buf []byte
			for {
				k := int(next.Add(1)) - 1
				if k >= len(e.indices) || int64(k) >= e.failed.Load() {
					return
				}
				b, err := e.s.reader.read(e.indices[k], buf)
				if err == nil {
					buf = b
					err = e.do(w, k, b)
				}
				if err != nil {
					e.fail(k, err)
				}
			}
		})
	}
	wg.Wait()
}

// streamed reads an archive that has to be read from its beginning, and hands the files on to the workers.
func (e *each) streamed(workers int) {
	type item struct {
		k int
		b []byte
	}
	workers = max(workers, 1)
	items, free := make(chan item, workers), make(chan []byte, 2*workers+1)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for it := range items {
				if int64(it.k) < e.failed.Load() {
					if err := e.do(w, it.k, it.b); err != nil {
						e.fail(it.k, err)
					}
				}
				select {
				case free <- it.b:
				default:
				}
			}
		})
	}
	seen := 0
	err := e.s.stream(func(p string, size int64, read func([]byte) ([]byte, error)) error {
		at, ok := slices.BinarySearchFunc(e.s.Files, p, func(f File, p string) int { return strings.Compare(f.Path, p) })
		if !ok || e.s.Files[at].Size != size {
			return ErrChanged
		}
		k, ok := slices.BinarySearch(e.indices, at)
		if !ok {
			return nil
		}
		var buf []byte
		select {
		case buf = <-free:
		default:
		}
		b, err := read(buf)
		if err != nil {
			e.fail(k, err)
			return errStop
		}
		seen++
		items <- item{k, b}
		if seen == len(e.indices) {
			return errStop
		}
		return nil
	})
	close(items)
	wg.Wait()
	if e.err != nil {
		return
	}
	if err == nil && seen != len(e.indices) {
		err = ErrChanged
	}
	if err != nil && err != errStop {
		e.err = fmt.Errorf("%s: %w", e.s.Name, err)
	}
}

var errStop = fmt.Errorf("stop")
