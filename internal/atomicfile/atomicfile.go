// Package atomicfile writes files that exist whole or not at all: a temporary file in the same folder is written,
// synced and renamed over the target. A crash, a full disk or a cancelled run leaves the previous file as it was.
//
// Errors name the target path and the cause; they wrap the operating system's error, so errors.Is works.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
)

// File is a file being written. It becomes visible under its name at Commit; Abort discards it. One of the two must be
// called; calling Abort after Commit does nothing, so `defer f.Abort()` is the usual pattern.
type File struct {
	path string // what the caller asked for, for messages
	dst  string // where Commit renames to: path with symbolic links resolved
	f    *os.File
	err  error // the first failed write
	done bool
}

var errDone = errors.New("already committed or aborted")

// serial numbers the temporary files of one process.
var serial atomic.Uint64

// open holds the names of all temporary files there are.
var open sync.Map

// RemoveTemporary removes all temporary files of the process, for one that ends without a chance for each to be aborted. What
// is written after that fails or is lost.
func RemoveTemporary() {
	open.Range(func(name, _ any) bool {
		_ = os.RemoveAll(name.(string)) // a file, or a folder with what is in it
		return true
	})
}

// remove is os.Remove of a temporary file.
func remove(name string) {
	_ = os.Remove(name)
	open.Delete(name)
}

// Create starts a new file that will replace path. The folder must exist; path itself need not, but if it does it
// must be a regular file (or a link to one).
func Create(path string) (*File, error) {
	if path == "" {
		return nil, errors.New("write: empty file name")
	}
	dst := path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		dst = real
	}
	if st, err := os.Stat(dst); err == nil && !st.Mode().IsRegular() {
		if st.IsDir() {
			return nil, fmt.Errorf("write %s: is a directory", path)
		}
		return nil, fmt.Errorf("write %s: not a regular file (%s); choose a new file name", path, st.Mode().Type())
	}
	dir, base := filepath.Split(dst)
	dir = filepath.Clean(dir) // "" becomes "."
	for range 1000 {
		tmp := filepath.Join(dir, fmt.Sprintf(".%s.tmp-%d-%d", base, os.Getpid(), serial.Add(1)))
		f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if errors.Is(err, fs.ErrExist) {
			continue // left behind by a crashed process with our id
		}
		if err != nil {
			return nil, createError(path, dir, err)
		}
		if !claim(f) {
			_ = f.Close()
			continue
		}
		open.Store(tmp, nil)
		return &File{path: path, dst: dst, f: f}, nil
	}
	return nil, fmt.Errorf("write %s: folder %s is full of stale temporary files of this name", path, dir)
}

// createError says what is wrong with the folder when a file cannot be created in it.
func createError(path, dir string, err error) error {
	st, serr := os.Stat(dir)
	switch {
	case errors.Is(serr, fs.ErrNotExist):
		return fmt.Errorf("write %s: folder %s does not exist: %w", path, dir, cause(err))
	case serr == nil && !st.IsDir():
		return fmt.Errorf("write %s: %s is not a folder: %w", path, dir, cause(err))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("write %s: may not create files in folder %s: %w", path, dir, cause(err))
	}
	return fmt.Errorf("write %s: %w", path, cause(err))
}

// cause strips the temporary file's name from an error of package os.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	var le *os.LinkError
	if errors.As(err, &le) {
		return le.Err
	}
	return err
}

// Path is the name the file will have.
func (f *File) Path() string { return f.path }

func (f *File) fail(err error) error {
	err = fmt.Errorf("write %s: %w", f.path, cause(err))
	if f.err == nil {
		f.err = err
	}
	return err
}

// Write appends p.
func (f *File) Write(p []byte) (int, error) {
	if f.done {
		return 0, f.fail(errDone)
	}
	n, err := f.f.Write(p)
	if err != nil {
		return n, f.fail(err)
	}
	return n, nil
}

// WriteAt overwrites part of the file, such as a header whose contents are known last.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	if f.done {
		return 0, f.fail(errDone)
	}
	n, err := f.f.WriteAt(p, off)
	if err != nil {
		return n, f.fail(err)
	}
	return n, nil
}

// Commit syncs the file and gives it its name. The file keeps its lock until it has it (see RemoveStale). After a failed write it discards the file and returns that error, so
// only the result of Commit says whether the file is there and complete.
func (f *File) Commit() error {
	if f.done {
		return fmt.Errorf("write %s: %w", f.path, errDone)
	}
	if f.err != nil {
		err := f.err
		f.Abort()
		return err
	}
	if err := f.f.Sync(); err != nil {
		f.Abort()
		return f.fail(err)
	}
	f.done = true
	tmp := f.f.Name()
	if runtime.GOOS == "windows" { // renames no open files
		if err := f.f.Close(); err != nil {
			remove(tmp)
			return f.fail(err)
		}
	}
	if err := os.Rename(tmp, f.dst); err != nil {
		_ = f.f.Close()
		remove(tmp)
		return f.fail(err)
	}
	_ = f.f.Close() // nothing is left to be written: the file is synced
	open.Delete(tmp)
	syncDir(filepath.Dir(f.dst))
	return nil
}

// Abort removes the temporary file. After Commit or Abort it does nothing.
func (f *File) Abort() {
	if f.done {
		return
	}
	f.done = true
	_ = f.f.Close()
	remove(f.f.Name())
}

// syncDir makes the rename durable where the system allows a folder to be synced; the file is complete either way.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}

// WriteFile writes b to path, whole or not at all.
func WriteFile(path string, b []byte) error {
	f, err := Create(path)
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := f.Write(b); err != nil {
		return err
	}
	return f.Commit()
}
