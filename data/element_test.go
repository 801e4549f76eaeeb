package data

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every type of array that numpy writes by itself is read; integers keep their values.
func TestNpyTypes(t *testing.T) {
	le, be := binary.LittleEndian, binary.BigEndian
	for _, c := range []struct {
		descr   string
		payload []byte
		want    []float64
	}{
		{"|b1", []byte{0, 1, 1}, []float64{0, 1, 1}},
		{"|i1", []byte{0xff, 0x80, 0x7f}, []float64{-1, -128, 127}},
		{"|u1", []byte{0xff, 0x80, 0}, []float64{255, 128, 0}},
		{"<i2", le.AppendUint16(le.AppendUint16(nil, 0xfffe), 300), []float64{-2, 300}},
		{">i2", be.AppendUint16(be.AppendUint16(nil, 0xfffe), 300), []float64{-2, 300}},
		{"<u2", le.AppendUint16(le.AppendUint16(nil, 0xfffe), 300), []float64{65534, 300}},
		{"<i4", le.AppendUint32(le.AppendUint32(nil, 0xfffffffd), 70000), []float64{-3, 70000}},
		{">u4", be.AppendUint32(be.AppendUint32(nil, 0xfffffffd), 70000), []float64{4294967293, 70000}},
		{"<i8", le.AppendUint64(le.AppendUint64(nil, 1<<64-5), 1<<53), []float64{-5, 1 << 53}},
		{"<i8", le.AppendUint64(le.AppendUint64(nil, 1<<63), 3<<60), []float64{-1 << 63, 3 << 60}}, // exact, though large
		{">i8", be.AppendUint64(nil, 1<<64-5), []float64{-5}},
		{"<u8", le.AppendUint64(le.AppendUint64(nil, 1<<63), 7), []float64{1 << 63, 7}},
	} {
		s, err := load(t, "a.npy", npyFile(1, npyDict(c.descr, false, "("+string(rune('0'+len(c.want)))+",)"), c.payload))
		if err != nil || !slices.Equal(s.X, c.want) {
			t.Errorf("%s: %v, %v; want %v", c.descr, s, err, c.want)
		}
	}
}

func TestHalf(t *testing.T) {
	le, be := binary.LittleEndian, binary.BigEndian
	for descr, payload := range map[string][]byte{"<f2": le.AppendUint16(nil, 0x3c00), ">f2": be.AppendUint16(nil, 0x3c00)} {
		if s, err := load(t, "a.npy", npyFile(1, npyDict(descr, false, "(1,)"), payload)); err != nil || s.X[0] != 1 {
			t.Errorf("%s: %v, %v", descr, s, err)
		}
	}
}

// An integer that float64 does not hold is refused, by row and coordinate in either order of the array.
func TestInexactIntegers(t *testing.T) {
	le := binary.LittleEndian
	var b []byte
	for _, v := range []uint64{1, 2, 3, 4, 5, 1<<53 + 1} {
		b = le.AppendUint64(b, v)
	}
	for _, c := range []struct {
		descr   string
		fortran bool
		shape   string
		want    string
	}{
		{"<i8", false, "(2, 3)", "row 1, coordinate 2 is 9007199254740993"},
		{"<u8", false, "(3, 2)", "row 2, coordinate 1 is 9007199254740993"},
		{"<i8", true, "(2, 3)", "row 1, coordinate 2 is 9007199254740993"},
		{"<i8", true, "(1, 2, 3)", "row 0, coordinate 5 is 9007199254740993"},
		{"<i8", false, "(6,)", "row 5, coordinate 0 is 9007199254740993"},
	} {
		if _, err := load(t, "a.npy", npyFile(1, npyDict(c.descr, c.fortran, c.shape), b)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s, Fortran order %v: %v; want %q", c.descr, c.shape, c.fortran, err, c.want)
		}
	}
	if _, err := load(t, "a.npy", npyFile(1, npyDict("<i8", false, "(1,)"), le.AppendUint64(nil, math.MaxInt64))); err == nil {
		t.Error("2⁶³ − 1 is read")
	}
	if _, err := load(t, "a.npy", npyFile(1, npyDict("|b1", false, "(2,)"), []byte{1, 2})); err == nil || !strings.Contains(err.Error(), "no bool") {
		t.Errorf("a bool of 2: %v", err)
	}
}

func TestIntegerFile(t *testing.T) {
	s, err := byPath(filepath.Join("testdata", "i8.npy"), Options{})
	if err != nil || s.N() != 40 || s.D != 2 {
		t.Fatalf("%v, %v", s, err)
	}
	for _, v := range s.X {
		if v != math.Trunc(v) {
			t.Fatalf("%g is no integer", v)
		}
	}
}
