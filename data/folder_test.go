package data

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// writeEverywhere leaves the same files in a folder, a zip and two tars, the archives in an order that is not that of the paths.
func writeEverywhere(t testing.TB, dir string, contents map[string][]byte) map[string]string {
	t.Helper()
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	names := slices.Sorted(maps.Keys(contents))
	slices.Reverse(names)
	out := map[string]string{}
	for _, name := range []string{"folder", "a.zip", "a.tar", "a.tar.gz"} {
		out[name] = filepath.Join(dir, name)
	}
	var zipped, tarred bytes.Buffer
	z, tw := zip.NewWriter(&zipped), tar.NewWriter(&tarred)
	for _, name := range names {
		path := filepath.Join(out["folder"], filepath.FromSlash(name))
		check(os.MkdirAll(filepath.Dir(path), 0o777))
		check(os.WriteFile(path, contents[name], 0o666))
		w, err := z.Create(name)
		check(err)
		_, err = w.Write(contents[name])
		check(err)
		check(tw.WriteHeader(&tar.Header{Name: "./" + name, Mode: 0o644, Size: int64(len(contents[name]))}))
		_, err = tw.Write(contents[name])
		check(err)
	}
	check(z.Close())
	check(tw.Close())
	var gzipped bytes.Buffer
	g := gzip.NewWriter(&gzipped)
	_, err := io.Copy(g, bytes.NewReader(tarred.Bytes()))
	check(err)
	check(g.Close())
	check(os.WriteFile(out["a.zip"], zipped.Bytes(), 0o666))
	check(os.WriteFile(out["a.tar"], tarred.Bytes(), 0o666))
	check(os.WriteFile(out["a.tar.gz"], gzipped.Bytes(), 0o666))
	return out
}

func encodePNG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// picturesOf is n pictures of h × w in colour, and their bytes.
func picturesOf(n, h, w int) (ms []*image.NRGBA, bytes []byte) {
	b := pixels(n * h * w * 3)
	for i := range n {
		m := image.NewNRGBA(image.Rect(0, 0, w, h))
		for k := range h * w {
			copy(m.Pix[4*k:], b[(i*h*w+k)*3:][:3])
			m.Pix[4*k+3] = 255
		}
		ms = append(ms, m)
	}
	return ms, b
}

// The same pictures read from a folder, a zip, a tar, a compressed tar and an npz are the same set to the last bit.
func TestSameFromEverywhere(t *testing.T) {
	dir := t.TempDir()
	const n, h, w = 23, 5, 7
	ms, b := picturesOf(n, h, w)
	contents := map[string][]byte{"all/readme.txt": []byte("hello"), "all/.DS_Store": []byte("x"), "__MACOSX/all/._0.png": []byte("x")}
	var want []int32
	for i, m := range ms {
		class := i * 3 / n
		want = append(want, int32(class))
		contents[fmt.Sprintf("all/%s/%02d.PNG", []string{"cat", "dog", "fox"}[class], i)] = encodePNG(t, m)
	}
	sources := writeEverywhere(t, dir, contents)
	var npz bytes.Buffer
	z := zip.NewWriter(&npz)
	for name, file := range map[string][]byte{
		"arr_0.npy": npyFile(1, npyDict("|u1", false, fmt.Sprintf("(%d, %d, %d, 3)", n, h, w)), b),
		"arr_1.npy": npyFile(1, npyDict("<i4", false, fmt.Sprintf("(%d,)", n)), int32s(want)),
	} {
		f, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		f.Write(file)
	}
	z.Close()
	sources["x.npz"] = filepath.Join(dir, "x.npz")
	if err := os.WriteFile(sources["x.npz"], npz.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	for name, path := range sources {
		s, err := LoadWith(path, Options{Cache: NoCache})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(s.Bytes, b) || !slices.Equal(s.Shape, []int{h, w, 3}) || !slices.Equal(s.Labels, want) || s.Classes != 3 {
			t.Errorf("%s: %d bytes, shape %v, labels %v", name, len(s.Bytes), s.Shape, s.Labels)
		}
		if name != "x.npz" && !slices.Equal(s.ClassNames, []string{"cat", "dog", "fox"}) {
			t.Errorf("%s: classes %q", name, s.ClassNames)
		}
	}
}

func int32s(v []int32) []byte {
	var b []byte
	for _, v := range v {
		b = append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	}
	return b
}

// Every kind of PNG and JPEG gives the bytes that one would expect.
func TestPictureKinds(t *testing.T) {
	at := image.Rect(0, 0, 2, 1)
	grey := &image.Gray{Pix: []byte{10, 200}, Stride: 2, Rect: at}
	grey16 := &image.Gray16{Pix: []byte{10, 99, 200, 1}, Stride: 4, Rect: at}
	colours := &image.NRGBA{Pix: []byte{1, 2, 3, 255, 4, 5, 6, 255}, Stride: 8, Rect: at}
	glass := &image.NRGBA{Pix: []byte{100, 0, 0, 128, 4, 5, 6, 0}, Stride: 8, Rect: at}
	deep := &image.NRGBA64{Pix: []byte{1, 9, 2, 9, 3, 9, 255, 255, 4, 0, 5, 0, 6, 0, 255, 255}, Stride: 16, Rect: at}
	deepGlass := &image.NRGBA64{Pix: []byte{100, 255, 0, 99, 1, 2, 128, 255, 4, 0, 5, 0, 6, 0, 0, 1}, Stride: 16, Rect: at}
	greyPalette := image.NewPaletted(at, color.Palette{color.Gray{10}, color.Gray{200}})
	greyPalette.Pix = []byte{0, 1}
	palette := image.NewPaletted(at, color.Palette{color.NRGBA{1, 2, 3, 255}, color.NRGBA{9, 9, 9, 0}})
	palette.Pix = []byte{0, 1}
	for name, c := range map[string]struct {
		m    image.Image
		want []byte
	}{
		"grey":           {grey, []byte{10, 200}},
		"grey of 16":     {grey16, []byte{10, 200}},
		"colours":        {colours, []byte{1, 2, 3, 4, 5, 6}},
		"transparent":    {glass, []byte{177, 127, 127, 255, 255, 255}}, // 100·128/255 + 127 = 177.2
		"colours of 16":  {deep, []byte{1, 2, 3, 4, 5, 6}},
		"transparent 16": {deepGlass, []byte{177, 127, 128, 255, 255, 255}}, // 1·128/255 + 127 = 127.5
		"grey palette":   {greyPalette, []byte{10, 200}},
		"colour palette": {palette, []byte{1, 2, 3, 255, 255, 255}},
	} {
		s, err := LoadWith(write(t, map[string][]byte{"a.png": encodePNG(t, c.m)}), Options{Cache: NoCache})
		if err != nil || !bytes.Equal(s.Bytes, c.want) || s.D != len(c.want) {
			t.Errorf("%s: %v, %v, want %v", name, s, err, c.want)
		}
	}

	// A grey picture before one with colours takes three channels.
	s, err := LoadWith(write(t, map[string][]byte{"a.png": encodePNG(t, grey), "b.png": encodePNG(t, colours)}), Options{Cache: NoCache})
	if err != nil || !bytes.Equal(s.Bytes, []byte{10, 10, 10, 200, 200, 200, 1, 2, 3, 4, 5, 6}) {
		t.Errorf("mixed: %v, %v", s, err)
	}

	flat := image.NewNRGBA(image.Rect(0, 0, 16, 16))
	for i := range flat.Pix {
		flat.Pix[i] = []byte{200, 50, 100, 255}[i%4]
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, flat, &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	s, err = LoadWith(write(t, map[string][]byte{"a.jpeg": b.Bytes()}), Options{Cache: NoCache})
	if err != nil || !slices.Equal(s.Shape, []int{16, 16, 3}) {
		t.Fatalf("JPEG: %v, %v", s, err)
	}
	for i, v := range s.Bytes { // of one colour: only the rounding of YCbCr is lost
		if d := int(v) - int([]byte{200, 50, 100}[i%3]); d < -2 || d > 2 {
			t.Fatalf("JPEG: byte %d is %d", i, v)
		}
	}
}

// Pictures are cropped at their centre, and resized to squares; in an array as in a folder.
func TestResize(t *testing.T) {
	m := image.NewNRGBA(image.Rect(0, 0, 12, 8)) // the left two columns and the right two are white, the rest has four flat quarters
	for y := range 8 {
		for x := range 12 {
			c := color.NRGBA{255, 255, 255, 255}
			if x >= 2 && x < 10 {
				c = color.NRGBA{uint8(40 + 100*((x-2)/4)), uint8(30 + 100*(y/4)), 7, 255}
			}
			m.SetNRGBA(x, y, c)
		}
	}
	dir := write(t, map[string][]byte{"p/a.png": encodePNG(t, m)})
	s, err := LoadWith(filepath.Join(dir, "p"), Options{Cache: NoCache, Crop: true})
	if err != nil || !slices.Equal(s.Shape, []int{8, 8, 3}) || s.Bytes[0] != 40 || s.Bytes[3*7] != 140 || s.Bytes[3*(8*7+7)+1] != 130 {
		t.Fatalf("crop: %v, %v", s, err)
	}
	s, err = LoadWith(filepath.Join(dir, "p"), Options{Cache: NoCache, Crop: true, Resize: 2})
	if err != nil || !slices.Equal(s.Shape, []int{2, 2, 3}) {
		t.Fatalf("resize: %v, %v", s, err)
	}
	for i, want := range []byte{40, 30, 7, 140, 30, 7, 40, 130, 7, 140, 130, 7} { // Catmull–Rom, at half the grid, mixes a tenth of the neighbour in
		if d := int(s.Bytes[i]) - int(want); d < -12 || d > 12 {
			t.Errorf("resize: %v", s.Bytes)
			break
		}
	}
	whole := make([]byte, 12*8*3)
	for k := range 12 * 8 {
		copy(whole[3*k:], m.Pix[4*k:][:3])
	}
	npy := filepath.Join(write(t, map[string][]byte{"a.npy": npyFile(1, npyDict("|u1", false, "(1, 8, 12, 3)"), whole)}), "a.npy")
	a, err := LoadWith(npy, Options{Crop: true, Resize: 2})
	if err != nil || !bytes.Equal(a.Bytes, s.Bytes) {
		t.Errorf("array: %v, %v, want %v", a, err, s.Bytes)
	}
	for _, o := range []Options{{Resize: 4}, {Resize: -1}, {Resize: 1 << 20}} {
		if _, err := LoadWith(npy, o); err == nil {
			t.Errorf("%+v of a picture that is not square: no error", o)
		}
	}
}

// dataset.json names the labels, as EDM has them; null says that there are none, although there are folders.
func TestDatasetJSON(t *testing.T) {
	ms, _ := picturesOf(4, 2, 2)
	contents := map[string][]byte{"00000/dataset.json": nil}
	for i, m := range ms {
		contents[fmt.Sprintf("0000%d/img%d.png", i/2, i)] = encodePNG(t, m)
	}
	for _, c := range []struct {
		json   string
		labels []int32
		want   string
	}{
		{`{"labels": [["00000/img0.png", 5], ["00000/img1.png", 0], ["00001/img2.png", 5], ["00001/img3.png", 1]]}`, []int32{5, 0, 5, 1}, ""},
		{`{"labels": null}`, nil, ""},
		{`{"labels": [["00000/img0.png", 5], ["00000/img1.png", 0], ["00001/img2.png", 5]]}`, nil, "no label for 00001/img3.png"},
		{`{"labels": [["00000/img0.png", "five"]]}`, nil, "not of the form"},
		{`{"labels": [["00000/img0.png", null], ["00000/img1.png", 0], ["00001/img2.png", 5], ["00001/img3.png", 1]]}`, nil, "not of the form"},
		{`{"labels": [["00000/img0.png", 5], ["00000/img1.png", -1], ["00001/img2.png", 5], ["00001/img3.png", 1]]}`, nil, "label 1 is -1"},
		{`{"labels"`, nil, "dataset.json"},
	} {
		delete(contents, "00000/dataset.json")
		contents["dataset.json"] = []byte(c.json)
		for name, path := range writeEverywhere(t, t.TempDir(), contents) {
			s, err := LoadWith(path, Options{Cache: NoCache})
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%s: %s: %v, want %q", name, c.json, err, c.want)
				}
			} else if err != nil || !slices.Equal(s.Labels, c.labels) {
				t.Errorf("%s: %s: %v, %v", name, c.json, s, err)
			}
		}
	}
}

// What was decoded is kept, and used until the source changes: one byte, or a name, or a file more.
func TestCache(t *testing.T) {
	dir := t.TempDir()
	cache := filepath.Join(dir, "cache")
	ms, b := picturesOf(4, 2, 3)
	contents := map[string][]byte{}
	for i, m := range ms[:3] {
		contents[fmt.Sprintf("%d.png", i)] = encodePNG(t, m)
	}
	sources := writeEverywhere(t, dir, contents)
	load := func(path string) (*Dataset, string) {
		t.Helper()
		time.Sleep(150 * time.Millisecond) // until a change shows
		s, err := LoadWith(path, Options{Cache: cache})
		if err != nil {
			t.Fatal(err)
		}
		if s.Name != filepath.Base(path) {
			t.Errorf("%s is called %q", path, s.Name)
		}
		for _, n := range s.Notes {
			if n.Label == "decoded" {
				return s, n.Text
			}
		}
		return s, ""
	}
	for _, name := range []string{"folder", "a.zip"} {
		for _, want := range []string{"and kept in " + cache, "before, and kept in " + cache} {
			s, note := load(sources[name])
			if !strings.HasPrefix(note, want) || !bytes.Equal(s.Bytes, b[:3*18]) || !slices.Equal(s.Shape, []int{2, 3, 3}) {
				t.Errorf("%s: %q, %v; want %q", name, note, s, want)
			}
		}
	}
	// Another picture of the same size in bytes, with the same time of modification.
	changed := filepath.Join(sources["folder"], "1.png")
	st, err := os.Stat(changed)
	if err != nil {
		t.Fatal(err)
	}
	if len(encodePNG(t, ms[3])) != int(st.Size()) {
		t.Skip("the pictures differ in size")
	}
	if err := os.WriteFile(changed, encodePNG(t, ms[3]), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(changed, time.Time{}, st.ModTime()); err != nil {
		t.Fatal(err)
	}
	if s, _ := load(sources["folder"]); !bytes.Equal(s.Bytes[18:36], b[3*18:]) {
		t.Error("a changed file is not noticed")
	}
	if err := os.Rename(changed, filepath.Join(sources["folder"], "9.png")); err != nil {
		t.Fatal(err)
	}
	if s, _ := load(sources["folder"]); !bytes.Equal(s.Bytes[36:], b[3*18:]) {
		t.Error("a changed name is not noticed")
	}
	if err := os.WriteFile(changed, encodePNG(t, ms[0]), 0o666); err != nil {
		t.Fatal(err)
	}
	if s, _ := load(sources["folder"]); s.N() != 4 {
		t.Error("a new file is not noticed")
	}
	// A damaged cache is no obstacle.
	kept, err := filepath.Glob(filepath.Join(cache, "*"))
	if err != nil || len(kept) != 2 {
		t.Fatalf("cache holds %v, %v", kept, err)
	}
	for _, path := range kept {
		if err := os.Truncate(path, 5000); err != nil {
			t.Fatal(err)
		}
	}
	if s, _ := load(sources["a.zip"]); !bytes.Equal(s.Bytes, b[:3*18]) {
		t.Error("a damaged cache is used")
	}
	// Nor is one that cannot be written.
	if s, err := LoadWith(sources["a.zip"], Options{Cache: filepath.Join(sources["a.tar"], "x")}); err != nil || !bytes.Equal(s.Bytes, b[:3*18]) {
		t.Errorf("no place for the cache: %v", err)
	}
}
