//go:build linux || darwin

package disk

import "golang.org/x/sys/unix"

func free(dir string) (float64, bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil || st.Blocks == 0 { // some network file systems do not say
		return 0, false
	}
	return float64(st.Bavail) * float64(st.Bsize), true
}
