package atomicfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Dir is a folder being filled, which appears under its name at Commit. One of Commit and Abort must be called.
type Dir struct {
	path, tmp string
	done      bool
}

// CreateDir starts a folder of the name path, which must not exist yet, or be an empty folder.
func CreateDir(path string) (*Dir, error) {
	path = filepath.Clean(path)
	switch entries, err := os.ReadDir(path); {
	case err == nil && len(entries) > 0:
		return nil, fmt.Errorf("write %s: the folder holds files already; name a new one", path)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("write %s: %w", path, cause(err))
	}
	parent, base := filepath.Dir(path), filepath.Base(path)
	for range 1000 {
		tmp := filepath.Join(parent, fmt.Sprintf(".%s.tmp-%d-%d", base, os.Getpid(), serial.Add(1)))
		err := os.Mkdir(tmp, 0o777)
		if errors.Is(err, os.ErrExist) {
			continue // left behind by a crashed process with our id
		}
		if err != nil {
			return nil, createError(path, parent, err)
		}
		open.Store(tmp, nil)
		return &Dir{path: path, tmp: tmp}, nil
	}
	return nil, fmt.Errorf("write %s: folder %s is full of stale temporary folders of this name", path, parent)
}

// Path is the name the folder will have.
func (d *Dir) Path() string { return d.path }

// WriteFile writes a file of the folder and syncs it: after a crash the folder must not have its name without what is in it. It
// may be called from several goroutines.
func (d *Dir) WriteFile(name string, b []byte) error {
	f, err := os.OpenFile(filepath.Join(d.tmp, name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err == nil {
		_, err = f.Write(b)
		if err == nil {
			err = f.Sync()
		}
		if e := f.Close(); err == nil {
			err = e
		}
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Join(d.path, name), cause(err))
	}
	return nil
}

// Commit gives the folder its name.
func (d *Dir) Commit() error {
	if d.done {
		return fmt.Errorf("write %s: %w", d.path, errDone)
	}
	syncDir(d.tmp)        // the names of the files, before the folder has its own
	_ = os.Remove(d.path) // an empty one
	if err := os.Rename(d.tmp, d.path); err != nil {
		d.Abort()
		return fmt.Errorf("write %s: %w", d.path, cause(err))
	}
	d.done = true
	open.Delete(d.tmp)
	syncDir(filepath.Dir(d.path))
	return nil
}

// Abort removes what was written. After Commit or Abort it does nothing.
func (d *Dir) Abort() {
	if d.done {
		return
	}
	d.done = true
	_ = os.RemoveAll(d.tmp)
	open.Delete(d.tmp)
}
