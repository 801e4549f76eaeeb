// Package data is where x comes from: synthetic sets, the UCI digits, and files in .npy, .csv and .idx form; and how
// samples leave: a streaming .npy writer.
//
// A [Dataset] holds n samples of d coordinates in data units, row-major n×d, and perhaps a label for each. Arrays of three or
// four dimensions are images, N×H×W or N×H×W×C with the channels last; those of bytes stay bytes in memory. Its [Normalisation] maps data units to
// the units that the network sees; it travels in the checkpoint, so that samples come out in data units and a log
// density can be stated per data unit.
//
// Sample i of a synthetic set depends on (name, seed, i) alone: any range can be made by itself, and a range that the
// training set does not overlap is fresh data.
//
// Files are untrusted: every reader checks the sizes that a header claims against the size of the file, and against 2³⁰
// elements, before it allocates. Memory stays within 8 bytes for each element that is really there (gzip is bounded
// separately, see [ByPath]). Slips in slice lengths panic; all else returns errors.
package data
