// Package disk says how much can still be written, before hours of work end at a full disk.
package disk

import (
	"os"
	"path/filepath"
)

// Free is how many bytes can be written to the file system of a file that need not exist yet. It reports false where that is not known, and for what is no regular file, such as a device.
func Free(path string) (float64, bool) {
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		return 0, false
	}
	return free(filepath.Dir(path))
}
