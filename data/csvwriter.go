package data

import (
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"

	"hbar/internal/atomicfile"
)

// RowWriter takes rows of numbers into a file that appears at Commit, whole or not at all.
type RowWriter interface {
	// WriteFloat64 appends numbers. A call need not end at the end of a row.
	WriteFloat64(x []float64) error
	Rows() int64
	Commit() error
	// Abort discards the file; after Commit it does nothing.
	Abort()
}

var (
	_ RowWriter = (*NpyWriter)(nil)
	_ RowWriter = (*CSVWriter)(nil)
)

// CSVWriter writes a table with a header, one row a line. Numbers have as many digits as it takes to distinguish them from others of
// the type: 9 at most for Float32, 17 for Float64.
type CSVWriter struct {
	f     *atomicfile.File
	bits  int
	d     int
	buf   []byte
	count int64 // of numbers
}

// CreateCSV starts a table of d columns. names are those of the columns; nil, or a name "", makes x1, x2, ….
func CreateCSV(path string, dtype DType, d int, names []string) (*CSVWriter, error) {
	if d < 1 || names != nil && len(names) != d {
		return nil, fmt.Errorf("data: %s: %d names for %d columns", path, len(names), d)
	}
	w := &CSVWriter{bits: 64, d: d, buf: make([]byte, 0, 1<<16)}
	if dtype == Float32 {
		w.bits = 32
	}
	header := make([]string, d)
	for j := range header {
		header[j] = fmt.Sprintf("x%d", j+1)
		if names != nil && names[j] != "" {
			header[j] = names[j]
		}
	}
	var text strings.Builder
	c := csv.NewWriter(&text)
	if err := c.Write(header); err != nil {
		return nil, fmt.Errorf("data: %s: %w", path, err)
	}
	c.Flush()
	var err error
	if w.f, err = atomicfile.Create(path); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	w.buf = append(w.buf, text.String()...)
	return w, nil
}

// WriteFloat64 implements RowWriter.
func (w *CSVWriter) WriteFloat64(x []float64) error {
	for _, v := range x {
		if w.bits == 32 {
			v = float64(float32(v))
		}
		w.buf = strconv.AppendFloat(w.buf, v, 'g', -1, w.bits)
		w.count++
		if w.count%int64(w.d) == 0 {
			w.buf = append(w.buf, '\n')
		} else {
			w.buf = append(w.buf, ',')
		}
		if len(w.buf) > 1<<16-64 {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *CSVWriter) flush() error {
	_, err := w.f.Write(w.buf)
	w.buf = w.buf[:0]
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}
	return nil
}

// Rows is the number of whole rows written so far.
func (w *CSVWriter) Rows() int64 { return w.count / int64(w.d) }

// Commit syncs and gives the file its name.
func (w *CSVWriter) Commit() error {
	if w.count%int64(w.d) != 0 {
		w.Abort()
		return fmt.Errorf("data: %s: %d numbers written, not a whole number of rows of %d", w.f.Path(), w.count, w.d)
	}
	err := w.flush()
	if err == nil {
		if err = w.f.Commit(); err != nil {
			err = fmt.Errorf("data: %w", err)
		}
	}
	if err != nil {
		w.Abort()
	}
	return err
}

// Abort implements RowWriter.
func (w *CSVWriter) Abort() { w.f.Abort() }
