package disk

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestFree(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("not known on this system")
	}
	dir := t.TempDir()
	if b, ok := Free(filepath.Join(dir, "new.npy")); !ok || b <= 0 {
		t.Errorf("%g bytes, known: %t", b, ok)
	}
	for _, path := range []string{filepath.Join(dir, "none", "new.npy"), os.DevNull} {
		if b, ok := Free(path); ok {
			t.Errorf("%s has %g bytes", path, b)
		}
	}
}
