package data

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
)

// Append copies all rows of an .npy file that has the writer's type and shape of rows, bit for bit.
func (w *NpyWriter) Append(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	r := bufio.NewReaderSize(f, 1<<18)
	h, start, err := readNpyHeader(r, st.Size())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	tail := make([]int64, len(w.tail))
	for i, v := range w.tail {
		tail[i] = int64(v)
	}
	if h.descr != string(w.dtype) || h.fortran || len(h.shape) == 0 || !slices.Equal(h.shape[1:], tail) {
		return fmt.Errorf("%s: an array of shape %v and type %s; want rows of shape %v and type %s", path, h.shape, h.descr, w.tail, w.dtype)
	}
	width := int64(w.dtype.Size())
	elements := h.shape[0] * int64(w.d)
	if have := st.Size() - start; have != elements*width {
		return fmt.Errorf("%s: %d bytes of elements; its header says %d", path, have, elements*width)
	}
	if err := w.flush(); err != nil {
		return fmt.Errorf("data: %w", err)
	}
	if _, err := io.Copy(w.f, r); err != nil {
		return fmt.Errorf("data: %s: %w", path, err)
	}
	w.elements += elements
	return nil
}
