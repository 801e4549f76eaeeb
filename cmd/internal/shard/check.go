package shard

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hbar/cmd/internal/ui"
)

// Complete takes manifests of the shards of one run in any order and returns them by their numbers. It is an error if they are not of one job,
// if one is there twice, and if one is missing; then the error says how to run it. Shards without items may be left out.
func Complete(shards []*Manifest) ([]*Manifest, error) {
	shards = distinct(shards)
	if len(shards) == 0 {
		return nil, fmt.Errorf("no shards")
	}
	slices.SortStableFunc(shards, func(a, b *Manifest) int { return cmp.Compare(a.Shard, b.Shard) })
	for _, m := range shards[1:] {
		if m.Name != shards[0].Name {
			return nil, fmt.Errorf("%s and %s do not belong together: they are of the runs with %s and %s", shards[0].path, m.path, shards[0].Name, m.Name)
		}
		if err := SameJob(shards[0], m); err != nil {
			return nil, err
		}
	}
	have := map[int]*Manifest{}
	for _, m := range shards {
		if other := have[m.Shard]; other != nil {
			return nil, fmt.Errorf("%v is there twice: %s and %s", m.Of(), other.path, m.path)
		}
		have[m.Shard] = m
		if from, to := m.Of().Range(m.N); m.From != from || m.To != to {
			return nil, fmt.Errorf("%s has %s %d to %d, and %v has %d to %d of %d", m.path, m.Items, m.From, m.To-1, m.Of(), from, to-1, m.N)
		}
	}
	var missing []Shard
	for i := range shards[0].Shards {
		s := Shard{Index: i, Count: shards[0].Shards}
		if from, to := s.Range(shards[0].N); have[i] == nil && to > from {
			missing = append(missing, s)
		}
	}
	if len(missing) > 0 {
		return nil, shards[0].missing(missing)
	}
	return shards, nil
}

// distinct leaves out manifests that are there again, by the names of other files of the same shard.
func distinct(shards []*Manifest) []*Manifest {
	var out []*Manifest
	seen := map[string]bool{}
	for _, m := range shards {
		path, err := filepath.Abs(m.path)
		if err != nil || !seen[path] {
			out = append(out, m)
		}
		seen[path] = true
	}
	return out
}

// SameJob refuses two shards that are not of one job. They may be of different runs of it.
func SameJob(a, b *Manifest) error {
	for _, c := range []struct{ what, a, b string }{
		{"shards of the command", a.Command, b.Command},
		{"made by version", a.Version, b.Version},
		{"of a job in so many parts:", fmt.Sprint(a.Shards), fmt.Sprint(b.Shards)},
		{"of the model with SHA-256", short(a.Model), short(b.Model)},
		{"of data with SHA-256", short(a.Data), short(b.Data)},
		{"with a reward with SHA-256", short(a.Reward), short(b.Reward)},
		{"computed on", a.Device, b.Device},
		{"of " + a.Items + ", of which there are", fmt.Sprint(a.N), fmt.Sprint(b.N)},
	} {
		if c.a != c.b {
			return fmt.Errorf("%s and %s do not belong together: they are %s %s and %s", a.path, b.path, c.what, c.a, c.b)
		}
	}
	names := slices.Sorted(maps.Keys(a.Options))
	for _, name := range slices.Sorted(maps.Keys(b.Options)) {
		if _, ok := a.Options[name]; !ok {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if x, y := a.Options[name], b.Options[name]; x != y {
			return fmt.Errorf("%s and %s do not belong together: --%s is %s in the one and %s in the other", a.path, b.path, name, orNothing(x), orNothing(y))
		}
	}
	return nil
}

// NoOverwrite refuses outputs that would replace the file of a shard.
func NoOverwrite(shards []*Manifest, outputs ...string) error {
	for _, out := range outputs {
		st, err := os.Stat(out)
		if out == "" || err != nil {
			continue
		}
		for _, m := range shards {
			for _, path := range append([]string{m.path}, m.places()...) {
				if other, err := os.Stat(path); err == nil && os.SameFile(st, other) {
					return fmt.Errorf("%s would replace a file of %v; choose another name", out, m.Of())
				}
			}
		}
	}
	return nil
}

func short(sum string) string { return sum[:min(len(sum), 12)] }

func orNothing(v string) string {
	if v == "" {
		return "not set"
	}
	return v
}

// mostNamed is how many missing shards an error lists.
const mostNamed = 20

// missing is the error for shards that are not there, with the command that makes them.
func (m *Manifest) missing(shards []Shard) error {
	var numbers, flags []string
	for _, s := range shards[:min(len(shards), mostNamed)] {
		numbers, flags = append(numbers, fmt.Sprint(s.Index)), append(flags, "--shard "+s.Flag())
	}
	more := ""
	if len(shards) > mostNamed {
		more = fmt.Sprintf(" and %d more", len(shards)-mostNamed)
	}
	what, again := "shard "+numbers[0], ""
	if len(shards) > 1 {
		what, again = "shards "+strings.Join(numbers, ", "), ", and the same with "+strings.Join(flags[1:], ", ")
	}
	return fmt.Errorf("%s%s of %d missing; run again: %s%s%s", what, more, m.Shards, m.line(shards[0]), again, more)
}

// line is the command that makes a shard of the same job.
func (m *Manifest) line(s Shard) string {
	words := []string{ui.Program(m.Command)}
	for _, a := range m.Args {
		words = append(words, ui.Quote(a))
	}
	return strings.Join(append(words, "--shard", s.Flag()), " ")
}

// Broken wraps an error of a shard's files with the command that makes it again.
func (m *Manifest) Broken(err error) error {
	return fmt.Errorf("%w; run it again: %s", err, m.line(m.Of()))
}

// Incomplete is the error for a run of the job of which there is no shard at all.
func (m *Manifest) Incomplete(name string) error {
	return fmt.Errorf("no shard of the run with %s is among these; name the files of all runs, or run again: %s, and the same with the other parts of %d", name, m.line(Shard{Count: m.Shards}), m.Shards)
}
