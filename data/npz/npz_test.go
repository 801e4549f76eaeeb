package npz

import (
	"archive/zip"
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What is written is read again, NaN and infinities included, in either form.
func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	in := map[string]*Array{
		"x":      {Shape: []int{3, 2}, X: []float64{1, math.NaN(), -3, 4e300, math.Inf(1), 6}},
		"times":  {Shape: []int{3}, X: []float64{0, 0.5, 2}},
		"scalar": {Shape: []int{}, X: []float64{7}},
		"cube":   {Shape: []int{2, 1, 2}, X: []float64{1, 2, 3, 4}},
		"empty":  {Shape: []int{0, 3}, X: nil},
	}
	path := filepath.Join(dir, "a.npz")
	if err := Write(path, in); err != nil {
		t.Fatal(err)
	}
	out, err := Read(path)
	if err != nil || strings.Join(Names(out), " ") != "cube empty scalar times x" {
		t.Fatalf("%v, %v", Names(out), err)
	}
	for name, a := range in {
		if !same(a, out[name]) {
			t.Errorf("%s: %v, want %v", name, out[name], a)
		}
		path := filepath.Join(dir, name+".npy")
		if err := WriteNpy(path, a); err != nil {
			t.Fatal(err)
		}
		if b, err := ReadNpy(path); err != nil || !same(a, b) {
			t.Errorf("%s.npy: %v, %v", name, b, err)
		}
	}
}

func same(a, b *Array) bool {
	return slices.Equal(a.Shape, b.Shape) && slices.EqualFunc(a.X, b.X, func(x, y float64) bool { return x == y || x != x && y != y })
}

// Elements of an array that is written as float32 are rounded to it, and take half the room.
func TestSingle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.npy")
	in := &Array{Shape: []int{3}, X: []float64{1.5, math.Pi, math.Inf(-1)}, Single: true}
	if err := WriteNpy(path, in); err != nil {
		t.Fatal(err)
	}
	out, err := ReadNpy(path)
	want := &Array{Shape: []int{3}, X: []float64{1.5, float64(float32(math.Pi)), math.Inf(-1)}}
	if err != nil || !same(out, want) {
		t.Errorf("%v, %v; want %v", out, err, want)
	}
	b, err := os.ReadFile(path)
	if err != nil || len(b) != 128+3*4 || !bytes.Contains(b, []byte("'descr': '<f4'")) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// header makes the bytes of a .npy file of version 1.
func header(dict string, data ...byte) []byte {
	dict += "\n"
	return append(append([]byte("\x93NUMPY\x01\x00"), byte(len(dict)), byte(len(dict)>>8)), append([]byte(dict), data...)...)
}

// Other types, byte orders and Fortran order.
func TestElements(t *testing.T) {
	for _, c := range []struct {
		dict string
		data []byte
		want []float64
	}{
		{"{'descr': '>i2', 'fortran_order': False, 'shape': (2,), }", []byte{0xff, 0xff, 1, 0}, []float64{-1, 256}},
		{"{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }", []byte{1, 4, 2, 5, 3, 6}, []float64{1, 2, 3, 4, 5, 6}},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (1L,), }", []byte{0, 0, 0x80, 0x3f}, []float64{1}},
		{"{'descr': '<i8', 'fortran_order': False, 'shape': (), }", []byte{2, 0, 0, 0, 0, 0, 0, 0}, []float64{2}},
		{"{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }", []byte{1, 0}, []float64{1, 0}},
	} {
		b := header(c.dict, c.data...)
		a, err := read(bytes.NewReader(b), int64(len(b)))
		if err != nil || !slices.Equal(a.X, c.want) {
			t.Errorf("%s: %v, %v; want %v", c.dict, a, err, c.want)
		}
	}
}

// Damaged and hostile files give errors.
func TestBad(t *testing.T) {
	good := header("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", make([]byte, 8)...)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":     {nil, "does not begin"},
		"text":      {[]byte("1,2,3\n4,5,6\n"), "does not begin"},
		"cut":       {good[:len(good)-1], "needs 8 bytes and 7 follow"},
		"long":      {append(slices.Clone(good), 0), "needs 8 bytes and 9 follow"},
		"huge":      {header("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999, 99999999), }"), "more than 2³⁰"},
		"object":    {header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"), "not numbers"},
		"complex":   {header("{'descr': '<c16', 'fortran_order': False, 'shape': (1,), }"), "not numbers"},
		"structure": {header("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }"), "structured"},
	} {
		path := filepath.Join(t.TempDir(), "x.npy")
		if err := os.WriteFile(path, c.data, 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadNpy(path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %s", name, err, c.want)
		}
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "not an .npz archive") {
			t.Errorf("%s as an archive: error %v", name, err)
		}
	}
	if _, err := ReadNpy(t.TempDir()); err == nil {
		t.Error("a folder is read")
	}
}

// Any bytes give an array or an error.
func FuzzRead(f *testing.F) {
	f.Add(header("{'descr': '<f8', 'fortran_order': True, 'shape': (1, 1), }", make([]byte, 8)...))
	f.Add(header("{'descr': '|u1', 'fortran_order': False, 'shape': (0,), }"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := read(bytes.NewReader(b), int64(len(b))); err == nil && len(a.X) > len(b) {
			t.Errorf("%d elements from %d bytes", len(a.X), len(b))
		}
	})
}

// Archives that claim more than they hold, or one array twice, are refused.
func TestForgedArchives(t *testing.T) {
	array := header("{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }", 1)
	for want, forge := range map[string]func(z *zip.Writer) error{
		"4398046511104 packed bytes": func(z *zip.Writer) error {
			_, err := z.CreateRaw(&zip.FileHeader{Name: "x.npy", Method: zip.Deflate, CompressedSize64: 1 << 42, UncompressedSize64: 1 << 33})
			return err
		},
		"more than 8 GiB": func(z *zip.Writer) error {
			_, err := z.CreateRaw(&zip.FileHeader{Name: "x.npy", Method: zip.Deflate, CompressedSize64: 1, UncompressedSize64: 1<<64 - 1})
			return err
		},
		`"x" comes twice`: func(z *zip.Writer) error {
			for range 2 {
				w, err := z.Create("x.npy")
				if err != nil {
					return err
				}
				if _, err := w.Write(array); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		err := forge(z)
		if err == nil {
			err = z.Close()
		}
		path := filepath.Join(t.TempDir(), "a.npz")
		if err == nil {
			err = os.WriteFile(path, b.Bytes(), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v; want %q", err, want)
		}
	}
}
