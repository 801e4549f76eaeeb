package shard

import (
	"fmt"
	"io"
)

// Inputs are the hashes that files had when they were read for a shard: its manifest names what was used, whatever is written under the same
// names while the shard is being computed. nil keeps none, for a job that is not divided.
type Inputs struct{ sums map[string]string }

// Input reads a file by load, and keeps its hash. That is taken before and after: a file that another process replaces between them is
// refused, as is one that is read a second time and is no longer the same.
func Input[T any](in *Inputs, path string, hash func(path string) (string, error), load func() (T, error)) (T, error) {
	if in == nil {
		return load()
	}
	_, before := in.Sum(path, hash)
	v, err := load()
	if err != nil {
		return v, err // it says more of a file that is not there than the hash does
	}
	if err = before; err == nil {
		err = in.same(path, hash)
	}
	if c, ok := any(v).(io.Closer); ok && err != nil {
		_ = c.Close()
	}
	return v, err
}

// Sum is the hash that a file had when it was read, or has now if it was not.
func (in *Inputs) Sum(path string, hash func(path string) (string, error)) (string, error) {
	if sum, ok := in.sums[path]; ok {
		return sum, nil
	}
	sum, err := hash(path)
	if err == nil {
		in.sums[path] = sum
	}
	return sum, err
}

// same refuses a file that has another hash than before.
func (in *Inputs) same(path string, hash func(path string) (string, error)) error {
	sum, err := hash(path)
	if err == nil && sum != in.sums[path] {
		err = fmt.Errorf("%s was replaced while this shard read it; run the shard again, all shards from a copy that does not change", path)
	}
	return err
}
