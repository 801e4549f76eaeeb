// Package filelock locks files against other processes. A lock belongs to the open file and dies with the process that holds
// it, however that ends: nothing is left that a later process would have to remove.
package filelock

import (
	"errors"
	"os"
)

// ErrHeld says that another process, or another open file of this one, holds the lock.
var ErrHeld = errors.New("the file is locked by another process")

// ErrUnsupported says that this system, or the file system, has no locks of this kind.
var ErrUnsupported = errors.New("no file locks here")

// Try locks an open file, without waiting. It returns nil, ErrHeld, ErrUnsupported or another error. Closing f gives the lock
// back.
func Try(f *os.File) error { return try(f) }
