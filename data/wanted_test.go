package data

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// npzOf writes an .npz file of arrays, each a file of its own by name, and returns its path.
func npzOf(t *testing.T, names []string, arrays ...[]byte) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i, name := range names {
		w, err := z.Create(name + ".npy")
		if err == nil {
			_, err = w.Write(arrays[i])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a.npz")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Labels that nobody wants are not read: they may be real numbers, or out of range.
func TestUnwantedLabels(t *testing.T) {
	x := npyFile(1, npyDict("<f8", false, "(2, 3)"), encode("<f8", 1, 2, 3, 4, 5, 6))
	y := npyFile(1, npyDict("<f8", false, "(2,)"), encode("<f8", 0.5, 0.25))
	path := npzOf(t, []string{"x", "y"}, x, y)
	if _, err := LoadWith(path, Options{}); err == nil || !strings.Contains(err.Error(), "--labels none") {
		t.Errorf("labels that are not whole: %v", err)
	}
	if s, err := LoadWith(path, Options{Labels: NoLabels}); err != nil || s.Labels != nil || s.N() != 2 {
		t.Errorf("without labels: %v", err)
	}
	dir := t.TempDir()
	own := filepath.Join(dir, "y.txt")
	bin := filepath.Join(dir, "a.bin")
	for name, text := range map[string][]byte{own: []byte("1\n0\n"), bin: bytes.Repeat([]byte{77}, 2*3073)} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{path, bin} {
		if s, err := LoadWith(name, Options{Labels: own}); err != nil || !slices.Equal(s.Labels, []int32{1, 0}) || s.Classes != 2 {
			t.Errorf("%s with labels of its own: %v", name, err)
		}
	}
	if s, err := LoadWith(bin, Options{Labels: NoLabels}); err != nil || s.Labels != nil || s.Classes != 0 {
		t.Errorf("a batch without labels: %v", err)
	}
	// A lone array is the samples, whatever its name.
	alone := npzOf(t, []string{"y"}, npyFile(1, npyDict("<f8", false, "(2,)"), encode("<f8", 1, 0)))
	if s, err := LoadWith(alone, Options{}); err != nil || s.Labels != nil || s.N() != 2 {
		t.Errorf("a lone array y: %v, %v", s, err)
	}
}

// The images of CIFAR's batches are brought to size like any other, from a folder as from an archive.
func TestBatchesResized(t *testing.T) {
	batch := bytes.Repeat([]byte{3}, 2*3073)
	for name, path := range writeEverywhere(t, t.TempDir(), map[string][]byte{"c/data_batch_1.bin": batch, "c/data_batch_2.bin": batch}) {
		s, err := LoadWith(path, Options{Resize: 8})
		if err != nil || !slices.Equal(s.Shape, []int{8, 8, 3}) || s.N() != 4 || len(s.Bytes) != 4*192 || len(s.Labels) != 4 {
			t.Errorf("%s: %v, %+v", name, err, s)
		}
	}
}

// A member that claims more compressed bytes than the archive has is refused before room is made for it, in both readers of archives.
func TestForgedCompressedSize(t *testing.T) {
	dir := t.TempDir()
	for name, member := range map[string]string{"a.npz": "x.npy", "a.zip": "a.png"} {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		w, err := z.CreateRaw(&zip.FileHeader{Name: member, Method: zip.Deflate, CompressedSize64: 1 << 55, UncompressedSize64: 1 << 29})
		if err == nil {
			_, err = w.Write(make([]byte, 100))
		}
		if err == nil {
			err = z.Close()
		}
		path := filepath.Join(dir, name)
		if err == nil {
			err = os.WriteFile(path, b.Bytes(), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := LoadWith(path, Options{Cache: NoCache}); err == nil || !strings.Contains(err.Error(), "36028797018963968 compressed bytes") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
