//go:build unix

package data

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapFile maps n bytes of a file from a multiple of 4096 on into memory, to read. The mapping stays until the process ends. It is
// for files that nothing changes: one that is cut short behind it ends the process.
func mapFile(f *os.File, start, n int64) ([]byte, error) {
	page := int64(os.Getpagesize())
	before := start % page
	b, err := unix.Mmap(int(f.Fd()), start-before, int(n+before), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return b[before:len(b):len(b)], nil
}
