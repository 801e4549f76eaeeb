package safetensors

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"

	"hbar/internal/atomicfile"
)

// WriteFile writes the file at path, whole or not at all.
func WriteFile(path string, f *File) error {
	out, err := atomicfile.Create(path)
	if err != nil {
		return err
	}
	defer out.Abort()
	if err := Write(out, f); err != nil {
		return err
	}
	return out.Commit()
}

// Write writes the metadata and the tensors: those of 8-byte elements first, so that all data are aligned, else in the
// given order. Equal files give equal bytes.
func Write(w io.Writer, f *File) error {
	tensors := slices.Clone(f.Tensors)
	slices.SortStableFunc(tensors, func(a, b Tensor) int { return width(&b) - width(&a) })
	header, err := makeHeader(f.Metadata, tensors)
	if err != nil {
		return err
	}
	b := le.AppendUint64(nil, uint64(len(header)))
	if _, err := w.Write(append(b, header...)); err != nil {
		return err
	}
	for i := range tensors {
		if err := writeData(w, &tensors[i]); err != nil {
			return err
		}
	}
	return nil
}

func width(t *Tensor) int { return codecs[t.DType()].size }

// makeHeader is the JSON, padded with spaces so that the data begin at a multiple of 8.
func makeHeader(metadata map[string]string, tensors []Tensor) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	if len(metadata) > 0 {
		if err := field(&b, metadataKey, metadata); err != nil {
			return nil, err
		}
	}
	seen := map[string]bool{}
	var at int64
	for i := range tensors {
		t := &tensors[i]
		if err := t.validate(); err != nil {
			return nil, err
		}
		if seen[t.Name] {
			return nil, fmt.Errorf("tensor %q occurs twice", t.Name)
		}
		seen[t.Name] = true
		shape := t.Shape
		if shape == nil {
			shape = []int{}
		}
		end := at + int64(t.Len())*int64(width(t))
		if err := field(&b, t.Name, map[string]any{"dtype": t.DType(), "shape": shape, "data_offsets": []int64{at, end}}); err != nil {
			return nil, err
		}
		at = end
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	if b.Len() > maxHeader {
		return nil, fmt.Errorf("a header of %d bytes; at most %d are allowed", b.Len(), maxHeader)
	}
	return b.Bytes(), nil
}

func field(b *bytes.Buffer, key string, value any) error {
	if b.Len() > 1 {
		b.WriteByte(',')
	}
	k, err := json.Marshal(key)
	if err != nil {
		return err
	}
	v, err := json.Marshal(value)
	if err != nil {
		return err
	}
	b.Write(k)
	b.WriteByte(':')
	b.Write(v)
	return nil
}

// writeData writes the elements in pieces of at most 64 KiB.
func writeData(w io.Writer, t *Tensor) error {
	const piece = 1 << 13
	b := make([]byte, 0, 8*piece)
	for from := 0; from < t.Len(); from += piece {
		to := min(from+piece, t.Len())
		b = b[:0]
		if t.F64 != nil {
			for _, v := range t.F64[from:to] {
				b = le.AppendUint64(b, math.Float64bits(v))
			}
		} else {
			for _, v := range t.F32[from:to] {
				b = le.AppendUint32(b, math.Float32bits(v))
			}
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}
