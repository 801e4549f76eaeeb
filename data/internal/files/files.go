// Package files lists and reads the files of a folder or an archive (.zip, .tar, .tar.gz) in the order of their paths. What it
// lists is the same whichever of them holds the files.
//
// Archives are untrusted: paths that leave the archive, links, entries that come twice, and entries larger than MaxFile are
// errors. Files that change between the listing and the reading are an error too.
package files

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// MaxFile bounds the size of one file in bytes.
const MaxFile = 1 << 30

// maxFiles bounds the number of files.
const maxFiles = 1 << 26

// File is a file of a Set.
type File struct {
	Path string // relative, with slashes
	Size int64
}

// Set is what a folder or an archive holds, without hidden files (.DS_Store, __MACOSX). Close it.
type Set struct {
	Name  string // of the folder or archive
	Files []File // in the order of their paths, as bytes compare
	// Stamp changes when the folder or the archive does: it is made of names, sizes and times of change. Newest is the
	// latest of these times.
	Stamp  [sha256.Size]byte
	Newest time.Time

	reader interface {
		// read returns the contents of file i; it may use buf.
		read(i int, buf []byte) ([]byte, error)
		close() error
	}
	stream func(yield func(path string, size int64, read func(buf []byte) ([]byte, error)) error) error // nil: read is to be used
	again  func() ([sha256.Size]byte, error)
}

// IsArchive reports whether a file name is that of an archive.
func IsArchive(name string) bool { return archiveKind(name) != "" }

func archiveKind(name string) string {
	name = strings.ToLower(name)
	for _, ext := range []string{".zip", ".tar", ".tar.gz", ".tgz"} {
		if strings.HasSuffix(name, ext) {
			return ext
		}
	}
	return ""
}

// Open lists a folder or an archive.
func Open(name string) (*Set, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	var s *Set
	switch kind := archiveKind(name); {
	case st.IsDir():
		s, err = openFolder(name)
	case !st.Mode().IsRegular():
		return nil, fmt.Errorf("%s is neither a folder nor a regular file", name)
	case kind == ".zip":
		s, err = openZip(name)
	case kind != "":
		s, err = openTar(name, kind != ".tar")
	default:
		return nil, fmt.Errorf("%s is neither a folder nor an archive; have .zip, .tar, .tar.gz, .tgz", name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	s.Name = name
	return s, nil
}

// Close frees what the set holds open.
func (s *Set) Close() error {
	if s.reader == nil {
		return nil
	}
	return s.reader.close()
}

// ErrChanged is wrapped by errors about a file or an archive that changes while it is read.
var ErrChanged = errors.New("changed while it was read; read it again when nothing writes to it")

// Unchanged fails if the folder or the archive is no longer what was listed.
func (s *Set) Unchanged() error {
	stamp, err := s.again()
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	if stamp != s.Stamp {
		return fmt.Errorf("%s %w", s.Name, ErrChanged)
	}
	return nil
}

// hidden reports whether a path is one that systems leave behind, such as .DS_Store or __MACOSX/x.png.
func hidden(p string) bool {
	for part := range strings.SplitSeq(p, "/") {
		if strings.HasPrefix(part, ".") || part == "__MACOSX" || part == "Thumbs.db" {
			return true
		}
	}
	return false
}

// entryPath checks the path of an entry of an archive and brings it into its plain form.
func entryPath(p string) (string, error) {
	clean := path.Clean(strings.TrimPrefix(p, "./"))
	if !filepath.IsLocal(clean) || strings.ContainsAny(clean, "\\\x00") || strings.Contains("/"+p+"/", "/../") || path.IsAbs(p) {
		return "", fmt.Errorf("entry %q leaves the archive; want relative paths, without \"..\" in them", p)
	}
	return clean, nil
}

// add appends a file.
func (s *Set) add(p string, size int64) error {
	if size < 0 || size > MaxFile {
		return fmt.Errorf("%s has %d bytes; at most 2³⁰ are read", p, size)
	}
	if len(s.Files) == maxFiles {
		return fmt.Errorf("more than 2²⁶ files")
	}
	s.Files = append(s.Files, File{p, size})
	return nil
}

// order sorts the files by path and returns where each was before. A path that comes twice is an error.
func (s *Set) order() ([]int, error) {
	at := make([]int, len(s.Files))
	for i := range at {
		at[i] = i
	}
	slices.SortFunc(at, func(a, b int) int { return cmp.Compare(s.Files[a].Path, s.Files[b].Path) })
	sorted := make([]File, len(at))
	for i, k := range at {
		sorted[i] = s.Files[k]
		if i > 0 && sorted[i].Path == sorted[i-1].Path {
			return nil, fmt.Errorf("entry %q comes twice", sorted[i].Path)
		}
	}
	s.Files = sorted
	return at, nil
}

// archiveStamp is the stamp of an archive: that of its file.
func (s *Set) archiveStamp(f *os.File) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	name := f.Name()
	s.Stamp, s.Newest = sha256.Sum256(appendStat(nil, st)), lastChange(st)
	s.again = func() ([sha256.Size]byte, error) {
		st, err := os.Stat(name)
		if err != nil {
			return [sha256.Size]byte{}, err
		}
		return sha256.Sum256(appendStat(nil, st)), nil
	}
	return nil
}

// room is buf with the length n, or a new slice if it is too small.
func room(buf []byte, n int64) []byte {
	if int64(cap(buf)) < n {
		return make([]byte, n, n+n/4)
	}
	return buf[:n]
}
