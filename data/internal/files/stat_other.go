//go:build !linux

package files

import (
	"os"
	"time"
)

// lastChange is when a file was last modified.
func lastChange(st os.FileInfo) time.Time { return st.ModTime() }
