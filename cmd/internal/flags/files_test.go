package flags

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckOutputs(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("net.png"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(at("net.png"), at("link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, at("loop")); err != nil {
		t.Fatal(err)
	}
	inputs := []File{{Name: "checkpoint", Path: at("net.png")}, {Name: "data", Path: "swissroll"}}
	for _, c := range []struct{ out, plot, want string }{
		{at("x.npy"), at("x.png"), ""},
		{at("x.npy"), "", ""},
		{at("net.png"), "", "would replace the file of --checkpoint"},
		{at("link"), "", "would replace the file of --checkpoint"},
		{at("x.npy"), at("loop/net.png"), "--plot " + at("loop/net.png") + " would replace the file of --checkpoint"},
		{at("x.png"), at("x.png"), "would replace the file of --out"},
		{at("x.png"), at("loop/x.png"), "would replace the file of --out"},
		{at("x.npy"), at("x.PNG"), ""},
		{at("x.npy"), at("x.tar.jpg"), "--plot " + at("x.tar.jpg") + ": pictures are PNG files; call it " + at("x.tar.png")},
		{at("x.npy"), at("x"), "call it " + at("x.png")},
		{at("none/x.npy"), "", "there is no folder " + at("none")},
		{at("net.png/x.npy"), "", "there is no folder " + at("net.png")},
		{dir, "", "is a directory"},
	} {
		err := CheckOutputs([]File{{Name: "out", Path: c.out}, {Name: "plot", Path: c.plot, Picture: true}}, inputs)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("out %s, plot %s: error %v, want %q", c.out, c.plot, err, c.want)
		}
	}
}

// A folder that takes no files is refused before the work, not after it.
func TestReadOnlyFolder(t *testing.T) {
	dir := t.TempDir()
	locked := filepath.Join(dir, "locked")
	if err := os.Mkdir(locked, 0o555); err != nil {
		t.Fatal(err)
	}
	if f, err := os.Create(filepath.Join(locked, "x")); err == nil { // root may
		_ = f.Close()
		if locked = "/proc"; os.WriteFile("/proc/hbar-test", nil, 0o666) == nil {
			t.Skip("no folder here is closed to this user")
		}
	}
	if _, err := os.Stat(locked); err != nil {
		t.Skip(err)
	}
	path := filepath.Join(locked, "x.npy")
	if err := CheckOutputs([]File{{Name: "out", Path: path}}, nil); err == nil || !strings.HasPrefix(err.Error(), "--out: write "+path+": ") {
		t.Errorf("error %v", err)
	}
	if err := CheckOutputs([]File{{Name: "out", Path: filepath.Join(dir, "x.npy")}, {Name: "json", Path: os.DevNull}}, nil); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the check leaves %v, %v", entries, err)
	}
}
