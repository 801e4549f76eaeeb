package atomicfile

import (
	"os"
	"path/filepath"
	"regexp"

	"hbar/internal/filelock"
)

// temporary is how Create names its files: the target's name, the process and a number.
var temporary = regexp.MustCompile(`^\.(.+)\.tmp-\d+-\d+$`)

// claim locks a temporary file that was just made, so that RemoveStale sees that its process lives. It reports false if
// RemoveStale was faster, and the file is gone or about to go.
func claim(f *os.File) bool {
	if filelock.Try(f) == filelock.ErrHeld {
		return false
	}
	mine, err := f.Stat()
	if err != nil {
		return true
	}
	there, err := os.Stat(f.Name())
	return err == nil && os.SameFile(mine, there)
}

// RemoveStale removes the temporary files that processes which were killed left in a folder: all, or those of one target if
// name is not empty. A file is taken for one of these if nobody holds its lock; where there are no locks nothing is removed. It
// returns how many it removed, and their bytes.
func RemoveStale(dir, name string) (files int, bytes int64) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, 0
	}
	for _, e := range entries {
		m := temporary.FindStringSubmatch(e.Name())
		if m == nil || name != "" && m[1] != name || !e.Type().IsRegular() {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if n, ok := removeUnlocked(path); ok {
			files, bytes = files+1, bytes+n
		}
	}
	return files, bytes
}

// removeUnlocked removes a file unless somebody holds its lock.
func removeUnlocked(path string) (size int64, ok bool) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	if filelock.Try(f) != nil {
		return 0, false
	}
	st, err := f.Stat()
	if err != nil {
		return 0, false
	}
	there, err := os.Lstat(path) // renamed to its target since the folder was read: no longer temporary
	if err != nil || !os.SameFile(st, there) {
		return 0, false
	}
	return st.Size(), os.Remove(path) == nil
}
