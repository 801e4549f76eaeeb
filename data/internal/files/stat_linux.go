package files

import (
	"os"
	"syscall"
	"time"
)

// lastChange is when a file's contents or attributes last changed. A program can set the time of modification back, but not
// that of the change.
func lastChange(st os.FileInfo) time.Time {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		if c := time.Unix(int64(s.Ctim.Sec), int64(s.Ctim.Nsec)); c.After(st.ModTime()) {
			return c
		}
	}
	return st.ModTime()
}
