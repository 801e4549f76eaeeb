package filelock

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestTry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	a, b := open(), open()
	err := Try(a)
	if errors.Is(err, ErrUnsupported) {
		t.Skip("no locks on this system: nothing to test")
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := Try(b); !errors.Is(err, ErrHeld) {
		t.Errorf("a second lock: %v", err)
	}
	a.Close()
	if err := Try(b); err != nil {
		t.Errorf("a lock that was given back: %v", err)
	}
}
