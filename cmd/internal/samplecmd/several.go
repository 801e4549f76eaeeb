package samplecmd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hbar/cmd/internal/ui"
	"hbar/samples"
)

// runs are the options of each combination of the values of --h, --steps and --sampler, in this order. If there are several, each
// has a name, and files that are called after it.
func (o options) runs() []options {
	var all []options
	for _, h := range o.hs {
		for _, steps := range o.manySteps {
			for _, sampler := range o.samplers {
				r := o
				r.h, r.steps, r.sampler = h, steps, sampler
				var names, suffixes []string
				if len(o.hs) > 1 {
					names, suffixes = append(names, "h = "+h.String()), append(suffixes, "-h"+strings.ReplaceAll(h.String(), ",", "_"))
				}
				if len(o.manySteps) > 1 {
					names, suffixes = append(names, ui.Count(int64(steps))+" steps"), append(suffixes, fmt.Sprintf("-steps%d", steps))
				}
				if len(o.samplers) > 1 {
					names, suffixes = append(names, sampler), append(suffixes, "-"+sampler)
				}
				r.name = strings.Join(names, ", ")
				for _, path := range []*string{&r.out, &r.plot, &r.tilt.weights} {
					*path = o.shard.Shard.Path(suffixed(*path, strings.Join(suffixes, "")))
				}
				all = append(all, r)
			}
		}
	}
	return all
}

// suffixed is a file's name with a suffix before its ending. "" and the names of devices stay as they are.
func suffixed(path, suffix string) string {
	if path == "" || suffix == "" {
		return path
	}
	if samples.IsFolder(path) {
		return filepath.Clean(path) + suffix + "/"
	}
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() && !st.IsDir() {
		return path
	}
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + suffix + ext
}

// distinct refuses a value that is there twice, and with it a file that would be written twice.
func (o options) distinct() error {
	for i, h := range o.hs {
		if slices.Contains(o.hs[:i], h) {
			return ui.Usagef("--h has %v twice; each value makes a file of its own", h)
		}
	}
	for i, steps := range o.manySteps {
		if slices.Contains(o.manySteps[:i], steps) {
			return ui.Usagef("--steps has %d twice; each value makes a file of its own", steps)
		}
	}
	for i, sampler := range o.samplers {
		if slices.Contains(o.samplers[:i], sampler) {
			return ui.Usagef("--sampler has %s twice; each makes a file of its own", sampler)
		}
	}
	return nil
}

// sheets collects a contact sheet of one run, or a row of each of several.
type sheets struct {
	names []string
	rows  []*samples.Sheet
}

// add takes the sheet of a run.
func (s *sheets) add(name string, sheet *samples.Sheet) {
	if sheet != nil {
		s.names, s.rows = append(s.names, name), append(s.rows, sheet)
	}
}

// finish draws the contact sheet: of one run, or a table with a row of each.
func (o options) finish(io ui.Streams, s *sheets) (err error) {
	switch {
	case len(s.rows) == 0:
		return nil
	case s.names[0] == "":
		err = s.rows[0].Write(o.sheet)
	default:
		err = samples.WriteRows(o.sheet, s.names, s.rows)
	}
	if err == nil {
		fmt.Fprintf(io.Out, "sheet     %s\n", o.sheet)
	}
	return err
}

// stopped is the error of a run among several: it says which, and what is left to do. The rows of those before it are drawn.
func (o options) stopped(err error, io ui.Streams, left []options, s *sheets) error {
	if o.name == "" {
		return err
	}
	err = errors.Join(err, o.finish(io, s))
	names := make([]string, len(left))
	for i, r := range left {
		names[i] = r.name
	}
	if len(left) > 0 {
		return fmt.Errorf("%s: %w; not begun: %s", o.name, err, strings.Join(names, "; "))
	}
	return fmt.Errorf("%s: %w", o.name, err)
}
