//go:build !unix

package data

import (
	"io"
	"os"
)

// mapFile reads n bytes of a file from start on.
func mapFile(f *os.File, start, n int64) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(io.NewSectionReader(f, start, n), b)
	return b, err
}
