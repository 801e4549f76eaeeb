// Package safetensors reads and writes the .safetensors format: 8 bytes with the length n of the header (little-endian), n
// bytes of JSON, the data. The header maps each tensor's name to its dtype, shape and [begin, end) byte offsets in the
// data, and "__metadata__" to a map of strings.
//
// Reading is strict, for files that may be hostile. The header must fit the file and 100 MB; a name or key may occur
// once; shapes must not overflow and must agree with the offsets; the tensors must tile the data without gap, overlap
// or rest. All of that is checked before memory for tensors is taken, so memory stays within a small multiple of
// the file's size.
package safetensors
