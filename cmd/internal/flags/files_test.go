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
	if err := os.WriteFile(at("net"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(at("net"), at("link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, at("loop")); err != nil {
		t.Fatal(err)
	}
	inputs := []File{{"checkpoint", at("net")}, {"data", "swissroll"}}
	for _, c := range []struct{ out, plot, want string }{
		{at("x.npy"), at("x.png"), ""},
		{at("x.npy"), "", ""},
		{at("net"), "", "would replace the file of --checkpoint"},
		{at("link"), "", "would replace the file of --checkpoint"},
		{at("x.npy"), at("loop/net"), "--plot " + at("loop/net") + " would replace the file of --checkpoint"},
		{at("x.npy"), at("x.npy"), "would replace the file of --out"},
		{at("x.npy"), at("loop/x.npy"), "would replace the file of --out"},
		{at("none/x.npy"), "", "there is no folder " + at("none")},
		{at("net/x.npy"), "", "there is no folder " + at("net")},
		{at("x.npy"), dir, "is a directory"},
	} {
		err := CheckOutputs([]File{{"out", c.out}, {"plot", c.plot}}, inputs)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("out %s, plot %s: error %v, want %q", c.out, c.plot, err, c.want)
		}
	}
}
