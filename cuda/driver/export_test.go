//go:build gpu && cgo

package driver

const (
	Stages     = stages
	StageBytes = stageBytes
)

var (
	BlockSize = blockSize
	BLASError = statusError
)

// RingState is 1 where copies pass through page-locked memory, −1 where there is none, and 0 before the first.
func (d *Device) RingState() int8 { return d.staging.state }

// Lose has the device lost at an error.
func (d *Device) Lose(err error) { d.lost = err }

// ReleaseAddress frees what begins at an address.
func (d *Device) ReleaseAddress(at uint64) error {
	return d.do(func() error { return d.pool.releaseAt(at) })
}
