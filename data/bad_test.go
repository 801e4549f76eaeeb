package data

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hbar/data/internal/files"
)

func tarOf(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		h.Mode = 0o644
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipOf(t *testing.T, method uint16, names []string, contents ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i, name := range names {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		if err == nil {
			_, err = f.Write(contents[i])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// zipLink is a zip archive with a symbolic link.
func zipLink(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: "a.png"}
	h.SetMode(os.ModeSymlink | 0o777)
	f, err := w.CreateHeader(h)
	if err == nil {
		_, err = f.Write([]byte("/etc/passwd"))
	}
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	return b.Bytes()
}

// wavOf is a .wav file.
func wavOf(tag, channels, bits uint16, rate uint32, pcm []byte) []byte {
	b := []byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00")
	o := binary.LittleEndian
	b = o.AppendUint16(o.AppendUint16(b, tag), channels)
	b = o.AppendUint32(o.AppendUint32(b, rate), rate*uint32(channels)*uint32(bits)/8)
	b = o.AppendUint16(o.AppendUint16(b, channels*bits/8), bits)
	b = o.AppendUint32(append(b, "data"...), uint32(len(pcm)))
	b = append(b, pcm...)
	o.PutUint32(b[4:], uint32(len(b)-8))
	return b
}

// badInput is what a reader is to refuse with the words of want.
type badInput struct {
	name  string
	files map[string][]byte
	o     Options
	want  string
}

// badInputs are broken folders, archives and files.
func badInputs(t *testing.T) []badInput {
	small, large := encodePNG(t, image.NewGray(image.Rect(0, 0, 2, 2))), encodePNG(t, image.NewGray(image.Rect(0, 0, 2, 3)))
	bomb := bytes.Clone(small)
	binary.BigEndian.PutUint32(bomb[16:], 60000)
	binary.BigEndian.PutUint32(bomb[20:], 60000)
	binary.BigEndian.PutUint32(bomb[29:], crc32.ChecksumIEEE(bomb[12:29]))
	whole := zipOf(t, zip.Deflate, []string{"a.png", "b.png"}, small, small)
	damaged := bytes.Clone(zipOf(t, zip.Store, []string{"a.png"}, small))
	damaged[60] ^= 1
	var gzBomb bytes.Buffer
	g := gzip.NewWriter(&gzBomb)
	g.Write(tarOf(t, tar.Header{Name: "a.bin", Size: 80 << 20}))
	g.Close()
	images := npyFile(1, npyDict("|u1", false, "(2, 2, 2)"), pixels(8))
	pcm := pixels(200)
	return []badInput{
		{"empty", nil, Options{}, "is empty; want PNG or JPEG pictures"},
		{"d", map[string][]byte{"d/a.txt": nil}, Options{}, "no PNG or JPEG pictures"},
		{"d", map[string][]byte{"d/a.png": small, "d/b/c.png": large}, Options{}, "d: b/c.png: has 2×3 pixels, but a.png has 2×2; all must have one size (--resize"},
		{"d", map[string][]byte{"d/a.png": small, "d/b.png": small[:50]}, Options{}, "d: b.png: truncated: the picture ends early"},
		{"d", map[string][]byte{"d/a.png": small, "d/b.png": nil}, Options{}, "d: b.png: empty file"},
		{"d", map[string][]byte{"d/a.png": bomb}, Options{}, "d: a.png: declares 60000×60000 pixels; at most 2²⁶ are read"},
		{"d", map[string][]byte{"d/a.png": small, "d/b.png": bomb}, Options{}, "d: b.png: declares 60000×60000 pixels"},
		{"d", map[string][]byte{"d/a.png": []byte("GIF89a")}, Options{}, "d: a.png: neither PNG nor JPEG"},
		{"d", map[string][]byte{"d/a.png": large}, Options{Resize: 4}, "a.png has 2×3 pixels, which is not square; crop it"},
		{"d", map[string][]byte{"d/a.png": small, "d/a.wav": wavOf(1, 1, 16, 8000, pcm)}, Options{}, "1 pictures, 1 sounds"},
		{"a.zip", map[string][]byte{"a.zip": whole[:len(whole)-30]}, Options{}, "not a zip archive, or a truncated one"},
		{"a.zip", map[string][]byte{"a.zip": damaged}, Options{}, "a.zip: a.png: "},
		{"a.zip", map[string][]byte{"a.zip": zipOf(t, zip.Store, []string{"../a.png"}, small)}, Options{}, `entry "../a.png" leaves the archive`},
		{"a.zip", map[string][]byte{"a.zip": zipOf(t, zip.Store, []string{"/a.png"}, small)}, Options{}, `entry "/a.png" leaves the archive`},
		{"a.zip", map[string][]byte{"a.zip": zipLink(t)}, Options{}, `entry "a.png" is a link`},
		{"a.zip", map[string][]byte{"a.zip": zipOf(t, zip.Store, []string{"a.png", "a.png"}, small, small)}, Options{}, `entry "a.png" comes twice`},
		{"a.zip", map[string][]byte{"a.zip": zipOf(t, zip.Store, nil)}, Options{}, "is empty"},
		{"a.tar", map[string][]byte{"a.tar": tarOf(t, tar.Header{Name: "x/../../a.png", Size: 5})}, Options{}, `entry "x/../../a.png" leaves the archive`},
		{"a.tar", map[string][]byte{"a.tar": tarOf(t, tar.Header{Name: "a.png", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink})}, Options{}, `entry "a.png" is a link`},
		{"a.tgz", map[string][]byte{"a.tgz": gz(tarOf(t, tar.Header{Name: "a.png", Linkname: "b.png", Typeflag: tar.TypeLink}))}, Options{}, `entry "a.png" is a link`},
		{"a.tar", map[string][]byte{"a.tar": tarOf(t, tar.Header{Name: "a.png", Size: 5000})[:3000]}, Options{}, "truncated: the archive ends within an entry"},
		{"a.tgz", map[string][]byte{"a.tgz": gz(tarOf(t, tar.Header{Name: "a.png", Size: 5000}))[:60]}, Options{}, "truncated"},
		{"a.tgz", map[string][]byte{"a.tgz": gzBomb.Bytes()}, Options{}, "expands to more than 200 times its size"},
		{"a.tar", map[string][]byte{"a.tar": pixels(2048)}, Options{}, "not a tar archive"},
		{"a.npz", map[string][]byte{"a.npz": whole[:20]}, Options{}, "not an .npz file, or a truncated one"},
		{"a.npz", map[string][]byte{"a.npz": zipOf(t, zip.Store, []string{"p.npy", "q.npy"}, images, images)}, Options{}, `have ["p" "q"], want arr_0 or images`},
		{"a.npz", map[string][]byte{"a.npz": zipOf(t, zip.Store, []string{"arr_0.npy", "arr_1.npy"}, images, npyFile(1, npyDict("|u1", false, "(3,)"), pixels(3)))}, Options{}, "arr_1: 3 labels for 2 samples"},
		{"a.npz", map[string][]byte{"a.npz": zipOf(t, zip.Deflate, []string{"arr_0.npy"}, images[:len(images)-2])}, Options{}, "larger than the file"},
		{"a.bin", map[string][]byte{"a.bin": pixels(5000)}, Options{}, "records of 3073 bytes"},
		{"a.bin", map[string][]byte{"a.bin": bytes.Repeat([]byte{77}, 3073)}, Options{}, "record 0 has label 77; CIFAR-10 has 0 to 9"},
		{"a.wav", map[string][]byte{"a.wav": wavOf(1, 1, 16, 8000, pcm)}, Options{}, "say by --length how many make a piece"},
		{"a.wav", map[string][]byte{"a.wav": wavOf(1, 1, 16, 8000, pcm)}, Options{Length: 101}, "100 samples, shorter than a piece of 101"},
		{"a.wav", map[string][]byte{"a.wav": wavOf(3, 1, 32, 8000, pcm)}, Options{Length: 10}, "not PCM but format 3"},
		{"a.wav", map[string][]byte{"a.wav": wavOf(1, 1, 8, 8000, pcm)}, Options{Length: 10}, "8 bits a sample; want 16-bit PCM"},
		{"a.wav", map[string][]byte{"a.wav": wavOf(1, 1, 16, 8000, pcm)[:100]}, Options{Length: 10}, "truncated: 56 of 200 bytes"},
		{"a.wav", map[string][]byte{"a.wav": []byte("MThd")}, Options{Length: 10}, "not a .wav file"},
		{"d", map[string][]byte{"d/a.wav": wavOf(1, 1, 16, 8000, pcm), "d/b.wav": wavOf(1, 1, 16, 8000, pcm[:100])}, Options{}, "b.wav has 50 samples, a.wav has 100; say by --length"},
		{"d", map[string][]byte{"d/a.wav": wavOf(1, 1, 16, 8000, pcm), "d/b.wav": wavOf(1, 1, 16, 8000, pcm[:100])}, Options{Length: 60}, "d: b.wav: 50 samples, shorter than a piece of 60"},
		{"d", map[string][]byte{"d/a.wav": wavOf(1, 1, 16, 8000, pcm), "d/b.wav": wavOf(1, 2, 16, 8000, pcm)}, Options{Length: 50}, "b.wav has 2 channels"},
		{"x.npy", map[string][]byte{"x.npy": images}, Options{Length: 7}, "not sequences of length 7"},
		{"x.npy", map[string][]byte{"x.npy": npyFile(1, npyDict("<f4", false, "(1, 2)"), encode("<f4", 1, 2))}, Options{Resize: 7}, "cannot be resized"},
		{"icons", nil, Options{}, `set "icons" unknown`},
	}
}

// Every bad input is one line that says what is wrong, and names the file.
func TestBadInputs(t *testing.T) {
	for _, c := range badInputs(t) {
		dir := write(t, c.files)
		if c.name == "empty" {
			if err := os.Mkdir(filepath.Join(dir, "empty"), 0o777); err != nil {
				t.Fatal(err)
			}
		}
		path := filepath.Join(dir, c.name)
		if c.name == "icons" {
			path = c.name
		}
		c.o.Cache = NoCache
		s, err := LoadWith(path, c.o)
		if err == nil || s != nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s, %v: %v, want %q", c.name, c.files != nil, err, c.want)
		}
	}
}

// A folder, an archive or a file that changes while it is read is an error.
func TestChangesWhileRead(t *testing.T) {
	small := encodePNG(t, image.NewGray(image.Rect(0, 0, 2, 2)))
	dir := t.TempDir()
	sources := writeEverywhere(t, dir, map[string][]byte{"a.png": small, "b.png": small})
	for _, name := range []string{"folder", "a.zip", "a.tar", "a.tar.gz"} {
		l, err := list(sources[name])
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
		changed := sources[name]
		if name == "folder" {
			changed = filepath.Join(changed, "b.png")
		}
		b, err := os.ReadFile(changed)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(changed, append(b, 0), 0o666); err != nil {
			t.Fatal(err)
		}
		_, err = readPictures(l, Options{Cache: NoCache})
		if !errors.Is(err, files.ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
		l.Close()
	}

	path := filepath.Join(dir, "x.csv")
	if err := os.WriteFile(path, []byte(strings.Repeat("1,2,3\n", 1<<18)), 0o666); err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	done := make(chan bool)
	go func() {
		defer close(done)
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return
		}
		defer f.Close()
		for !stop.Load() {
			f.WriteString("4,5,6\n")
			time.Sleep(time.Millisecond)
		}
	}()
	time.Sleep(5 * time.Millisecond)
	_, err := byPath(path, Options{})
	stop.Store(true)
	<-done
	if !errors.Is(err, files.ErrChanged) {
		t.Errorf("a table that grows: %v", err)
	}
}

// Sounds are cut into pieces, with the classes of their folders; a claim of endless data, as pipes leave it, means all there is.
func TestSounds(t *testing.T) {
	pcm := make([]byte, 0, 40)
	for i := range 20 {
		pcm = binary.LittleEndian.AppendUint16(pcm, uint16(int16(1000*i-9000)))
	}
	endless := wavOf(1, 1, 16, 8000, pcm)
	binary.LittleEndian.PutUint32(endless[40:], 0x7ffff000)
	dir := write(t, map[string][]byte{
		"one/a.wav": wavOf(1, 1, 16, 8000, pcm), "two/b.wav": endless,
		"stereo.wav": wavOf(1, 2, 16, 8000, pcm),
	})
	s, err := LoadWith(filepath.Join(dir, "stereo.wav"), Options{Length: 3})
	if err != nil || !slices.Equal(s.Shape, []int{3, 2}) || s.N() != 3 || s.X[1] != -8000./32768 || s.SampleRate != 8000 {
		t.Errorf("stereo: %v, %v", s, err)
	}
	if err := os.Remove(filepath.Join(dir, "stereo.wav")); err != nil {
		t.Fatal(err)
	}
	s, err = LoadWith(dir, Options{Length: 8})
	if err != nil || !slices.Equal(s.Shape, []int{8, 1}) || s.N() != 4 || !slices.Equal(s.Labels, []int32{0, 0, 1, 1}) ||
		!slices.Equal(s.ClassNames, []string{"one", "two"}) || s.X[8] != -1000./32768 || s.X[16] != -9000./32768 {
		t.Errorf("folder: %v, %v", s, err)
	}
	if s, err = LoadWith(dir, Options{}); err != nil || s.N() != 2 || s.D != 20 {
		t.Errorf("whole files: %v, %v", s, err)
	}
}

// CIFAR's planes become pixels, alone and joined from a folder, with the names of the classes.
func TestCIFAR(t *testing.T) {
	record := func(label byte, red, green, blue byte) []byte {
		b := []byte{label}
		for _, v := range []byte{red, green, blue} {
			for k := range 1024 {
				b = append(b, v+byte(k%32))
			}
		}
		return b
	}
	names := "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n"
	dir := write(t, map[string][]byte{
		"data_batch_2.bin": record(9, 4, 5, 6), "data_batch_1.bin": append(record(3, 1, 2, 3), record(0, 7, 8, 9)...),
		"test_batch.bin": record(1, 0, 0, 0), "batches.meta.txt": []byte(names),
	})
	s, err := byPath(filepath.Join(dir, "data_batch_2.bin"), Options{})
	if err != nil || s.N() != 1 || !slices.Equal(s.Bytes[3*33:3*34], []byte{5, 6, 7}) || s.Labels[0] != 9 || s.Classes != 10 {
		t.Errorf("one batch: %v", err)
	}
	s, err = LoadWith(dir, Options{})
	if err != nil || s.N() != 3 || !slices.Equal(s.Labels, []int32{3, 0, 9}) || s.Classes != 10 || s.ClassNames[9] != "truck" ||
		!slices.Equal(s.Shape, []int{32, 32, 3}) || !slices.Equal(s.Bytes[:6], []byte{1, 2, 3, 2, 3, 4}) {
		t.Errorf("folder: %v, %v", s.Labels, err)
	}
	hundred := append([]byte{5, 99}, record(0, 1, 2, 3)[1:]...)
	s, err = byPath(filepath.Join(write(t, map[string][]byte{"train.bin": hundred}), "train.bin"), Options{})
	if err != nil || s.Labels[0] != 99 || s.Classes != 100 {
		t.Errorf("CIFAR-100: %v", err)
	}
}
