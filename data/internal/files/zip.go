package files

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// zipped reads the entries of a zip archive.
type zipped struct {
	f       *os.File
	entries []*zip.File
}

func openZip(name string) (_ *Set, err error) {
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
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	r, err := zip.NewReader(f, st.Size())
	if errors.Is(err, zip.ErrFormat) {
		return nil, errors.New("not a zip archive, or a truncated one: the directory at its end is missing")
	}
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // paths are checked below
		return nil, err
	}
	z := &zipped{f: f}
	for _, e := range r.File {
		p, err := entryPath(e.Name)
		if err != nil {
			return nil, err
		}
		switch mode := e.Mode(); {
		case mode.IsDir() || hidden(p):
			continue
		case mode&fs.ModeSymlink != 0:
			return nil, fmt.Errorf("entry %q is a link; want files and folders only", e.Name)
		case e.Flags&1 != 0:
			return nil, fmt.Errorf("entry %q is encrypted", e.Name)
		case e.CompressedSize64 > uint64(st.Size()):
			return nil, fmt.Errorf("entry %q claims %d compressed bytes in an archive of %d", e.Name, e.CompressedSize64, st.Size())
		}
		if err := s.add(p, int64(min(e.UncompressedSize64, 1<<62))); err != nil {
			return nil, err
		}
		z.entries = append(z.entries, e)
	}
	at, err := s.order()
	if err != nil {
		return nil, err
	}
	sorted := make([]*zip.File, len(at))
	for i, k := range at {
		sorted[i] = z.entries[k]
	}
	z.entries = sorted
	s.reader = z
	return s, nil
}

func (z *zipped) read(i int, buf []byte) ([]byte, error) {
	e := z.entries[i]
	r, err := e.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return readAll(r, int64(e.UncompressedSize64), int64(e.CompressedSize64), buf)
}

func (z *zipped) close() error { return z.f.Close() }

// readAll reads the size bytes that a header claims, and sees that there are no more. It makes room for what compressed bytes
// can hold, for more as they arrive.
func readAll(r io.Reader, size, compressed int64, buf []byte) ([]byte, error) {
	const step = 1 << 20
	buf = room(buf, min(size, max(8*compressed, step)))
	var have int64
	for {
		n, err := io.ReadFull(r, buf[have:])
		have += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil, fmt.Errorf("truncated: %d of %d bytes", have, size)
		}
		if err != nil {
			return nil, err
		}
		if have == size {
			break
		}
		more := make([]byte, min(size, 2*have))
		copy(more, buf)
		buf = more
	}
	var one [1]byte
	switch n, err := io.ReadFull(r, one[:]); {
	case n > 0:
		return nil, fmt.Errorf("more than the %d bytes that its header claims", size)
	case err != io.EOF:
		return nil, err // a wrong checksum
	}
	return buf, nil
}
