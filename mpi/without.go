//go:build !mpi

package mpi

import (
	"fmt"

	"hbar/kernels/fit"
)

// World is all processes of the job; in this build there is none.
type World struct{ fit.Peers }

// Start returns nil: this build knows no MPI. It is an error if a launcher has started several processes, which would not know of
// each other.
func Start() (*World, error) {
	if l, several := launched(); several {
		return nil, fmt.Errorf("this is process %d of %d that %s started, but the program was built without MPI: build it with -tags mpi (docs/scale.md), or start one process", l.rank, l.size, l.name)
	}
	return nil, nil
}

// LocalSize is the number of processes on this machine.
func (*World) LocalSize() int { return 1 }

// LocalRank is the number of this process among those on this machine.
func (*World) LocalRank() int { return 0 }

// Finish ends MPI in order.
func (*World) Finish() {}

// Abort ends all processes with a status.
func (*World) Abort(int) {}
