package tfevents

import (
	"bytes"
	"image"
	"image/png"
	"math"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"hbar/internal/tfevents/eventstest"
)

func at(step int64, tag string, value float64) eventstest.Point {
	return eventstest.Point{Step: step, Tag: tag, Value: value}
}

func picture(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewNRGBA(image.Rect(0, 0, 7, 5))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The checksum of RFC 3720 (32 zero bytes: 8a9136aa), masked, and the twelve bytes with which event files of TensorFlow itself begin.
func TestRecord(t *testing.T) {
	if got := masked(make([]byte, 32)) - 0xa282ead8; bits.RotateLeft32(got, 15) != 0x8a9136aa {
		t.Errorf("checksum %#x before the mask, want 0x8a9136aa", bits.RotateLeft32(got, 15))
	}
	first := appendRecord(nil, appendString(event(1.5e9, 0), eventVersion, version)[:24])
	if want := []byte("\x18\x00\x00\x00\x00\x00\x00\x00\xa3\x7f\x4b\x22"); !bytes.Equal(first[:12], want) {
		t.Errorf("a record of 24 bytes begins with %x, want %x", first[:12], want)
	}
	for i := range first {
		broken := bytes.Clone(first)
		broken[i] ^= 1
		if _, _, ok := nextRecord(broken); ok {
			t.Errorf("byte %d was changed unnoticed", i)
		}
		if _, _, ok := nextRecord(first[:i]); ok {
			t.Errorf("a record cut to %d bytes was taken for whole", i)
		}
	}
}

// What is written is in the file at once, and a resumed run leaves no step twice: later events go, and a torn end with them.
func TestResume(t *testing.T) {
	dir := t.TempDir()
	w, err := Open(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []int64{10, 20, 30} {
		if err := w.Scalars(step, Scalar{"loss", float64(step) / 4}, Scalar{"rate", math.NaN()}); err != nil {
			t.Fatal(err)
		}
		if err := w.Image(step, "samples", picture(t)); err != nil {
			t.Fatal(err)
		}
	}
	points, starts := eventstest.Read(t, dir) // before Close
	if len(points) != 9 || len(starts) != 0 || points[6] != at(30, "loss", 7.5) || points[5] != at(20, "samples", 35) || !math.IsNaN(points[1].Value) {
		t.Errorf("read %v, starts %v", points, starts)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}

	names, _ := files(dir)
	f, err := os.OpenFile(names[0], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Write(appendRecord(nil, event(0, 20))[:20])
	f.Close()
	if w, err = Open(dir, 20); err != nil {
		t.Fatal(err)
	}
	for _, step := range []int64{20, 30, 40} {
		if err := w.Scalars(step, Scalar{"loss", float64(step)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Image(20, "samples", picture(t)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	points, starts = eventstest.Read(t, dir)
	pictures := 0
	loss := slices.DeleteFunc(points, func(p eventstest.Point) bool {
		if p.Tag == "samples" {
			pictures++
		}
		return p.Tag != "loss"
	})
	if pictures != 2 {
		t.Errorf("%d pictures, want those of steps 10 and 20", pictures)
	}
	if want := []eventstest.Point{at(10, "loss", 2.5), at(20, "loss", 5), at(30, "loss", 30), at(40, "loss", 40)}; !slices.Equal(loss, want) {
		t.Errorf("losses %v, want %v", loss, want)
	}
	if !slices.Equal(starts, []int64{21}) {
		t.Errorf("session starts at %v, want one at 21", starts)
	}
}

func TestRemove(t *testing.T) {
	dir := t.TempDir()
	others := filepath.Join(dir, "events.out.tfevents.1700000000.someone")
	if err := os.WriteFile(others, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for range 2 { // within a second
		w, err := Open(dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
	}
	if names, _ := files(dir); len(names) != 2 {
		t.Errorf("files %v, want two", names)
	}
	if err := Remove(dir); err != nil {
		t.Fatal(err)
	}
	left, _ := os.ReadDir(dir)
	if len(left) != 1 || left[0].Name() != filepath.Base(others) {
		t.Errorf("left %v", left)
	}
}

func TestBadPicture(t *testing.T) {
	w, err := Open(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Image(1, "samples", []byte("GIF89a")); err == nil {
		t.Error("no error")
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none"), 0); err == nil {
		t.Error("no folder and no error")
	}
}
