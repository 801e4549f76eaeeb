package shard

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Shard is one of Count parts of a job, by its Index from 0. The zero value is the whole job.
type Shard struct {
	Index, Count int
	// Source is where the part comes from: "--shard", or the launcher's variables with their values.
	Source string
}

// Given reports whether the job is divided.
func (s Shard) Given() bool { return s.Count > 0 }

// Range is the items of the shard, of the n of the job: from ≤ i < to. The ranges of all shards are consecutive and differ in length by one
// at most; with fewer items than shards some are empty. Of the whole job it is all items.
func (s Shard) Range(n int) (from, to int) {
	if !s.Given() {
		return 0, n
	}
	each, more := n/s.Count, n%s.Count
	start := func(i int) int { return i*each + min(i, more) }
	return start(s.Index), start(s.Index + 1)
}

// Takes reports whether item i falls to the shard when item i goes to shard i mod Count, for items that cost much each.
func (s Shard) Takes(i int) bool { return !s.Given() || i%s.Count == s.Index }

// String is "shard 2 of 5". Numbers are from 0, as launchers count.
func (s Shard) String() string { return fmt.Sprintf("shard %d of %d", s.Index, s.Count) }

// Flag is the value of --shard: "2/5".
func (s Shard) Flag() string { return fmt.Sprintf("%d/%d", s.Index, s.Count) }

// Suffix is what stands before the ending of the names of the shard's files: "-shard2of5", "" for the whole job.
func (s Shard) Suffix() string {
	if !s.Given() {
		return ""
	}
	return fmt.Sprintf("-shard%dof%d", s.Index, s.Count)
}

// Path is a file's name with the suffix before its ending: out.npy becomes out-shard2of5.npy, and out/ becomes out-shard2of5/. "" stays.
func (s Shard) Path(path string) string {
	switch {
	case path == "" || !s.Given():
		return path
	case isFolder(path):
		return filepath.Clean(path) + s.Suffix() + "/"
	}
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + s.Suffix() + ext
}

// Beside is the name of a file of another kind beside one of a shard: of x.npy or x/ and "-shown.npy" it is x-shown.npy.
func Beside(path, ending string) string {
	if isFolder(path) {
		return filepath.Clean(path) + ending
	}
	return strings.TrimSuffix(path, filepath.Ext(path)) + ending
}

func isFolder(path string) bool {
	return strings.HasSuffix(path, "/") || strings.HasSuffix(path, string(os.PathSeparator))
}
