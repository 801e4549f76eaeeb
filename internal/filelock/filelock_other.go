//go:build !windows && (!unix || solaris || illumos || aix)

package filelock

import "os"

func try(*os.File) error { return ErrUnsupported }
