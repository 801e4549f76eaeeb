package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func entries(t *testing.T, dir string) []string {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range es {
		names = append(names, e.Name())
	}
	return names
}

func TestCommitReplacesWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.bin")
	if err := WriteFile(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	f, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("?ew")); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "old" {
		t.Fatalf("before Commit the file holds %q, want the old contents", b)
	}
	if _, err := f.WriteAt([]byte("n"), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	f.Abort() // must not touch the committed file
	if b, _ := os.ReadFile(path); string(b) != "new" {
		t.Fatalf("after Commit the file holds %q, want \"new\"", b)
	}
	if got := entries(t, dir); len(got) != 1 {
		t.Fatalf("folder holds %v, want only a.bin", got)
	}
	if err := f.Commit(); err == nil {
		t.Fatal("second Commit succeeded")
	}
	if _, err := f.Write([]byte("x")); err == nil {
		t.Fatal("Write after Commit succeeded")
	}
}

func TestAbortLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.bin")
	if err := WriteFile(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	f, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("new")); err != nil {
		t.Fatal(err)
	}
	f.Abort()
	if b, _ := os.ReadFile(path); string(b) != "old" {
		t.Fatalf("after Abort the file holds %q, want the old contents", b)
	}
	if got := entries(t, dir); len(got) != 1 {
		t.Fatalf("folder holds %v, want only a.bin", got)
	}
}

// A process that ends at once leaves nothing behind, and takes away no more than that.
func TestRemoveTemporary(t *testing.T) {
	dir := t.TempDir()
	var files []*File
	for _, name := range []string{"kept", "lost", "aborted"} {
		f, err := Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	if err := files[0].Commit(); err != nil {
		t.Fatal(err)
	}
	files[2].Abort()
	RemoveTemporary()
	if got := entries(t, dir); len(got) != 1 || got[0] != "kept" {
		t.Errorf("folder holds %v, want kept alone", got)
	}
	if err := files[1].Commit(); err == nil {
		t.Error("a file whose temporary file is gone was committed")
	}
	left := 0
	open.Range(func(any, any) bool { left++; return true })
	if left != 0 {
		t.Errorf("%d temporary files are still remembered", left)
	}
}

// The error of a failed write comes back from Commit too, and the old file stays.
func TestFailedWriteFailsCommit(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.bin")
	if err := WriteFile(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	f, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	tmp := f.f.Name()
	ro, err := os.Open(tmp) // a read-only handle: writes fail as they would on a full disk
	if err != nil {
		t.Fatal(err)
	}
	f.f.Close()
	f.f = ro
	if _, err := f.Write([]byte("x")); err == nil || !strings.Contains(err.Error(), path) {
		t.Fatalf("Write on a failing file: %v, want an error naming %s", err, path)
	}
	if err := f.Commit(); err == nil {
		t.Fatal("Commit after a failed Write succeeded")
	}
	if b, _ := os.ReadFile(path); string(b) != "old" {
		t.Fatalf("the file holds %q, want the old contents", b)
	}
	if got := entries(t, dir); len(got) != 1 {
		t.Fatalf("folder holds %v, want only a.bin", got)
	}
}

func TestErrorsNamePathAndCause(t *testing.T) {
	dir := t.TempDir()
	if err := WriteFile(filepath.Join(dir, "plain"), nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, want string }{
		{filepath.Join(dir, "missing", "a.npy"), "does not exist"},
		{filepath.Join(dir, "plain", "a.npy"), "not a folder"},
		{dir, "is a directory"},
		{"", "empty file name"},
	} {
		err := WriteFile(c.path, []byte("x"))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path) {
			t.Errorf("WriteFile(%q): %v, want the path and %q", c.path, err, c.want)
		}
	}
	if err := WriteFile(filepath.Join(dir, "missing", "a"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing folder: %v does not wrap fs.ErrNotExist", err)
	}
	err := createError("out/a.npy", dir, &fs.PathError{Op: "open", Path: "tmp", Err: syscall.EACCES})
	if !strings.Contains(err.Error(), "may not create files") || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("permission: %v", err)
	}
	err = (&File{path: "a.npy"}).fail(&fs.PathError{Op: "write", Path: "tmp", Err: syscall.ENOSPC})
	if !strings.Contains(err.Error(), "a.npy") || !errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), "tmp") {
		t.Errorf("disk full: %v", err)
	}
}

func TestSymlinkAndDeviceTargets(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links and devices as on Unix")
	}
	dir := t.TempDir()
	real := filepath.Join(dir, "real")
	link := filepath.Join(dir, "link")
	if err := WriteFile(real, []byte("old")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(link, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(real); string(b) != "new" {
		t.Fatalf("the link's target holds %q, want \"new\"", b)
	}
	if err := WriteFile("/dev/null", []byte("x")); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Fatalf("writing over a device: %v, want a refusal", err)
	}
}

func TestModeFollowsUmask(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no umask")
	}
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "a")
	if err := WriteFile(path, nil); err != nil {
		t.Fatal(err)
	}
	want, _ := os.Stat(plain)
	got, _ := os.Stat(path)
	if got.Mode() != want.Mode() {
		t.Fatalf("mode %v, want %v as for any new file", got.Mode(), want.Mode())
	}
}

// Temporary files whose process is gone are removed; those that are being written stay, and so does all else.
func TestRemoveStale(t *testing.T) {
	dir := t.TempDir()
	put := func(name string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("12345"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{".a.npy.tmp-1-1", ".a.npy.tmp-999999-2", ".b.npy.tmp-1-1", ".a.npy.tmp", "a.npy", "a.npy.tmp-1-1"} {
		put(name)
	}
	f, err := Create(filepath.Join(dir, "a.npy"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Abort()
	if n, bytes := RemoveStale(dir, "a.npy"); n != 2 || bytes != 10 {
		t.Errorf("%d files of %d bytes removed, want 2 of 10", n, bytes)
	}
	if n, _ := RemoveStale(dir, ""); n != 1 {
		t.Errorf("%d files removed of all names, want 1", n)
	}
	if _, err := f.Write([]byte("whole")); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "a.npy")); string(b) != "whole" {
		t.Errorf("the file that was being written holds %q, %v", b, err)
	}
	left, _ := os.ReadDir(dir)
	if len(left) != 3 {
		t.Errorf("left: %v", left)
	}
}

// Processes that write and processes that clean do not get in each other's way.
func TestRemoveStaleRace(t *testing.T) {
	dir := t.TempDir()
	done := make(chan struct{})
	cleaned := make(chan struct{})
	go func() {
		defer close(cleaned)
		for {
			select {
			case <-done:
				return
			default:
				RemoveStale(dir, "")
			}
		}
	}()
	for range 200 {
		if err := WriteFile(filepath.Join(dir, "x"), []byte("whole")); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	<-cleaned
}
