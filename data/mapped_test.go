package data

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMappedImages: large arrays of bytes are mapped from .npy and .idx files, with the same samples as they have when read; and a
// file with a byte too few or too many is refused as before.
func TestMappedImages(t *testing.T) {
	dir := t.TempDir()
	shape := []int{5, 3, 4}
	pixels := make([]byte, 60)
	for i := range pixels {
		pixels[i] = byte(i * 7)
	}
	header := "{'descr': '|u1', 'fortran_order': False, 'shape': (5, 3, 4), }"
	header += strings.Repeat(" ", 117-len(header)) + "\n"
	npy := append([]byte("\x93NUMPY\x01\x00"), binary.LittleEndian.AppendUint16(nil, uint16(len(header)))...)
	npy = append(append(npy, header...), pixels...)
	idx := []byte{0, 0, 8, 3}
	for _, v := range shape {
		idx = binary.BigEndian.AppendUint32(idx, uint32(v))
	}
	idx = append(idx, pixels...)
	defer func(v int64) { mapFrom = v }(mapFrom)
	for name, file := range map[string][]byte{"a.npy": npy, "a.idx": idx} {
		path := filepath.Join(dir, name)
		write := func(b []byte) {
			t.Helper()
			if err := os.WriteFile(path, b, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		for _, from := range []int64{60, 61} {
			mapFrom = from
			write(file)
			s, err := byPath(path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(s.Bytes, pixels) || s.D != 12 {
				t.Errorf("%s: other pixels, or %d to a sample", name, s.D)
			}
			noted := len(s.Notes) > 0 && s.Notes[len(s.Notes)-1].Label == "mapped"
			if noted != (from == 60) {
				t.Errorf("%s of 60 bytes, mapped from %d on: notes %v", name, from, s.Notes)
			}
			other := filepath.Join(dir, "other"+filepath.Ext(name))
			for _, bad := range [][]byte{file[:len(file)-1], append(bytes.Clone(file), 0)} {
				if err := os.WriteFile(other, bad, 0o666); err != nil {
					t.Fatal(err)
				}
				if _, err := byPath(other, Options{}); err == nil {
					t.Errorf("%s of %d bytes in place of %d: no error", name, len(bad), len(file))
				}
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
}
