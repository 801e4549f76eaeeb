package mpi

import (
	"os"
	"strconv"
)

// launcher is what the variables of mpirun, or of srun with PMI or PMIx, say of this process, if they say that there are several.
type launcher struct {
	name       string
	rank, size int
}

// launched reads the variables. Those of Slurm itself do not say whether a process was started by srun.
func launched() (l launcher, several bool) {
	number := func(name string) int {
		v, err := strconv.Atoi(os.Getenv(name))
		if err != nil || v < 0 {
			return 0
		}
		return v
	}
	for _, c := range []struct{ name, rank, size string }{
		{"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
		{"a launcher with PMI", "PMI_RANK", "PMI_SIZE"},
	} {
		if size := number(c.size); size > 1 {
			return launcher{c.name, number(c.rank), size}, true
		}
	}
	return launcher{}, false
}
