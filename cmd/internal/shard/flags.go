package shard

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/ui"
)

// Flags are --shard and --shards.
type Flags struct {
	text  string
	count int
	given func(name string) bool // whether an option was named
	Shard Shard                  // what they say, after Parse
	// Inputs are what a shard reads; nil for the whole job.
	Inputs *Inputs
}

// most bounds the number of shards, against mistyped numbers.
const most = 1 << 20

// Define makes the options of the group Shard.
func (f *Flags) Define(s *flags.Set, items string) {
	f.given = s.Given
	g := s.Group("Shard")
	g.String(&f.text, "shard", "I/N|auto", "only part I, from 0, of the N that the "+items+" are divided into; files are called OUT-shardIofN, and cmd/merge joins them into what one process writes. "+
		"auto: I and N from the variables of Slurm (job arrays, srun), OpenMPI, PMI (MPICH, Intel MPI) or Kubernetes (indexed Jobs, with --shards)")
	g.Int(&f.count, "shards", "N", flags.Between(0, most), "N for --shard auto: where the launcher gives none, as Kubernetes does, and to run some tasks of an array again; 0 for the launcher's")
}

// Names are the options that say which part is computed and not what.
func Names() []string { return []string{"shard", "shards"} }

// Parse reads the options.
func (f *Flags) Parse() error {
	var err error
	switch f.text {
	case "":
		if f.given != nil && f.given("shard") { // of an unset variable of a script: all tasks would do the whole
			return ui.Usagef("--shard is empty; name the part, such as 0/5, or auto")
		}
		if f.count > 0 {
			return ui.Usagef("--shards %d goes with --shard auto; name the part with --shard I/%d otherwise", f.count, f.count)
		}
	case "auto":
		f.Shard, err = fromLauncher(os.LookupEnv, f.count)
	default:
		f.Shard, err = parse(f.text)
		if err == nil && f.count > 0 && f.count != f.Shard.Count {
			err = fmt.Errorf("--shard %s and --shards %d disagree", f.text, f.count)
		}
	}
	if err != nil {
		return ui.UsageError{Err: err}
	}
	if f.Shard.Given() {
		f.Inputs = &Inputs{sums: map[string]string{}}
	}
	return nil
}

// parse reads "2/5".
func parse(text string) (Shard, error) {
	left, right, ok := strings.Cut(text, "/")
	i, errI := strconv.Atoi(left)
	n, errN := strconv.Atoi(right)
	switch {
	case !ok || errI != nil || errN != nil:
		return Shard{}, fmt.Errorf("--shard %q is not I/N, such as 0/5, nor auto", text)
	case n < 1 || n > most:
		return Shard{}, fmt.Errorf("--shard %s: %d parts; want 1 to %d", text, n, most)
	case i < 0 || i >= n:
		return Shard{}, fmt.Errorf("--shard %s: parts are numbered from 0, so the last of %d is %d/%d", text, n, n-1, n)
	}
	return Shard{Index: i, Count: n, Source: "--shard"}, nil
}
