//go:build gpu && cgo

package programs

import (
	"errors"
	"time"

	"hbar/cuda/driver"
	"hbar/cuda/exec"
)

// The work of a launch of net_peak: blocks of so many warps, each with so many sums of products of 16 × 8 in a round.
const (
	peakThreads = 256
	peakBlocks  = 4 // to a multiprocessor
	peakSums    = 8
)

// Peak is the rate of products on tensor cores in registers, in operations a second, in the arithmetic of a precision: the instruction
// that the kernels' products are made of and nothing else. It runs for a few milliseconds.
func Peak(d *driver.Device, p exec.Precision) (rate float64, err error) {
	k := NewKernels(d)
	defer func() { err = errors.Join(err, k.Close()) }()
	f, err := k.find("peak", "net_peak_"+arithmetic[p], peakThreads, 0)
	if err != nil {
		return 0, err
	}
	grid := peakBlocks * d.Multiprocessors
	out, err := d.Alloc(4 * grid * peakThreads)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, out.Free()) }()
	depth := 8 // multiply-adds for one result
	if p.Halves() {
		depth = 16
	}
	ops := 2 * float64(grid*peakThreads/32) * peakSums * 16 * 8 * float64(depth)
	for rounds := 1; ; rounds *= 4 { // until the launch takes longer than what surrounds it
		took, err := d.Time(func() error { return f.Launch(grid, (&driver.Args{}).Buf(out).I32(rounds)) })
		if err != nil {
			return 0, err
		}
		if took > 2*time.Millisecond || rounds > 1<<20 {
			return ops * float64(rounds) / took.Seconds(), nil
		}
	}
}
