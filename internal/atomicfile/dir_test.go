package atomicfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A folder appears whole at Commit, and not at all after Abort; one that holds files is not touched.
func TestDir(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	d, err := CreateDir(path + "/")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.WriteFile("a", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the folder is visible before Commit")
	}
	if err := d.Commit(); err != nil {
		t.Fatal(err)
	}
	d.Abort()
	if b, err := os.ReadFile(filepath.Join(path, "a")); err != nil || string(b) != "1" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := CreateDir(path); err == nil || !strings.Contains(err.Error(), "holds files already") {
		t.Errorf("a folder with files: %v", err)
	}
	if _, err := CreateDir(filepath.Join(path, "a")); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("a file: %v", err)
	}
	if _, err := CreateDir(filepath.Join(dir, "none", "x")); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("no parent: %v", err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, commit := range []bool{false, true} {
		d, err := CreateDir(empty)
		if err == nil {
			err = d.WriteFile("b", nil)
		}
		if err == nil && commit {
			err = d.Commit()
		}
		if err != nil {
			t.Fatal(err)
		}
		d.Abort()
		if _, err := os.Stat(filepath.Join(empty, "b")); (err == nil) != commit {
			t.Errorf("commit %v: %v", commit, err)
		}
	}
	d, err = CreateDir(filepath.Join(dir, "killed"))
	if err == nil {
		err = d.WriteFile("c", nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	RemoveTemporary()
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("left %v", left)
	}
}
