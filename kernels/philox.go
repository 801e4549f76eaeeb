package kernels

import "hbar/kernels/simd"

// Streams separate the uses of one seed: random numbers of different streams are independent.
const (
	StreamPrior      uint32 = iota // the state at Tmax
	StreamNoise                    // the noise of a reverse-time step
	StreamInit                     // initial weights
	StreamBatch                    // minibatch indices, times and noise in training
	StreamProbe                    // Hutchinson probes
	StreamPath                     // the proposals of the path integral
	StreamData                     // synthetic data
	StreamResample                 // bootstrap and permutation
	StreamDropout                  // dropout masks; the layer is in the higher bits
	StreamDequantise               // noise that makes whole numbers continuous
)

// Normals fills dst, n rows of d, with the standard normals of one step of samples Sample0.. of the stream.
//
// The normals of a (seed, stream, sample) form one sequence. Step k takes the pairs k·P … k·P+P−1, with P = ⌈d/2⌉
// pairs to a step (an odd d leaves one unused); pair q comes by Box–Muller from words 2(q mod 2) and 2(q mod 2)+1 of
// the Philox4x32-10 block with counter (q/2, stream, sample low, sample high) and key (seed low, seed high). So a
// sample's numbers do not depend on the batch, the tile, the thread or the device.
func Normals(dst []float32, no Noise, step uint32, n, d int) {
	if len(dst) < n*d {
		panic("kernels: Normals: dst shorter than n×d")
	}
	impl := simd.Best()
	first := uint64(step) * uint64((d+1)/2) // pair
	const tile = 64
	var z [4 * tile]float32
	for lo := 0; lo < n; lo += tile {
		m := min(tile, n-lo)
		last := uint64(1) << 63
		for j := 0; j < d; j += 2 {
			q := first + uint64(j/2)
			if q/2 != last {
				last = q / 2
				impl.Normals4(z[:], 4, no.Seed, no.Stream, uint32(last), no.Sample0+uint64(lo), m)
			}
			pair := z[2*(q%2):]
			for i := range m {
				row := dst[(lo+i)*d : (lo+i+1)*d]
				row[j] = pair[4*i]
				if j+1 < d {
					row[j+1] = pair[4*i+1]
				}
			}
		}
	}
}
