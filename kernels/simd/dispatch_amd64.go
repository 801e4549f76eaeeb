//go:build !noasm

package simd

import "golang.org/x/sys/cpu"

// detect lists the fast implementations of this machine, best last.
func detect() []*Impl {
	var fast []*Impl
	x := cpu.X86
	if x.HasAVX2 && x.HasFMA {
		fast = append(fast, avx2)
	}
	if len(fast) > 0 && x.HasAVX512F && x.HasAVX512DQ && x.HasAVX512BW && x.HasAVX512VL {
		fast = append(fast, avx512)
	}
	return fast
}
