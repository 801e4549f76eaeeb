//go:build !amd64 || noasm

package simd

// detect lists the fast implementations of this machine, best last: none outside amd64 or with the tag noasm.
func detect() []*Impl { return nil }
