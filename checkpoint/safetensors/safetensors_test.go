package safetensors

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"hbar/internal/memory"
)

// raw builds a file from header text and data.
func raw(header string, data ...byte) []byte {
	return append(append(le.AppendUint64(nil, uint64(len(header))), header...), data...)
}

func read(b []byte) (*File, error) { return Read(bytes.NewReader(b), int64(len(b))) }

func sample() *File {
	return &File{
		Metadata: map[string]string{"sde": "simple", "quote\"": "π <&>"},
		Tensors: []Tensor{
			{Name: "b", Shape: []int{3}, F32: []float32{1, -0.5, math.SmallestNonzeroFloat32}},
			{Name: "a", Shape: []int{2, 2}, F64: []float64{1, 2, math.Pi, -math.MaxFloat64}},
			{Name: "scalar", Shape: []int{}, F32: []float32{7}},
			{Name: "none", Shape: []int{0, 4}, F32: []float32{}},
		},
	}
}

func TestRoundTrip(t *testing.T) {
	var b, again bytes.Buffer
	if err := Write(&b, sample()); err != nil {
		t.Fatal(err)
	}
	if err := Write(&again, sample()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), again.Bytes()) {
		t.Error("equal files give different bytes")
	}
	if n := le.Uint64(b.Bytes()); n%8 != 0 {
		t.Errorf("the data begin at byte %d; want a multiple of 8", n+8)
	}
	f, err := read(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	want := sample()
	if !reflect.DeepEqual(f.Metadata, want.Metadata) {
		t.Errorf("metadata %v, want %v", f.Metadata, want.Metadata)
	}
	got := map[string]Tensor{}
	for _, v := range f.Tensors {
		got[v.Name] = v
	}
	for _, w := range want.Tensors {
		if !reflect.DeepEqual(got[w.Name], w) {
			t.Errorf("tensor %q: %+v, want %+v", w.Name, got[w.Name], w)
		}
	}
	if f.Tensors[0].Name != "a" {
		t.Errorf("the first tensor is %q; want the one of 8-byte elements, for alignment", f.Tensors[0].Name)
	}
}

// Bit patterns of IEEE 754 binary16 and bfloat16 with their values.
func TestHalfPrecision(t *testing.T) {
	for _, c := range []struct {
		dtype string
		bits  uint16
		want  float32
	}{
		{"F16", 0x3C00, 1}, {"F16", 0xC000, -2}, {"F16", 0x7BFF, 65504}, {"F16", 0x0400, 0x1p-14},
		{"F16", 0x0001, 0x1p-24}, {"F16", 0x83FF, -1023 * 0x1p-24}, {"F16", 0x3555, 0x1.554p-2}, {"F16", 0x0000, 0},
		{"F16", 0x7C00, float32(math.Inf(1))}, {"F16", 0xFC00, float32(math.Inf(-1))},
		{"BF16", 0x3F80, 1}, {"BF16", 0xC049, -3.140625}, {"BF16", 0x0001, 0x1p-133},
	} {
		f, err := read(raw(fmt.Sprintf(`{"x":{"dtype":"%s","shape":[1],"data_offsets":[0,2]}}`, c.dtype), byte(c.bits), byte(c.bits>>8)))
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Tensors[0].F32[0]; got != c.want {
			t.Errorf("%s %04x = %g, want %g", c.dtype, c.bits, got, c.want)
		}
	}
}

func TestFloat32(t *testing.T) {
	v, err := (&Tensor{Name: "x", Shape: []int{1}, F64: []float64{0.1}}).Float32()
	if err != nil || v[0] != 0.1 {
		t.Errorf("0.1 becomes %v, %v", v, err)
	}
	if _, err := (&Tensor{Name: "x", Shape: []int{2}, F64: []float64{0, 1e39}}).Float32(); err == nil || !strings.Contains(err.Error(), `"x" holds 1e+39 at index [1]`) {
		t.Errorf("1e39: %v", err)
	}
}

func TestFinite(t *testing.T) {
	x := Tensor{Name: "w", Shape: []int{2, 3}, F32: []float32{0, 0, 0, 0, float32(math.NaN()), 0}}
	if err := x.Finite(); err == nil || !strings.Contains(err.Error(), `"w" holds NaN at index [1 1]`) {
		t.Errorf("NaN: %v", err)
	}
	y := Tensor{Name: "w", Shape: []int{2}, F64: []float64{0, math.Inf(-1)}}
	if err := y.Finite(); err == nil || !strings.Contains(err.Error(), "-Inf at index [1]") {
		t.Errorf("-Inf: %v", err)
	}
	x.F32[4] = math.MaxFloat32
	if err := x.Finite(); err != nil {
		t.Error(err)
	}
}

type badFile struct {
	what string
	file []byte
	want string
}

// hostile files, each with a part of the error it must give.
func hostile() []badFile {
	one := func(dtype, shape, offsets string) string {
		return fmt.Sprintf(`{"x":{"dtype":%s,"shape":%s,"data_offsets":%s}}`, dtype, shape, offsets)
	}
	two := func(a, b string) string {
		return fmt.Sprintf(`{"x":{"dtype":"F32","shape":[1],"data_offsets":%s},"y":{"dtype":"F32","shape":[1],"data_offsets":%s}}`, a, b)
	}
	four, eight := make([]byte, 4), make([]byte, 8)
	return []badFile{
		{"empty", nil, "ends early"},
		{"half a length", []byte{1, 0, 0}, "ends early"},
		{"another format", []byte("PK\x03\x04aaaaaaaaaaaaaaaa"), "not a safetensors file"},
		{"header beyond the file", append(le.AppendUint64(nil, 1000), "{}"...), "claims a header of 1000 bytes; the file has 10"},
		{"header beyond int64", append(le.AppendUint64(nil, math.MaxUint64), "{}"...), "claims a header"},
		{"header beyond the limit", append(le.AppendUint64(nil, 1<<40), "{}"...), "the limit is 100000000"},
		{"no header", raw(""), "does not begin with {"},
		{"space before", raw(" {}"), "does not begin with {"},
		{"array", raw("[]"), "does not begin with {"},
		{"cut JSON", raw(`{"x":{"dtype":"F32","sha`), "header:"},
		{"cut object", raw(`{"x":{"dtype":"F32"`), "ends early"},
		{"not UTF-8", raw("{\"\xff\":1}"), "not UTF-8"},
		{"text after", raw("{} {}"), "text after"},
		{"trailing comma", raw("{\"__metadata__\":{},}"), "header:"},
		{"number for tensor", raw(`{"x":1}`), `"x": { expected`},
		{"null for tensor", raw(`{"x":null}`), `"x": { expected`},
		{"list for metadata", raw(`{"__metadata__":[]}`), "{ or null expected"},
		{"number in metadata", raw(`{"__metadata__":{"a":1}}`), "string expected"},
		{"duplicate tensor", raw(`{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, eight...), `"x" occurs twice`},
		{"duplicate by escape", raw(`{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\u0078":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, eight...), `"x" occurs twice`},
		{"duplicate metadata", raw(`{"__metadata__":{"a":"1","a":"2"}}`), `"a" occurs twice`},
		{"duplicate field", raw(`{"x":{"dtype":"F32","dtype":"F64","shape":[1],"data_offsets":[0,4]}}`, four...), `"dtype" occurs twice`},
		{"unknown field", raw(`{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1}}`, four...), "unknown field"},
		{"missing field", raw(`{"x":{"dtype":"F32","shape":[1]}}`, four...), "are needed"},
		{"one offset", raw(one(`"F32"`, "[1]", "[0]"), four...), "are needed"},
		{"three offsets", raw(one(`"F32"`, "[1]", "[0,4,8]"), four...), "more than 2 integers"},
		{"negative offset", raw(one(`"F32"`, "[1]", "[-4,0]"), four...), `"-4" is not an integer`},
		{"fractional size", raw(one(`"F32"`, "[1.5]", "[0,4]"), four...), `"1.5" is not an integer`},
		{"string size", raw(one(`"F32"`, `["1"]`, "[0,4]"), four...), "integer expected"},
		{"huge size", raw(one(`"F32"`, "[99999999999999999999]", "[0,4]"), four...), "is not an integer"},
		{"overflowing shape", raw(one(`"F32"`, "[2305843009213693952,4,4]", "[0,0]")), "more than 2⁴⁸ elements"},
		{"many dimensions", raw(one(`"F32"`, "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,4]"), four...), "more than 16 integers"},
		{"wrong dtype", raw(one(`"I32"`, "[1]", "[0,8]"), eight...), `dtype "I32" not supported; have F32`},
		{"shape and offsets differ", raw(one(`"F32"`, "[2]", "[0,4]"), four...), "hold 4 bytes; F32 of shape [2] needs 8"},
		{"reversed offsets", raw(one(`"F32"`, "[1]", "[4,0]"), four...), "lie outside"},
		{"offsets beyond the file", raw(one(`"F32"`, "[2]", "[0,8]"), four...), "lie outside the 4 bytes"},
		{"a terabyte claimed", raw(one(`"F32"`, "[274877906944]", "[0,1099511627776]"), four...), "lie outside"},
		{"overlap", raw(two("[0,4]", "[0,4]"), eight...), "overlap"},
		{"partial overlap", raw(two("[0,4]", "[2,6]"), eight...), "overlap"},
		{"gap", raw(two("[0,4]", "[8,12]"), make([]byte, 12)...), "leave a gap after byte 4"},
		{"gap at the start", raw(one(`"F32"`, "[1]", "[4,8]"), eight...), "leave a gap after byte 0"},
		{"rest", raw(one(`"F32"`, "[1]", "[0,4]"), eight...), "end at byte 4 of 8"},
		{"cut data", raw(one(`"F32"`, "[2]", "[0,8]"), eight[:7]...), "lie outside the 7 bytes"},
	}
}

func TestHostileFiles(t *testing.T) {
	for _, c := range hostile() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := read(c.file)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v; want one line with %q", c.what, err, c.want)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 { // two buffers of 64 KiB and small change
			t.Errorf("%s: %d bytes allocated for a file of %d", c.what, got, len(c.file))
		}
	}
}

// A file that shrinks while it is read, or whose size is misreported, ends in an error too.
func TestShortRead(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, sample()); err != nil {
		t.Fatal(err)
	}
	for cut := range b.Len() {
		if _, err := Read(bytes.NewReader(b.Bytes()[:cut]), int64(b.Len())); err == nil {
			t.Fatalf("cut at byte %d of %d: no error", cut, b.Len())
		}
	}
}

func TestSizeLimit(t *testing.T) {
	b := raw("{}")
	if _, err := Read(bytes.NewReader(b), 1<<40); err == nil || !strings.Contains(err.Error(), "at most 17179869184 are read") {
		t.Errorf("a terabyte: %v", err)
	}
}

func TestWriteErrors(t *testing.T) {
	for _, c := range []struct {
		tensors []Tensor
		want    string
	}{
		{[]Tensor{{Name: "x", Shape: []int{2}, F32: []float32{1}}}, "holds 1 elements"},
		{[]Tensor{{Name: "x", Shape: []int{-1}, F32: []float32{1}}}, "negative"},
		{[]Tensor{{Name: "", Shape: []int{1}, F32: []float32{1}}}, "cannot be named"},
		{[]Tensor{{Name: "__metadata__", Shape: []int{1}, F32: []float32{1}}}, "cannot be named"},
		{[]Tensor{{Name: "x", Shape: []int{1}, F32: []float32{1}, F64: []float64{1}}}, "want one"},
		{[]Tensor{{Name: "x", Shape: []int{1}, F32: []float32{1}}, {Name: "x", Shape: []int{1}, F32: []float32{1}}}, "twice"},
	} {
		path := filepath.Join(t.TempDir(), "a.safetensors")
		if err := WriteFile(path, &File{Tensors: c.tensors}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.tensors, err, c.want)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%+v: a file is there after the error", c.tensors)
		}
	}
}

func TestReadFileErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadFile(dir); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
	missing := filepath.Join(dir, "none.safetensors")
	if _, err := ReadFile(missing); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("a missing file: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	if err := Write(&b, sample()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(raw(`{"x":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},"y":{"dtype":"F16","shape":[0],"data_offsets":[4,4]}}   `, 1, 2, 3, 4))
	for _, c := range hostile() {
		f.Add(c.file)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := read(b)
		if err != nil {
			return
		}
		total := 0
		for i := range file.Tensors {
			x := &file.Tensors[i]
			if err := x.validate(); err != nil {
				t.Fatalf("accepted: %v", err)
			}
			total += x.Len()
		}
		if total > len(b)/2 {
			t.Fatalf("%d elements from %d bytes", total, len(b))
		}
		var out bytes.Buffer
		if err := Write(&out, file); err != nil {
			t.Fatalf("cannot write what was read: %v", err)
		}
		again, err := read(out.Bytes())
		if err != nil {
			t.Fatalf("cannot read what was written: %v", err)
		}
		if len(again.Tensors) != len(file.Tensors) || !reflect.DeepEqual(again.Metadata, file.Metadata) {
			t.Fatalf("%d tensors, metadata %v; want %d, %v", len(again.Tensors), again.Metadata, len(file.Tensors), file.Metadata)
		}
	})
}

// Metadata of null are none, as the reference implementation reads them; before the tensors or behind.
func TestNullMetadata(t *testing.T) {
	const tensor = `"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`
	for _, header := range []string{`{"__metadata__":null,` + tensor + `}`, `{` + tensor + `,"__metadata__" : null }`} {
		f, err := read(raw(header, 0, 0, 0x80, 0x3f))
		if err != nil || len(f.Metadata) != 0 || len(f.Tensors) != 1 || f.Tensors[0].F32[0] != 1 {
			t.Errorf("%s: %+v, %v", header, f, err)
		}
	}
}

// Tensors that do not fit in memory are refused before they are read; half precision takes four bytes a number.
func TestDoesNotFit(t *testing.T) {
	for _, c := range []struct {
		dtype string
		bytes int64
		fits  bool
	}{{"F32", 300e6, true}, {"F32", 500e6, false}, {"F16", 150e6, true}, {"F16", 250e6, false}, {"F64", 300e6, true}, {"F64", 500e6, false}} {
		err := fits([]entry{{name: "w", dtype: c.dtype, end: c.bytes}}, memory.Limit{Bytes: 1e9, Source: "ulimit -v"})
		if (err == nil) != c.fits || err != nil && !strings.Contains(err.Error(), "(the weights 1.2 GB) of memory; there are 1.0 GB (ulimit -v)") {
			t.Errorf("%d bytes of %s: %v", c.bytes, c.dtype, err)
		}
	}
}
