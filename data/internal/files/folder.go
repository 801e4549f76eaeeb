package files

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// folder reads the files of a folder.
type folder struct {
	root  string
	files []File
	stats [][]byte // of each file
}

func openFolder(root string) (*Set, error) {
	s := &Set{}
	stats, err := s.walk(root)
	if err != nil {
		return nil, err
	}
	at, err := s.order()
	if err != nil {
		return nil, err
	}
	sorted := make([][]byte, len(at))
	for i, k := range at {
		sorted[i] = stats[k]
	}
	s.Stamp = stampOf(s.Files, sorted)
	s.reader = &folder{root, s.Files, sorted}
	s.again = func() ([sha256.Size]byte, error) {
		t, err := openFolder(root)
		if err != nil {
			return [sha256.Size]byte{}, err
		}
		return t.Stamp, nil
	}
	return s, nil
}

// walk lists the regular files below root, and links to regular files. It returns a stamp of the state of each.
func (s *Set) walk(root string) (stats [][]byte, err error) {
	root, err = filepath.EvalSymlinks(root)
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == root {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		p := filepath.ToSlash(rel)
		if hidden(p) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return nil
		}
		st, err := d.Info()
		if err == nil && d.Type()&fs.ModeSymlink != 0 {
			if st, err = os.Stat(name); err == nil && st.IsDir() {
				return fmt.Errorf("%s is a link to a folder; these are not followed", p)
			}
		}
		if err != nil {
			return err
		}
		if !st.Mode().IsRegular() {
			return nil // a socket, a pipe
		}
		if t := lastChange(st); t.After(s.Newest) {
			s.Newest = t
		}
		stats = append(stats, appendStat(nil, st))
		return s.add(p, st.Size())
	})
	return stats, err
}

func stampOf(files []File, stats [][]byte) (stamp [sha256.Size]byte) {
	h := sha256.New()
	var n [8]byte
	for i, f := range files {
		binary.LittleEndian.PutUint64(n[:], uint64(len(f.Path)))
		h.Write(n[:])
		io.WriteString(h, f.Path)
		h.Write(stats[i])
	}
	h.Sum(stamp[:0])
	return stamp
}

func (d *folder) read(i int, buf []byte) ([]byte, error) {
	f, err := os.Open(filepath.Join(d.root, filepath.FromSlash(d.files[i].Path)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size := d.files[i].Size
	buf = room(buf, size+1) // one more shows whether the file has grown
	n, err := io.ReadFull(f, buf)
	if int64(n) != size {
		if err == nil || err == io.EOF || err == io.ErrUnexpectedEOF {
			err = ErrChanged
		}
		return nil, err
	}
	return buf[:n], nil
}

func (d *folder) close() error { return nil }

// Settled reports whether the last change lies so far back that another one would have another time.
func (s *Set) Settled() bool { return Settled(s.Newest) }

// Settled is Set.Settled for a single time of change. File systems keep times in ticks of some milliseconds.
func Settled(newest time.Time) bool { return time.Since(newest) > 100*time.Millisecond }
