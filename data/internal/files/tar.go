package files

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxRatio bounds how far a .tar.gz may expand, above a minimum: image files expand about five times, a file made to exhaust memory a thousand times.
const (
	maxRatio = 200
	minLimit = 64 << 20
)

// tarred reads the entries of a plain tar archive where they lie.
type tarred struct {
	f      *os.File
	files  []File
	starts []int64
}

func openTar(name string, zipped bool) (_ *Set, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	s := &Set{}
	if err := s.archiveStamp(f); err != nil {
		return nil, err
	}
	t := &tarred{f: f}
	add := func(p string, size int64, _ func([]byte) ([]byte, error)) error {
		if !zipped {
			at, err := f.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			t.starts = append(t.starts, at)
		}
		return s.add(p, size)
	}
	if err := eachEntry(f, zipped, add); err != nil {
		return nil, err
	}
	at, err := s.order()
	if err != nil {
		return nil, err
	}
	s.reader = t
	if zipped {
		s.stream = func(yield func(string, int64, func([]byte) ([]byte, error)) error) error {
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				return err
			}
			return eachEntry(f, true, yield)
		}
		return s, nil
	}
	sorted := make([]int64, len(at))
	for i, k := range at {
		sorted[i] = t.starts[k]
	}
	t.files, t.starts = s.Files, sorted
	return s, nil
}

// eachEntry calls yield with the files of a tar archive in the order that they lie in it.
func eachEntry(f *os.File, zipped bool, yield func(p string, size int64, read func([]byte) ([]byte, error)) error) error {
	var r io.Reader = f // tar seeks over what is not read, so that the position in the file is that of the entry
	if zipped {
		st, err := f.Stat()
		if err != nil {
			return err
		}
		z, err := gzip.NewReader(bufio.NewReaderSize(f, 1<<18))
		if err != nil {
			return fmt.Errorf("gzip: %w", unexpected(err))
		}
		r = &limited{z, max(maxRatio*st.Size(), minLimit)}
	}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if errors.Is(err, tar.ErrInsecurePath) {
			return fmt.Errorf("entry %q leaves the archive; want relative paths, without \"..\" in them", h.Name)
		}
		if errors.Is(err, tar.ErrHeader) {
			return errors.New("not a tar archive, or a damaged one")
		}
		if err != nil {
			return unexpected(err)
		}
		p, err := entryPath(h.Name)
		if err != nil {
			return err
		}
		switch h.Typeflag {
		case tar.TypeReg:
		case tar.TypeDir, tar.TypeXGlobalHeader:
			continue
		case tar.TypeSymlink, tar.TypeLink:
			return fmt.Errorf("entry %q is a link; want files and folders only", h.Name)
		default:
			return fmt.Errorf("entry %q is of type %q; want files and folders only", h.Name, h.Typeflag)
		}
		if hidden(p) {
			continue
		}
		for key := range h.PAXRecords {
			if strings.HasPrefix(key, "GNU.sparse.") {
				return fmt.Errorf("entry %q is a sparse file; want plain files", h.Name)
			}
		}
		read := func(buf []byte) ([]byte, error) {
			b, err := readAll(tr, h.Size, h.Size, buf)
			return b, unexpected(err)
		}
		if err := yield(p, h.Size, read); err != nil {
			return err
		}
	}
}

// unexpected says in words that a file ends early.
func unexpected(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF {
		return errors.New("truncated: the archive ends within an entry")
	}
	return err
}

// limited is a reader with an error once a gzip stream has expanded too far.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("expands to more than %d times its size; unpack it first if that is meant", maxRatio)
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err
}

func (t *tarred) read(i int, buf []byte) ([]byte, error) {
	buf = room(buf, t.files[i].Size)
	if _, err := t.f.ReadAt(buf, t.starts[i]); err != nil {
		return nil, unexpected(err)
	}
	return buf, nil
}

func (t *tarred) close() error { return t.f.Close() }
