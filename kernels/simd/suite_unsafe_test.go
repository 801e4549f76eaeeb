package simd

import "unsafe"

func addr[F Float](p *F) uintptr { return uintptr(unsafe.Pointer(p)) }
