// Package cuda is the door to NVIDIA GPUs. This build has none: Available and Open say so.
package cuda

import "errors"

// ErrNoCUDA is what Available and Open return in a build without CUDA.
var ErrNoCUDA = errors.New("cuda: no CUDA in this build")

// Available reports why no GPU can be used, or nil if one can.
func Available() error { return ErrNoCUDA }

// Device is one GPU.
type Device struct{}

// Open returns GPU number index, counted from 0.
func Open(index int) (*Device, error) { return nil, ErrNoCUDA }
