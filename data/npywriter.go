package data

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"hbar/internal/atomicfile"
)

// DType is the type of the elements of an .npy file to write.
type DType string

const (
	Float32 DType = "<f4"
	Float64 DType = "<f8"
)

// Size is the bytes of an element.
func (t DType) Size() int {
	if t == Float64 {
		return 8
	}
	return 4
}

// npyHeaderSize is what numpy writes for small headers: magic to newline, a multiple of 64. The spaces in it leave room
// for any N and up to ten sizes, so that N can be written last.
const npyHeaderSize = 256

// NpyWriter writes an .npy file (version 1, little-endian, C order) of shape (N, tail…) in chunks. N is the number of
// rows written and need not be known before. The file appears under its name at Commit, whole or not at all. Memory is
// one buffer of 256 KiB.
type NpyWriter struct {
	f        *atomicfile.File
	dtype    DType
	tail     []int
	d        int
	buf      []byte
	elements int64
}

// CreateNpy starts a file of rows of the given shape; no tail at all makes a list of numbers.
func CreateNpy(path string, dtype DType, tail ...int) (*NpyWriter, error) {
	if dtype != Float32 && dtype != Float64 {
		return nil, fmt.Errorf("data: %s: dtype %q cannot be written; have %s, %s", path, dtype, Float32, Float64)
	}
	d := 1
	for _, v := range tail {
		if v <= 0 || d > math.MaxInt32/v {
			return nil, fmt.Errorf("data: %s: rows of shape %v cannot be written; want sizes ≥ 1 with a product below 2³¹", path, tail)
		}
		d *= v
	}
	w := &NpyWriter{dtype: dtype, tail: append([]int(nil), tail...), d: d, buf: make([]byte, 0, 1<<18)}
	header, err := npyHeaderBytes(dtype, math.MaxInt64, w.tail)
	if err != nil {
		return nil, fmt.Errorf("data: %s: %w", path, err)
	}
	if w.f, err = atomicfile.Create(path); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if _, err := w.f.Write(header); err != nil {
		w.f.Abort()
		return nil, fmt.Errorf("data: %w", err)
	}
	return w, nil
}

func npyHeaderBytes(dtype DType, n int64, tail []int) ([]byte, error) {
	var shape strings.Builder
	fmt.Fprintf(&shape, "%d,", n)
	for i, v := range tail {
		if i > 0 {
			shape.WriteByte(',')
		}
		fmt.Fprintf(&shape, " %d", v)
	}
	dict := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", dtype, shape.String())
	const room = npyHeaderSize - 10
	if len(dict)+1 > room {
		return nil, fmt.Errorf("rows of %d dimensions are more than an .npy header of %d bytes takes", len(tail), npyHeaderSize)
	}
	b := append([]byte(npyMagic), 1, 0)
	b = binary.LittleEndian.AppendUint16(b, room)
	b = append(b, dict...)
	for len(b) < npyHeaderSize-1 {
		b = append(b, ' ')
	}
	return append(b, '\n'), nil
}

// WriteFloat64 appends elements, converted to the file's type. A call need not end at the end of a row.
func (w *NpyWriter) WriteFloat64(x []float64) error { return appendElements(w, x) }

// WriteFloat32 appends elements, converted to the file's type.
func (w *NpyWriter) WriteFloat32(x []float32) error { return appendElements(w, x) }

func appendElements[T float32 | float64](w *NpyWriter, x []T) error {
	for _, v := range x {
		if w.dtype == Float32 {
			w.buf = binary.LittleEndian.AppendUint32(w.buf, math.Float32bits(float32(v)))
		} else {
			w.buf = binary.LittleEndian.AppendUint64(w.buf, math.Float64bits(float64(v)))
		}
		if len(w.buf)+8 > cap(w.buf) {
			if err := w.flush(); err != nil {
				return fmt.Errorf("data: %w", err)
			}
		}
	}
	w.elements += int64(len(x))
	return nil
}

func (w *NpyWriter) flush() error {
	_, err := w.f.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

// Rows is the number of whole rows written so far.
func (w *NpyWriter) Rows() int64 { return w.elements / int64(w.d) }

// Commit writes N into the header, syncs and gives the file its name.
func (w *NpyWriter) Commit() error {
	if w.elements%int64(w.d) != 0 {
		w.Abort()
		return fmt.Errorf("data: %s: %d elements written, not a whole number of rows of %d", w.f.Path(), w.elements, w.d)
	}
	header, err := npyHeaderBytes(w.dtype, w.Rows(), w.tail)
	if err == nil {
		err = w.flush()
	}
	if err == nil {
		_, err = w.f.WriteAt(header, 0)
	}
	if err == nil {
		err = w.f.Commit()
	}
	if err != nil {
		w.Abort()
		return fmt.Errorf("data: %w", err)
	}
	return nil
}

// Abort discards the file; after Commit it does nothing.
func (w *NpyWriter) Abort() { w.f.Abort() }

// WriteNpy writes n×tail samples in one call.
func WriteNpy(path string, dtype DType, x []float64, tail ...int) error {
	w, err := CreateNpy(path, dtype, tail...)
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := w.WriteFloat64(x); err != nil {
		return err
	}
	return w.Commit()
}
