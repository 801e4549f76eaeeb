package data

import (
	"archive/zip"
	"bytes"
	"math"
	"slices"
	"testing"
)

// checkParsed is what holds for any file that a reader accepts.
func checkParsed(t *testing.T, s *Dataset, err error, maxElements int) {
	t.Helper()
	if err != nil {
		if s != nil {
			t.Fatal("both a set and an error")
		}
		return
	}
	x := s.Values()
	if s.D < 1 || s.D != product(s.Shape) || len(x) == 0 || len(x)%s.D != 0 || s.X != nil && s.Bytes != nil {
		t.Fatalf("%d values, D %d, shape %v", len(x), s.D, s.Shape)
	}
	if len(x) > maxElements {
		t.Fatalf("%d values from a file that can hold %d", len(x), maxElements)
	}
	if i := slices.IndexFunc(x, func(v float64) bool { return v-v != 0 }); i >= 0 {
		t.Fatalf("value %d is %g", i, x[i])
	}
}

func addSeeds(f *testing.F, ext string, good ...[]byte) {
	for _, b := range good {
		f.Add(b)
	}
	for _, c := range hostile() {
		if len(c.file) < 1<<16 && readerName(c.name) == ext {
			f.Add(c.file)
		}
	}
}

func readerName(name string) string {
	switch {
	case bytes.HasSuffix([]byte(name), []byte(".npy")):
		return "npy"
	case bytes.HasSuffix([]byte(name), []byte(".csv")):
		return "csv"
	}
	return "idx"
}

func FuzzNpy(f *testing.F) {
	six := []float64{1, 2, 3, 4, 5, 6}
	addSeeds(f, "npy",
		npyFile(1, npyDict("<f4", false, "(2, 3)"), encode("<f4", six...)),
		npyFile(2, npyDict(">f8", true, "(1, 2, 3)"), encode(">f8", six...)),
		npyFile(3, npyDict("|u1", false, "(6,)"), encode("|u1", six...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := readNpy(bytes.NewReader(b), int64(len(b)))
		checkParsed(t, s, err, len(b))
	})
}

// What the writer writes, the reader reads, for any values that are finite.
func FuzzNpyRoundTrip(f *testing.F) {
	f.Add(1.0, math.Copysign(0, -1), 3, 2)
	f.Add(math.SmallestNonzeroFloat64, math.MaxFloat64, 1, 1)
	f.Fuzz(func(t *testing.T, a, b float64, n, d int) {
		if a-a != 0 || b-b != 0 || n < 1 || d < 1 || n > 50 || d > 50 {
			t.Skip()
		}
		x := make([]float64, n*d)
		for i := range x {
			x[i] = a
			if i%3 == 1 {
				x[i] = b
			}
		}
		path := t.TempDir() + "/a.npy"
		if err := WriteNpy(path, Float64, x, d); err != nil {
			t.Fatal(err)
		}
		s, err := byPath(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(s.X, x) || s.D != d {
			t.Fatalf("%v came back as %v", x, s.X)
		}
	})
}

func FuzzCSV(f *testing.F) {
	addSeeds(f, "csv", []byte("1,2,3\n4,5,6\n"), []byte("x,y\n-1.5e-3, .5\n"), []byte("\xef\xbb\xbf# c\n\n0x1p-2\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := readTable(bytes.NewReader(b), Options{})
		checkParsed(t, s, err, len(b)/2+1)
	})
}

func FuzzIDX(f *testing.F) {
	six := []float64{1, 2, 3, 4, 5, 6}
	addSeeds(f, "idx",
		idxFile(8, []uint32{2, 3}, encode("|u1", six...)),
		idxFile(0x0D, []uint32{6}, encode(">f4", six...)),
		gz(idxFile(8, []uint32{1, 2, 3}, encode("|u1", six...))))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := readIDX(bytes.NewReader(b), int64(len(b)))
		checkParsed(t, s, err, gzipMaxRatio*len(b))
	})
}

func FuzzWav(f *testing.F) {
	f.Add(wavOf(1, 2, 16, 8000, make([]byte, 40)))
	f.Add(wavOf(0xfffe, 1, 16, 8000, make([]byte, 40)))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := readWav(bytes.NewReader(b), int64(len(b)), 3)
		checkParsed(t, s, err, len(b)/2+1)
	})
}

func FuzzNpz(f *testing.F) {
	images := npyFile(1, npyDict("|u1", false, "(2, 2, 2)"), make([]byte, 8))
	for _, method := range []uint16{zip.Store, zip.Deflate} {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for name, file := range map[string][]byte{"arr_0.npy": images, "arr_1.npy": npyFile(1, npyDict("|u1", false, "(2,)"), []byte{0, 1})} {
			w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: method})
			if err == nil {
				_, err = w.Write(file)
			}
			if err != nil {
				f.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := readNpz(bytes.NewReader(b), int64(len(b)), true)
		checkParsed(t, s, err, 1033*len(b))
	})
}
