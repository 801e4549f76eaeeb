package memory

import "golang.org/x/sys/unix"

// limits are the machine's memory: macOS does not say what of it can be had.
func limits() []Limit {
	if b, err := unix.SysctlUint64("hw.memsize"); err == nil {
		return []Limit{{float64(b), "of the machine"}}
	}
	return nil
}
