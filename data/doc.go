// Package data reads the samples that models learn: synthetic sets, the UCI digits, tables, arrays, images and sounds. It also has
// streaming writers of arrays and tables. (Package samples writes images and sounds.)
//
// A [Dataset] holds n samples of d coordinates in data units, row-major n×d, and perhaps a label for each. A sample has a shape: [D]
// in a table, [height, width, channels] of an image, [length, channels] of a sequence. Bytes stay bytes in memory. Its
// [Normalisation] maps data units to the units that the network sees; it travels in the checkpoint, so that samples come out in
// data units and a log density can be stated per data unit.
//
// Sample i of a synthetic set depends on (name, seed, i) alone: any range can be made by itself, and a range that the
// training set does not overlap is fresh data.
//
// [LoadWith] reads, by the name it is given,
//
//	a built-in name            see [Names]
//	.csv, .tsv, .txt, .dat     tables
//	.npy                       arrays: N×D, images N×H×W or N×H×W×C, channels last
//	.npz                       the same, arr_0 or images, with labels in arr_1 or labels
//	.idx, -ubyte, .gz of both  MNIST, with the labels of the file beside it
//	.bin                       a binary batch of CIFAR-10 or CIFAR-100
//	any name, Options.Text     text in UTF-8, as windows of characters, each as analog bits
//	.wav                       16-bit PCM, cut into pieces of Options.Length samples
//	a folder, .zip, .tar(.gz)  PNG or JPEG pictures of one size, sounds, or CIFAR's training batches
//
// The files of folders and archives come in the order of their paths. Their labels are those of dataset.json, as EDM and StyleGAN
// have it, else their sub-folders, in the order of the names. The same pictures give the same bytes from wherever they are read.
// Decoded pictures are kept in a cache file, in the user's cache folder unless Options.Cache says otherwise; it is used as long as
// names, sizes and times of change of the source are the same.
//
// Files are untrusted: every reader checks the sizes that a header claims against the size of the file, and against 2³⁰
// elements (2³³ for bytes of images), before it allocates. Memory stays within 8 bytes for each element that is really there (expanded
// gzip data may be at most 256 MiB and 200 times the compressed size). A file that changes while it is read is an error. Wrong slice lengths panic; all
// other faults are errors.
package data
