package data

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A file written in chunks that split rows reads back, in both types.
func TestNpyWriterChunks(t *testing.T) {
	const n, d = 40001, 6 // beyond one buffer
	x := make([]float64, n*d)
	for i := range x {
		x[i] = math.Sin(float64(i))
	}
	for _, dtype := range []DType{Float32, Float64} {
		path := filepath.Join(t.TempDir(), "a.npy")
		w, err := CreateNpy(path, dtype, 2, 3)
		if err != nil {
			t.Fatal(err)
		}
		for from := 0; from < len(x); from += 1000 {
			part := x[from:min(from+1000, len(x))]
			if from%2000 == 0 {
				err = w.WriteFloat64(part)
			} else {
				f := make([]float32, len(part))
				for i, v := range part {
					f[i] = float32(v)
				}
				err = w.WriteFloat32(f)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := os.Stat(path); err == nil {
			t.Fatal("the file is visible before Commit")
		}
		if w.Rows() != n {
			t.Errorf("Rows() = %d, want %d", w.Rows(), n)
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		s, err := byPath(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if s.N() != n || !slices.Equal(s.Shape, []int{2, 3, 1}) {
			t.Fatalf("%d samples of shape %v", s.N(), s.Shape)
		}
		for i, v := range s.X {
			want := x[i]
			if dtype == Float32 || i/1000%2 == 1 {
				want = float64(float32(want))
			}
			if v != want {
				t.Fatalf("%s: element %d is %v, want %v", dtype, i, v, want)
			}
		}
	}
}

// The header is what NEP 1 asks for: version 1, a total length that 64 divides, spaces, a newline.
func TestNpyHeader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.npy")
	if err := WriteNpy(path, Float32, []float64{1, 2}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head := string(b[:len(b)-8])
	if len(head)%64 != 0 || !strings.HasPrefix(head, "\x93NUMPY\x01\x00") || !strings.HasSuffix(head, " \n") {
		t.Errorf("header %q", head)
	}
	if want := "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"; strings.TrimRight(head[10:], " \n") != want {
		t.Errorf("header says %q, want %q", head[10:], want)
	}
}

func TestNpyWriterErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.npy")
	for _, c := range []struct {
		path  string
		dtype DType
		tail  []int
		want  string
	}{
		{path, "<i8", []int{2}, "cannot be written; have <f4, <f8"},
		{path, Float32, []int{0}, "want sizes ≥ 1"},
		{path, Float32, []int{1 << 20, 1 << 20}, "want sizes ≥ 1"},
		{path, Float32, make1s(100), "dimensions are more"},
		{filepath.Join(dir, "none", "a.npy"), Float32, []int{2}, "does not exist"},
	} {
		if _, err := CreateNpy(c.path, c.dtype, c.tail...); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path) {
			t.Errorf("CreateNpy(%q, %s, %v): %v, want %q", c.path, c.dtype, c.tail, err, c.want)
		}
	}
	if err := WriteNpy(path, Float64, []float64{1, 2, 3}, 2); err == nil || !strings.Contains(err.Error(), "not a whole number of rows") {
		t.Errorf("three elements in rows of two: %v", err)
	}
	w, err := CreateNpy(path, Float64, 2)
	if err != nil {
		t.Fatal(err)
	}
	w.Abort()
	if es, _ := os.ReadDir(dir); len(es) != 0 {
		t.Errorf("files left behind: %v", es)
	}
}

func make1s(n int) []int {
	v := make([]int, n)
	for i := range v {
		v[i] = 1
	}
	return v
}
