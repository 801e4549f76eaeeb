package data

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"hbar/internal/float16"
)

// element is a type of array elements: its size in bytes and how to read one.
type element struct {
	size int
	get  func(b []byte) float64
	// wrong, unless nil, is the text of an element that get does not read exactly, and "" for one that it does.
	wrong func(b []byte) string
}

func (e element) checked(wrong func(b []byte) string) element {
	e.wrong = wrong
	return e
}

func uint8Element() element {
	return element{size: 1, get: func(b []byte) float64 { return float64(b[0]) }}
}

func int8Element() element {
	return element{size: 1, get: func(b []byte) float64 { return float64(int8(b[0])) }}
}

func int16Element(o binary.ByteOrder) element {
	return element{size: 2, get: func(b []byte) float64 { return float64(int16(o.Uint16(b))) }}
}

func uint16Element(o binary.ByteOrder) element {
	return element{size: 2, get: func(b []byte) float64 { return float64(o.Uint16(b)) }}
}

func int32Element(o binary.ByteOrder) element {
	return element{size: 4, get: func(b []byte) float64 { return float64(int32(o.Uint32(b))) }}
}

func uint32Element(o binary.ByteOrder) element {
	return element{size: 4, get: func(b []byte) float64 { return float64(o.Uint32(b)) }}
}

// int64Element reads integers that float64 holds exactly.
func int64Element(o binary.ByteOrder) element {
	return element{size: 8, get: func(b []byte) float64 { return float64(int64(o.Uint64(b))) }}.checked(func(b []byte) string {
		v := int64(o.Uint64(b))
		if f := float64(v); f < 0x1p63 && int64(f) == v {
			return ""
		}
		return strconv.FormatInt(v, 10)
	})
}

func uint64Element(o binary.ByteOrder) element {
	return element{size: 8, get: func(b []byte) float64 { return float64(o.Uint64(b)) }}.checked(func(b []byte) string {
		v := o.Uint64(b)
		if f := float64(v); f < 0x1p64 && uint64(f) == v {
			return ""
		}
		return strconv.FormatUint(v, 10)
	})
}

// boolElement reads numpy's bool: a byte that is 0 or 1.
func boolElement() element {
	return element{size: 1, get: func(b []byte) float64 { return float64(b[0]) }}.checked(func(b []byte) string {
		if b[0] <= 1 {
			return ""
		}
		return fmt.Sprintf("the byte %#x, which is no bool,", b[0])
	})
}

// float16Element reads IEEE 754 half precision; every value is exact in float64.
func float16Element(o binary.ByteOrder) element {
	return element{size: 2, get: func(b []byte) float64 { return float64(float16.Float32(o.Uint16(b))) }}
}

func float32Element(o binary.ByteOrder) element {
	return element{size: 4, get: func(b []byte) float64 { return float64(math.Float32frombits(o.Uint32(b))) }}
}

func float64Element(o binary.ByteOrder) element {
	return element{size: 8, get: func(b []byte) float64 { return math.Float64frombits(o.Uint64(b)) }}
}

// inexactError is the error of an element that float64 does not hold.
type inexactError struct {
	at   int64 // its index in the file, counted from 0
	text string
}

func (e *inexactError) Error() string {
	return fmt.Sprintf("element %d is %s: values must be exact in float64 (integers up to 2⁵³)", e.at, e.text)
}

// readElements reads exactly n elements. It makes room for the first room of them at once, for the others as they
// arrive. An element that is not exact in float64 is an *inexactError.
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
			b := b[i*e.size:]
			if e.wrong != nil {
				if text := e.wrong(b[:e.size]); text != "" {
					return nil, &inexactError{int64(len(x)), text}
				}
			}
			x = append(x, e.get(b))
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
