package kernels

import "hbar/kernels/simd"

// Source is a counter-based math/rand/v2.Source: the words of Philox blocks 0, 1, 2, … of one sample of one stream.
// Two sources with equal arguments give equal numbers wherever they run.
type Source struct {
	seed, sample uint64
	stream       uint32
	block        uint32
	have         int
	words        [2]uint64
}

// NewSource returns the source of one sample of a stream.
func NewSource(seed uint64, stream uint32, sample uint64) *Source {
	return &Source{seed: seed, stream: stream, sample: sample}
}

// Uint64 returns the next 64 bits; two words of a block each.
func (s *Source) Uint64() uint64 {
	if s.have == 0 {
		w := Block(s.seed, s.stream, s.sample, s.block)
		s.words = [2]uint64{uint64(w[0])<<32 | uint64(w[1]), uint64(w[2])<<32 | uint64(w[3])}
		s.block++
		s.have = 2
	}
	s.have--
	return s.words[1-s.have]
}

// Block is the Philox4x32-10 block with counter (block, stream, sample low, sample high) and key (seed low, seed high).
func Block(seed uint64, stream uint32, sample uint64, block uint32) [4]uint32 {
	return simd.Philox4x32([4]uint32{block, stream, uint32(sample), uint32(sample >> 32)}, [2]uint32{uint32(seed), uint32(seed >> 32)})
}
