package data

import (
	"io"
	"os"
	"strings"
)

// mapFrom is the size in bytes from which the images of an .npy or .idx file are mapped from disk in place of being read:
// the system then reads the pages that training asks for, and drops them when memory is short. It is changed by tests alone.
var mapFrom int64 = 256 << 20

// mapBytes maps the n bytes from start on, which are all that is left of file r, if they are many. Else it returns nil, and the
// caller reads them.
func mapBytes(r io.Reader, start, n, size int64) []byte {
	f, ok := r.(*os.File)
	if !ok || n < mapFrom || start+n != size {
		return nil
	}
	b, err := mapFile(f, start, n)
	if err != nil {
		return nil
	}
	return b
}

// mappedImages is newImages of mapped bytes, with a note.
func mappedImages(b []byte, shape []int64) (*Dataset, error) {
	s, err := newImages(b, shape)
	if err == nil {
		s.note("mapped", "%d MB from disk as they are needed; the file must stay as it is until the program ends", (len(b)+500_000)/1_000_000)
	}
	return s, err
}

// StaysOnDisk reports whether a file's images may be mapped from disk, so that they need not fit in memory: an array of bytes in
// a large .npy or .idx file that is not compressed.
func StaysOnDisk(path string, size int64) bool {
	path = strings.ToLower(path)
	return size >= mapFrom && (strings.HasSuffix(path, ".npy") || strings.HasSuffix(path, ".idx") || strings.HasSuffix(path, "-ubyte"))
}
