package data

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// element is a type of array elements: its size in bytes and how to read one.
type element struct {
	size int
	get  func(b []byte) float64
}

func uint8Element() element {
	return element{1, func(b []byte) float64 { return float64(b[0]) }}
}

func float32Element(o binary.ByteOrder) element {
	return element{4, func(b []byte) float64 { return float64(math.Float32frombits(o.Uint32(b))) }}
}

func float64Element(o binary.ByteOrder) element {
	return element{8, func(b []byte) float64 { return math.Float64frombits(o.Uint64(b)) }}
}

// readElements reads exactly n elements. It makes room for the first room of them at once, for the others as they
// arrive.
func readElements(r io.Reader, n, room int64, e element) ([]float64, error) {
	const chunk = 1 << 16
	buf := make([]byte, chunk*e.size)
	x := make([]float64, 0, min(n, room))
	for left := n; left > 0; {
		k := min(left, chunk)
		b := buf[:int(k)*e.size]
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, truncated(err, n-left, n)
		}
		for i := range int(k) {
			x = append(x, e.get(b[i*e.size:]))
		}
		left -= k
	}
	return x, nil
}

func truncated(err error, have, want int64) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("truncated: the data end within elements %d to %d of %d", have, want, want)
	}
	return err
}

// atEnd fails if r has more to give.
func atEnd(r io.Reader) error {
	var b [1]byte
	switch n, err := io.ReadFull(r, b[:]); {
	case n == 1:
		return errors.New("more bytes follow the array; the header does not describe this file")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("truncated: the compressed data end early")
	case err != io.EOF:
		return err
	}
	return nil
}
