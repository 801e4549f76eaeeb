package shard

import (
	"fmt"
	"strconv"
	"strings"
)

// launcher is a program that starts processes and gives each its number in environment variables.
type launcher struct {
	name         string
	index, count string // variables
	first        string // variable of the number of the first process; "": 0
	last         string // variable of the number of the last, for arrays with gaps
}

// launchers are in the order in which they are asked. mpirun and srun set their variables inside a job of Slurm too, whose own say nothing
// of the processes of mpirun.
var launchers = []launcher{
	{name: "a Slurm array", index: "SLURM_ARRAY_TASK_ID", count: "SLURM_ARRAY_TASK_COUNT", first: "SLURM_ARRAY_TASK_MIN", last: "SLURM_ARRAY_TASK_MAX"},
	{name: "OpenMPI", index: "OMPI_COMM_WORLD_RANK", count: "OMPI_COMM_WORLD_SIZE"},
	{name: "srun", index: "SLURM_PROCID", count: "SLURM_NTASKS"},
	{name: "PMI", index: "PMI_RANK", count: "PMI_SIZE"},
	{name: "a Kubernetes indexed Job", index: "JOB_COMPLETION_INDEX"},
}

// inside are the numbers of processes that share the variables of one task of a Slurm array.
var inside = []string{"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}

// variables lists what fromLauncher looks at, for its error.
func variables() string {
	var names []string
	for _, l := range launchers {
		if l.count != "" {
			names = append(names, l.index+" with "+l.count)
		} else {
			names = append(names, l.index+" with --shards N")
		}
	}
	return strings.Join(names, ", ")
}

// fromLauncher reads the part from the first launcher that has set its variables. count, unless 0, is the number of parts. It stands in
// for a number that the launcher does not give; of an array it takes the place of the launcher's, so that a few tasks of it can be run again
// under their numbers. Ranks of MPI and srun are all there are, and a count that differs from theirs is an error.
func fromLauncher(lookup func(string) (string, bool), count int) (Shard, error) {
	for _, l := range launchers {
		if text, ok := lookup(l.index); ok && text != "" {
			v := &values{lookup: lookup}
			s, err := l.shard(v, count)
			if v.err != nil {
				err = v.err
			}
			if err != nil {
				return Shard{}, fmt.Errorf("--shard auto: %w; name the part with --shard I/N", err)
			}
			s.Source = l.name + ", " + strings.Join(v.used, " ")
			return s, nil
		}
	}
	return Shard{}, fmt.Errorf("--shard auto: none of the launchers' variables is set (%s); name the part with --shard I/N", variables())
}

// values reads numbers from variables, and notes which.
type values struct {
	lookup func(string) (string, bool)
	used   []string
	err    error // the first
}

func (v *values) has(name string) bool {
	text, ok := v.lookup(name)
	return name != "" && ok && text != ""
}

func (v *values) number(name string) int {
	text, _ := v.lookup(name)
	n, err := strconv.Atoi(text)
	if (err != nil || n < 0) && v.err == nil {
		v.err = fmt.Errorf("%s is %q, which is no number from 0", name, text)
	}
	v.used = append(v.used, name+"="+text)
	return n
}

func (l launcher) shard(v *values, count int) (Shard, error) {
	s := Shard{Index: v.number(l.index), Count: count}
	switch {
	case l.count == "" && count == 0:
		return s, fmt.Errorf("%s sets %s and no number of parts; add --shards N, the Job's completions", l.name, l.index)
	case l.first != "" && count > 0: // tasks of an array under their own numbers
	case v.has(l.count):
		if s.Count = v.number(l.count); count > 0 && count != s.Count {
			return s, fmt.Errorf("%s says %s=%d, and --shards is %d", l.name, l.count, s.Count, count)
		}
		if v.has(l.first) {
			first := v.number(l.first)
			s.Index -= first
			if v.has(l.last) && v.number(l.last) != first+s.Count-1 {
				return s, fmt.Errorf("the numbers of the array's %d tasks have gaps; add --shards N, of how many parts they are some", s.Count)
			}
		}
	case count == 0:
		return s, fmt.Errorf("%s sets %s without %s", l.name, l.index, l.count)
	}
	if s.Index < 0 || s.Index >= s.Count {
		return s, fmt.Errorf("%s (%s) gives part %d of %d, and parts are numbered from 0", l.name, strings.Join(v.used, " "), s.Index, s.Count)
	}
	for _, name := range inside {
		if l.first != "" && v.has(name) && v.number(name) > 1 {
			return s, fmt.Errorf("this is one of several processes (%s) in a task of a Slurm array, which would all do the same part", v.used[len(v.used)-1])
		}
	}
	return s, nil
}
