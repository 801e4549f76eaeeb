package data

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// write puts files into a folder of the test's own.
func write(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// pixels is n bytes that do not repeat soon.
func pixels(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*i + 7*i)
	}
	return b
}

// Arrays of bytes with three or four dimensions stay bytes, channels last, in either order of elements.
func TestImagesStayBytes(t *testing.T) {
	b := pixels(2 * 3 * 4 * 3)
	columns := make([]byte, len(b)) // the 2×3×4×3 array, first index fastest
	for i := range 2 {
		for y := range 3 {
			for x := range 4 {
				for c := range 3 {
					columns[i+2*(y+3*(x+4*c))] = b[((i*3+y)*4+x)*3+c]
				}
			}
		}
	}
	for _, c := range []struct {
		name  string
		file  []byte
		shape []int
	}{
		{"a.npy", npyFile(1, npyDict("|u1", false, "(2, 3, 4, 3)"), b), []int{3, 4, 3}},
		{"f.npy", npyFile(1, npyDict("|u1", true, "(2, 3, 4, 3)"), columns), []int{3, 4, 3}},
		{"g.npy", npyFile(1, npyDict("|u1", false, "(6, 3, 4)"), b), []int{3, 4, 1}},
		{"a.idx", idxFile(8, []uint32{6, 3, 4}, b), []int{3, 4, 1}},
		{"a.idx.gz", gz(idxFile(8, []uint32{2, 3, 4, 3}, b)), []int{3, 4, 3}},
	} {
		s, err := load(t, c.name, c.file)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !slices.Equal(s.Bytes, b) || s.X != nil || !slices.Equal(s.Shape, c.shape) || s.N()*s.D != len(b) {
			t.Errorf("%s: %d bytes, shape %v, N %d", c.name, len(s.Bytes), s.Shape, s.N())
		}
		s.Norm = BytesNormalisation()
		all, row := s.Normalised(), make([]float32, s.D)
		s.NormalisedRow(row, 1)
		for j, v := range row {
			if want := float32(s.Row(1)[j]/127.5 - 1); v != all[s.D+j] || v-want > 1e-7 || want-v > 1e-7 { // a rounding of float32
				t.Fatalf("%s: coordinate %d of row 1 is %v alone and %v with all, want %v", c.name, j, v, all[s.D+j], want)
			}
		}
	}
	_, err := load(t, "chw.npy", npyFile(1, npyDict("|u1", false, "(1, 3, 8, 8)"), pixels(3*64)))
	if err == nil || !strings.Contains(err.Error(), "channels last") {
		t.Errorf("N×C×H×W: %v", err)
	}
}

// Labels come from the file beside the images, or from one that is named, in any of the forms.
func TestLabels(t *testing.T) {
	want := []int32{2, 0, 1, 2}
	dir := write(t, map[string][]byte{
		"train-images-idx3-ubyte.gz": gz(idxFile(8, []uint32{4, 2, 2}, pixels(16))),
		"train-labels-idx1-ubyte":    idxFile(8, []uint32{4}, []byte{2, 0, 1, 2}),
		"x.npy":                      npyFile(1, npyDict("|u1", false, "(4, 2, 2, 1)"), pixels(16)),
		"i8.npy":                     npyFile(1, npyDict("<i8", false, "(4,)"), []byte("\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00")),
		"i2.npy":                     npyFile(1, npyDict(">i2", false, "(4, 1)"), []byte{0, 2, 0, 0, 0, 1, 0, 2}),
		"f4.npy":                     npyFile(1, npyDict("<f4", false, "(4,)"), encode("<f4", 2, 0, 1, 2)),
		"l.csv":                      []byte("label\n2\n0\n1\n2\n"),
		"names.txt":                  []byte("three\none\n\nthere\nthree\n"),
	})
	load := func(name, labels string) *Dataset {
		t.Helper()
		if labels != "" && labels != NoLabels {
			labels = filepath.Join(dir, labels)
		}
		s, err := LoadWith(filepath.Join(dir, name), Options{Labels: labels})
		if err != nil {
			t.Fatalf("%s with labels %q: %v", name, labels, err)
		}
		return s
	}
	if s := load("train-images-idx3-ubyte.gz", ""); !slices.Equal(s.Labels, want) || s.Classes != 3 {
		t.Errorf("labels beside the images: %v of %d", s.Labels, s.Classes)
	}
	if s := load("train-images-idx3-ubyte.gz", NoLabels); s.Labels != nil || s.Classes != 0 {
		t.Errorf("labels none: %v of %d", s.Labels, s.Classes)
	}
	if s := load("x.npy", ""); s.Labels != nil {
		t.Errorf("labels from nowhere: %v", s.Labels)
	}
	for _, name := range []string{"train-labels-idx1-ubyte", "i8.npy", "i2.npy", "f4.npy", "l.csv"} {
		if s := load("x.npy", name); !slices.Equal(s.Labels, want) || s.Classes != 3 || s.ClassNames != nil {
			t.Errorf("%s: %v of %d", name, s.Labels, s.Classes)
		}
	}
	if s := load("x.npy", "names.txt"); !slices.Equal(s.Labels, []int32{2, 0, 1, 2}) || !slices.Equal(s.ClassNames, []string{"one", "there", "three"}) {
		t.Errorf("names: %v of %v", s.Labels, s.ClassNames)
	}
	s, err := LoadWith(filepath.Join(dir, "x.npy"), Options{Labels: filepath.Join(dir, "l.csv"), First: 1, N: 2})
	if err != nil || !slices.Equal(s.Labels, want[1:3]) || !slices.Equal(s.Bytes, pixels(16)[4:12]) || s.Classes != 3 {
		t.Errorf("a range: %v, %v", s, err)
	}
}

func TestLabelErrors(t *testing.T) {
	dir := write(t, map[string][]byte{
		"x.npy":                   npyFile(1, npyDict("|u1", false, "(4, 2, 2, 1)"), pixels(16)),
		"a-images-idx3-ubyte":     idxFile(8, []uint32{4, 2, 2}, pixels(16)),
		"a-labels-idx1-ubyte":     idxFile(8, []uint32{3}, []byte{2, 0, 1}),
		"three.csv":               []byte("1\n2\n0\n"),
		"negative.csv":            []byte("1\n2\n0\n-1\n"),
		"half.csv":                []byte("1\n2\n0\n0.5\n"),
		"large.csv":               []byte("1\n2\n0\n70000\n"),
		"nan.csv":                 []byte("1\n2\n0\nnan\n"),
		"table.csv":               []byte("1,1\n2,1\n0,1\n1,1\n"),
		"empty.csv":               nil,
		"table.npy":               npyFile(1, npyDict("|u1", false, "(4, 2)"), pixels(8)),
		"short.npy":               npyFile(1, npyDict("<i8", false, "(4,)"), pixels(16)),
		"long.txt":                []byte(strings.Repeat("x", 1<<14)),
		"b-images-idx3-ubyte":     idxFile(8, []uint32{2, 2, 2}, pixels(8)),
		"b-labels-idx1-ubyte":     []byte{0, 0, 8},
		"b-labels-idx1-ubyte.csv": nil,
	})
	for _, c := range []struct{ data, labels, want string }{
		{"x.npy", "three.csv", "3 labels for 4 samples"},
		{"x.npy", "negative.csv", "label 3 is -1"},
		{"x.npy", "half.csv", "label 3 is 0.5"},
		{"x.npy", "large.csv", "label 3 is 70000"},
		{"x.npy", "nan.csv", "label 3 is NaN"},
		{"x.npy", "table.csv", "one label a line"},
		{"x.npy", "empty.csv", "no labels"},
		{"x.npy", "long.txt", "line 1 is longer"},
		{"x.npy", "table.npy", "one label for each"},
		{"x.npy", "short.npy", "larger than the file"},
		{"x.npy", "missing.npy", "no such file"},
		{"x.npy", ".", "not a regular file"},
		{"a-images-idx3-ubyte", "", "3 labels for 4 samples; want one label for each (--labels none"},
		{"b-images-idx3-ubyte", "", "b-labels-idx1-ubyte: labels: truncated"},
	} {
		labels := c.labels
		if labels != "" {
			labels = filepath.Join(dir, labels)
		}
		_, err := LoadWith(filepath.Join(dir, c.data), Options{Labels: labels})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s with labels %q: %v, want %q", c.data, c.labels, err, c.want)
		}
	}
}

// The digits have labels, and a range of them has its own.
func TestDigitsLabels(t *testing.T) {
	all, err := ByName("digits", 0, 3)
	if err != nil {
		t.Fatal(err)
	}
	part, err := Range("digits", 100, 50, 3)
	if err != nil {
		t.Fatal(err)
	}
	counts := make([]int, 10)
	for _, k := range all.Labels {
		counts[k]++
	}
	if !slices.Equal(part.Labels, all.Labels[100:150]) || part.Classes != 10 || !slices.Equal(counts, []int{178, 182, 177, 183, 181, 182, 181, 179, 174, 180}) {
		t.Errorf("labels %v, counts %v", part.Labels, counts)
	}
	// The mean image of a zero has a hole, that of a one has none.
	centre := func(digit int32) (v float64) {
		for i, k := range all.Labels {
			if k == digit {
				v += all.Row(i)[3*8+4] / float64(counts[digit])
			}
		}
		return v
	}
	if !(centre(0) < 3 && centre(1) > 10) {
		t.Errorf("the centre has %.1f for zeros, %.1f for ones", centre(0), centre(1))
	}
}
