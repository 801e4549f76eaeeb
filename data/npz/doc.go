// Package npz reads and writes numpy's arrays as float64: .npy files of one array and .npz archives of several by name.
//
// It serves what the commands take as numbers of any meaning, such as trajectories with gaps: values may be NaN. Training
// sets, whose values must be finite, are read by package data.
//
// Files are untrusted. What a header claims is checked against the bytes that are there before memory is taken for it.
package npz
