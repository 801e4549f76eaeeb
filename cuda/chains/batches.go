//go:build gpu && cgo

package chains

import (
	"errors"

	"hbar/cuda/driver"
)

// inBatches runs n samples in batches of as many as the device has room for, between the limits: a batch that finds the
// device full, and so has changed nothing, is tried again with half as many. run hears of progress in the batch; progress,
// unless nil, in all.
func inBatches(n, least, most int, progress func(done int), run func(lo, hi int, progress func(done int)) error) error {
	size := min(n, most)
	for lo := 0; lo < n; {
		hi := min(n, lo+size)
		err := run(lo, hi, func(done int) {
			if progress != nil {
				progress(lo + done)
			}
		})
		var full *driver.Error
		if errors.As(err, &full) && full.OutOfMemory() && size > least {
			size = max(least, size/2)
			continue
		}
		if err != nil {
			return err
		}
		lo = hi
	}
	return nil
}
