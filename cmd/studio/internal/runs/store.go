package runs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
)

// Store is a folder of run folders. Its methods may be called concurrently.
type Store struct {
	dir  string
	mu   sync.Mutex
	logs map[string]*logFile
	uses uint64 // of logs, for the order in which they are forgotten

	sweeps map[string]sweepEntry
}

// Open checks that the folder is there.
func Open(dir string) (*Store, error) {
	r, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Store{dir: dir, logs: map[string]*logFile{}, sweeps: map[string]sweepEntry{}}, r.Close()
}

// Dir is the folder as it was given to Open.
func (s *Store) Dir() string { return s.dir }

// Path is the name of a file or folder below the store for a command line, as it would be written where Open was called.
func (s *Store) Path(name ...string) string {
	return filepath.Join(s.dir, filepath.FromSlash(path.Join(name...)))
}

// ErrName is a name that can be no file below the store.
var ErrName = errors.New("this is no name of a file or folder below the folder of runs")

// root opens the folder anew for each use: it may have been deleted and made again since.
func (s *Store) root() (*os.Root, error) {
	r, err := os.OpenRoot(s.dir)
	if err != nil {
		return nil, fmt.Errorf("the folder of runs cannot be read: %w", plain(err))
	}
	return r, nil
}

// plain is the reason of an error of package os without the path, which is the machine's business.
func plain(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// OpenFile opens a regular file below the store. name has forward slashes.
func (s *Store) OpenFile(name string) (*os.File, fs.FileInfo, error) {
	if !fs.ValidPath(name) || strings.ContainsAny(name, "\\\x00") {
		return nil, nil, fmt.Errorf("%.200q: %w", name, ErrName)
	}
	r, err := s.root()
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	wrong := func(err error) error { return fmt.Errorf("%.200s: %w", name, plain(err)) }
	// Before it is opened: opening a pipe waits for whoever writes to it.
	st, err := r.Stat(name)
	if err != nil {
		return nil, nil, wrong(err)
	}
	if !st.Mode().IsRegular() {
		return nil, nil, wrong(errors.New("not a regular file"))
	}
	f, err := r.Open(name)
	if err != nil {
		return nil, nil, wrong(err)
	}
	if st, err = f.Stat(); err == nil && !st.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		f.Close()
		return nil, nil, wrong(err)
	}
	return f, st, nil
}

// Stat describes a file below the store.
func (s *Store) Stat(name string) (fs.FileInfo, error) {
	f, st, err := s.OpenFile(name)
	if err != nil {
		return nil, err
	}
	return st, f.Close()
}

// readFile reads a file of at most most bytes.
func (s *Store) readFile(name string, most int64) ([]byte, error) {
	f, st, err := s.OpenFile(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st.Size() > most {
		return nil, fmt.Errorf("%s has %d bytes; at most %d are read", name, st.Size(), most)
	}
	b, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, plain(err))
	}
	return b, nil
}
