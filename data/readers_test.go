package data

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// npyFile builds an .npy file of any version from its dict.
func npyFile(version byte, dict string, payload []byte) []byte {
	b := append([]byte(npyMagic), version, 0)
	if version == 1 {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(dict)))
	} else {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(dict)))
	}
	return append(append(b, dict...), payload...)
}

func npyDict(descr string, fortran bool, shape string) string {
	f := "False"
	if fortran {
		f = "True"
	}
	return fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': %s, }\n", descr, f, shape)
}

// encode packs values as the dtype.
func encode(descr string, v ...float64) []byte {
	var o binary.AppendByteOrder = binary.LittleEndian
	if descr[0] == '>' {
		o = binary.BigEndian
	}
	var b []byte
	for _, x := range v {
		switch descr[1:] {
		case "u1":
			b = append(b, byte(x))
		case "f4":
			b = o.AppendUint32(b, math.Float32bits(float32(x)))
		case "f8":
			b = o.AppendUint64(b, math.Float64bits(x))
		}
	}
	return b
}

func idxFile(code byte, dims []uint32, payload []byte) []byte {
	b := []byte{0, 0, code, byte(len(dims))}
	for _, d := range dims {
		b = binary.BigEndian.AppendUint32(b, d)
	}
	return append(b, payload...)
}

func gz(b []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

// load writes b to a file of the name and reads it back by path.
func load(t *testing.T, name string, b []byte) (*Dataset, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return byPath(path, Options{})
}

func TestReadersAgree(t *testing.T) {
	six := []float64{1, 2, 3, 4, 5, 6}
	columns := []float64{1, 4, 2, 5, 3, 6} // the same 2×3 array, first index fastest
	for _, c := range []struct {
		name  string
		file  []byte
		shape []int
	}{
		{"v1.npy", npyFile(1, npyDict("<f4", false, "(2, 3)"), encode("<f4", six...)), []int{3}},
		{"v2.npy", npyFile(2, npyDict("<f8", false, "(2, 3)"), encode("<f8", six...)), []int{3}},
		{"v3.npy", npyFile(3, npyDict("|u1", false, "(2, 3)"), encode("|u1", six...)), []int{3}},
		{"big4.npy", npyFile(1, npyDict(">f4", false, "(2, 3)"), encode(">f4", six...)), []int{3}},
		{"big8.npy", npyFile(1, npyDict(">f8", false, "(2, 3)"), encode(">f8", six...)), []int{3}},
		{"fortran.npy", npyFile(1, npyDict("<f8", true, "(2, 3)"), encode("<f8", columns...)), []int{3}},
		{"python2.npy", npyFile(1, npyDict("<f8", false, "(2L, 3L)"), encode("<f8", six...)), []int{3}},
		{"image.npy", npyFile(1, npyDict("<f8", false, "(2, 1, 3)"), encode("<f8", six...)), []int{1, 3, 1}},
		{"order.npy", npyFile(1, `{"shape": (2, 3), "descr": "<f8", "fortran_order": False}`, encode("<f8", six...)), []int{3}},
		{"list.npy", npyFile(1, npyDict("<f8", false, "(6,)"), encode("<f8", six...)), []int{1}},
		{"plain.csv", []byte("1,2,3\n4,5,6\n"), []int{3}},
		{"header.csv", []byte("\xef\xbb\xbfx, y ,z\r\n1, 2 ,3\r\n\r\n# note\r\n4e0,+5,6.0"), []int{3}},
		{"x.idx", idxFile(8, []uint32{2, 3}, encode("|u1", six...)), []int{3}},
		{"x-images-idx2-ubyte", idxFile(8, []uint32{2, 3}, encode("|u1", six...)), []int{3}},
		{"x.idx.gz", gz(idxFile(8, []uint32{2, 3}, encode("|u1", six...))), []int{3}},
		{"X-IDX3-UBYTE.GZ", gz(idxFile(8, []uint32{2, 3, 1}, encode("|u1", six...))), []int{3, 1, 1}},
		{"f4.idx", idxFile(0x0D, []uint32{2, 3}, encode(">f4", six...)), []int{3}},
		{"f8.idx", idxFile(0x0E, []uint32{2, 3}, encode(">f8", six...)), []int{3}},
		{"i1.idx", idxFile(0x09, []uint32{2, 3}, []byte{1, 2, 3, 4, 5, 6}), []int{3}},
		{"i2.idx", idxFile(0x0B, []uint32{2, 3}, []byte{0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6}), []int{3}},
		{"i4.idx", idxFile(0x0C, []uint32{6}, []byte{0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6}), []int{1}},
	} {
		s, err := load(t, c.name, c.file)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !slices.Equal(s.Values(), six) || !slices.Equal(s.Shape, c.shape) || s.D != product(c.shape) || s.Name != c.name {
			t.Errorf("%s: %v, shape %v, D %d, name %q", c.name, s.X, s.Shape, s.D, s.Name)
		}
	}
}

func TestNegativeIDX(t *testing.T) {
	for _, c := range []struct {
		code byte
		b    []byte
		want float64
	}{{0x09, []byte{0xff}, -1}, {0x0B, []byte{0xff, 0xfe}, -2}, {0x0C, []byte{0xff, 0xff, 0xff, 0xfd}, -3}} {
		s, err := load(t, "a.idx", idxFile(c.code, []uint32{1}, c.b))
		if err != nil {
			t.Fatal(err)
		}
		if s.X[0] != c.want {
			t.Errorf("type %02x: %g, want %g", c.code, s.X[0], c.want)
		}
	}
}

func TestFortranThreeDimensions(t *testing.T) {
	const a, b, c = 2, 3, 4
	var fortran, want []float64
	value := func(i, j, k int) float64 { return float64(100*i + 10*j + k) }
	for k := range c {
		for j := range b {
			for i := range a {
				fortran = append(fortran, value(i, j, k))
			}
		}
	}
	for i := range a {
		for j := range b {
			for k := range c {
				want = append(want, value(i, j, k))
			}
		}
	}
	s, err := load(t, "a.npy", npyFile(1, npyDict("<f8", true, "(2, 3, 4)"), encode("<f8", fortran...)))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.X, want) {
		t.Errorf("got %v, want %v", s.X, want)
	}
}

// hostile files and a part of the one error that each must give.
func hostile() []struct {
	name string
	file []byte
	want string
} {
	six := encode("<f8", 1, 2, 3, 4, 5, 6)
	dict := npyDict("<f8", false, "(2, 3)")
	good := npyFile(1, dict, six)
	bomb := gz(idxFile(8, []uint32{8 << 20}, make([]byte, 8<<20)))
	return []struct {
		name string
		file []byte
		want string
	}{
		{"a.npy", nil, "truncated"},
		{"a.npy", good[:5], "truncated"},
		{"a.npy", good[:9], "truncated"},
		{"a.npy", good[:40], "claimed in a file of 40"},
		{"a.npy", good[:len(good)-1], "larger than the file"},
		{"a.npy", append(slices.Clone(good), 0), "more bytes follow"},
		{"a.npy", []byte("PK\x03\x04 this is an .npz"), "not an .npy file"},
		{"a.npy", npyFile(9, dict, six), "version 9.0 unknown"},
		{"a.npy", append([]byte(npyMagic), 2, 0, 0xff, 0xff, 0xff, 0xff), "header of 4294967295 bytes claimed"},
		{"a.npy", npyFile(2, strings.Repeat(" ", 1<<17), six), "at most 65536"},
		{"a.npy", npyFile(1, npyDict("|O", false, "(2, 3)"), six), "Python objects"},
		{"a.npy", npyFile(1, npyDict("<c16", false, "(2, 3)"), append(slices.Clone(six), six...)), "complex numbers"},
		{"a.npy", npyFile(1, npyDict("<f16", false, "(2, 3)"), append(slices.Clone(six), six...)), "wider than 64 bits"},
		{"a.npy", npyFile(1, npyDict("<U2", false, "(2, 3)"), six), "text"},
		{"a.npy", npyFile(1, npyDict("<M8[ns]", false, "(2, 3)"), six), "dates"},
		{"a.npy", npyFile(1, npyDict("<q9", false, "(2, 3)"), six), "unknown; have bool, int8"},
		{"a.npy", npyFile(1, npyDict("", false, "(2, 3)"), six), "unknown; have bool"},
		{"a.npy", npyFile(1, "{'descr': [('x', '<f8')], 'fortran_order': False, 'shape': (6,), }", six), "structured dtype"},
		{"a.npy", npyFile(1, npyDict("<f8", false, "()"), encode("<f8", 1)), "scalar"},
		{"a.npy", npyFile(1, npyDict("<f8", false, "(0, 3)"), nil), "empty"},
		{"a.npy", npyFile(1, npyDict("<f8", false, "(-2, 3)"), six), "integer ≥ 0"},
		{"a.npy", npyFile(1, npyDict("<f8", false, "(4611686018427387904, 4)"), six), "larger than the file"},
		{"a.npy", npyFile(1, npyDict("<f8", false, "(4294967296, 4294967296, 4294967296)"), six), "larger than the file"},
		{"a.npy", npyFile(1, npyDict("<f8", false, "(99999999999999999999999,)"), six), "beyond 2⁶²"},
		{"a.npy", npyFile(1, npyDict("<f8", false, "("+strings.Repeat("1, ", 65)+")"), encode("<f8", 1)), "more than 64 dimensions"},
		{"a.npy", npyFile(1, npyDict("<f8", false, "(2, 3"), six), "expected"},
		{"a.npy", npyFile(1, "{'descr': '<f8', 'shape': (2, 3)}", six), `"fortran_order" missing`},
		{"a.npy", npyFile(1, "{'descr': '<f8', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", six), "twice"},
		{"a.npy", npyFile(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), 'x': 1}", six), "unknown key"},
		{"a.npy", npyFile(1, "{'descr': '<f8', 'fortran_order': 0, 'shape': (2, 3)}", six), "True or False"},
		{"a.npy", npyFile(1, dict+"import os", six), "text after the dict"},
		{"a.npy", npyFile(1, npyDict("<f8", false, "(1,)"), encode("<f8", math.NaN())), "row 0, coordinate 0 is NaN"},
		{"a.npy", npyFile(1, npyDict("<f4", false, "(2, 2)"), encode("<f4", 0, 1, 2, math.Inf(-1))), "row 1, coordinate 1 is -Inf"},
		{"a.csv", nil, "no line of 0 has numbers"},
		{"a.csv", []byte("x,y\n"), "no line of 1 has numbers"},
		{"a.csv", []byte("1,2\n3\n"), "line 2 has 1 field, the first has 2"},
		{"a.csv", []byte("x,y\n1,2\n3,four\n"), `line 3, column 2 (y): "four" is not a number`},
		{"a.csv", []byte("1,2\n3,\n"), `row 1, coordinate 1 (line 2, column 2) is empty`},
		{"a.csv", []byte("1,2\n3,nan\n"), "row 1, coordinate 1 (line 2, column 2) is nan"},
		{"a.csv", []byte("1,1e999\n"), "row 0, coordinate 1 (line 1, column 2) is 1e999"},
		{"a.csv", bytes.Repeat([]byte{' '}, tableMaxLine+1), "longer than 16 MiB"},
		{"a.idx", nil, "truncated"},
		{"a.idx", []byte{0, 0, 8, 2, 0, 0}, "truncated"},
		{"a.idx", []byte("\x89PNG\r\n"), "not an .idx file"},
		{"a.idx", idxFile(0x0A, []uint32{1}, []byte{1}), "type 0x0a unknown"},
		{"a.idx", idxFile(8, nil, nil), "0 dimensions"},
		{"a.idx", idxFile(8, []uint32{1, 1, 1, 1, 1, 1, 1, 1, 1}, []byte{1}), "9 dimensions"},
		{"a.idx", idxFile(8, []uint32{2, 0}, nil), "empty"},
		{"a.idx", idxFile(8, []uint32{2, 3}, make([]byte, 5)), "larger than the file"},
		{"a.idx", idxFile(8, []uint32{2, 3}, make([]byte, 7)), "more bytes follow"},
		{"a.idx", idxFile(8, []uint32{1 << 31, 1 << 31, 1 << 31}, make([]byte, 7)), "larger than the file"},
		{"a.idx", idxFile(0x0D, []uint32{1}, []byte{0x7f, 0xc0, 0, 0}), "NaN"},
		{"a.idx.gz", gz(idxFile(8, []uint32{100, 3}, make([]byte, 5))), "truncated"},
		{"a.idx.gz", gz(idxFile(8, []uint32{2, 3}, make([]byte, 7))), "more bytes follow"},
		{"a.idx.gz", gz(idxFile(8, []uint32{2, 3}, make([]byte, 6)))[:25], "truncated"},
		{"a.idx.gz", []byte{0x1f, 0x8b, 0, 0}, "gzip"},
		{"a.idx.gz", gz(idxFile(8, []uint32{1 << 31}, nil)), "after gunzip, limited to 200 times"},
		{"a.idx.gz", bomb, "after gunzip, limited to 200 times"},
	}
}

func TestHostileFiles(t *testing.T) {
	for _, c := range hostile() {
		s, err := load(t, c.name, c.file)
		if err == nil {
			t.Errorf("%s of %d bytes loads (%d samples); want an error with %q", c.name, len(c.file), s.N(), c.want)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.name) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v; want one line with the path and %q", c.name, err, c.want)
		}
	}
}

// A header's claims must not take memory: all hostile files together stay within a few buffers each.
func TestHostileFilesTakeNoMemory(t *testing.T) {
	const perFile = 4 << 20 // buffers, and room for eight elements to a byte of a small file
	for _, c := range hostile() {
		if len(c.file) > 1<<18 {
			continue // honest about their size
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = readerFor(c.name, Options{})(bytes.NewReader(c.file), int64(len(c.file)))
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > perFile {
			t.Errorf("%s of %d bytes (%s): %d bytes allocated", c.name, len(c.file), c.want, got)
		}
	}
}

func TestPathErrors(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ path, want string }{
		{filepath.Join(dir, "a.xyz"), "unknown kind of file; have .npy"},
		{filepath.Join(dir, "none.npy"), "no such file"},
	} {
		if _, err := byPath(c.path, Options{}); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path) {
			t.Errorf("byPath(%q, Options{}): %v, want %q", c.path, err, c.want)
		}
	}
	folder := filepath.Join(dir, "folder.npy")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := byPath(folder, Options{}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
}

// A sparse file is as large as its header says and holds nothing: the limit on elements catches it.
func TestSparseFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sparse.npy")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head := npyFile(1, npyDict("|u1", false, "(1073741825, 1)"), nil)
	if _, err := f.Write(head); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(int64(len(head)) + 1<<30 + 1); err != nil {
		t.Skip("no sparse files here:", err)
	}
	if _, err := byPath(path, Options{}); err == nil || !strings.Contains(err.Error(), "more than 2³⁰ elements") {
		t.Errorf("%v; want the limit", err)
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.csv")
	if err := os.WriteFile(path, []byte("0\n1\n2\n3\n4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		first uint64
		n     int
		want  []float64
	}{{0, 0, []float64{0, 1, 2, 3, 4}}, {1, 2, []float64{1, 2}}, {3, 0, []float64{3, 4}}} {
		s, err := Load(path, c.first, c.n, 0)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(s.X, c.want) {
			t.Errorf("Load(first %d, n %d) = %v, want %v", c.first, c.n, s.X, c.want)
		}
	}
	for _, c := range []struct {
		name  string
		first uint64
		n     int
		want  string
	}{
		{path, 0, 6, "has 5 samples; asked for 6"},
		{path, 5, 0, "has 5 samples"},
		{path, math.MaxUint64, 1, "has 5 samples"},
		{"nosuchset", 0, 1, "have swissroll"},
		{"./nosuchset", 0, 1, "unknown kind of file"},
	} {
		if _, err := Load(c.name, c.first, c.n, 0); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Load(%q, %d, %d): %v, want %q", c.name, c.first, c.n, err, c.want)
		}
	}
	if s, err := Load("moons", 4, 3, 1); err != nil || s.N() != 3 {
		t.Errorf("Load of a built-in set: %v, %v", s, err)
	}
}
