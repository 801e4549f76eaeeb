package shard

import (
	"errors"
	"fmt"
	"path/filepath"

	"hbar/cmd/internal/rundir"
	"hbar/internal/atomicfile"
)

// Claim takes the files of a shard, named by its output, for this process alone: two jobs that write the same names at one time could leave
// the file of the one beside the manifest of the other. It removes what killed processes have left of them. The caller calls release at the end.
func Claim(out string) (release func(), err error) {
	// A folder keeps the slash at its end until here: without it Beside would cut its name at the last dot, and folders such as
	// x-h0.3/ and x-h0.5/ would share a lock.
	dir, name := filepath.Split(Beside(out, ""))
	l, err := rundir.AcquireFile(filepath.Join(dir, "."+name+".lock"))
	var held *rundir.HeldError
	if errors.As(err, &held) {
		return nil, fmt.Errorf("%s is being written by %s; wait for it to end, or take another --out", out, held.By)
	}
	if err != nil {
		return nil, fmt.Errorf("--out %s cannot be written: %w", out, err)
	}
	for _, of := range []string{filepath.Clean(out), Beside(out, ".json")} {
		atomicfile.RemoveStale(filepath.Join(dir, "."), filepath.Base(of))
	}
	return l.Discard, nil
}
