//go:build gpu && cgo

package chains

import (
	"errors"

	"hbar/cuda/driver"
)

// inBatches runs n samples in batches of as many samples as fit in the device's memory, between least and most. A batch for which
// there is too little memory has changed nothing, and is tried again with half as many samples. run is called with a function
// for progress within its batch; progress, unless nil, receives the progress of all n samples.
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
