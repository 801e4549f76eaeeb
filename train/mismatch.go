package train

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"hbar/checkpoint"
)

// Difference is an option that a checkpoint was made with and a resumed run does not have.
type Difference struct {
	Name       string // as in JSON
	Saved, Now string
}

func (d Difference) String() string {
	return fmt.Sprintf("%s was %s and is %s", d.Name, d.Saved, d.Now)
}

// Mismatch is the error of a run that cannot be resumed with these options or data.
type Mismatch struct {
	Path    string       // of the state
	Differ  []Difference // empty: the data differ, or it is unknown
	Unknown bool         // there is no model file beside the state, which has the options
	Version string       // of the program that wrote it, if it is another
}

func (e *Mismatch) Error() string {
	const may = "only steps (unless the learning rate decays), workers and intervals may change"
	if len(e.Differ) > 0 {
		parts := make([]string, len(e.Differ))
		for i, d := range e.Differ {
			parts[i] = d.String()
		}
		return fmt.Sprintf("train: %s was made with other options: %s; %s", e.Path, strings.Join(parts, ", "), may)
	}
	if e.Unknown {
		return fmt.Sprintf("train: %s was made with other options or other data; %s", e.Path, may)
	}
	by := ""
	if e.Version != "" {
		by = fmt.Sprintf(", or was made by a version that defines them differently (%s)", e.Version)
	}
	return fmt.Sprintf("train: %s was made with other data: all options are the same, the numbers to train on are not%s", e.Path, by)
}

// mismatch finds out which options differ from those of the checkpoint at path.
func (t *Run) mismatch(path string) error {
	e := &Mismatch{Path: path}
	m, err := checkpoint.Load(filepath.Join(filepath.Dir(path), ModelFile))
	if err != nil || len(m.Training) == 0 {
		e.Unknown = true
		return e
	}
	var saved Options
	if err := json.Unmarshal(m.Training, &saved); err != nil {
		e.Unknown = true
		return e
	}
	if version, _ := Versions(); version != m.Version {
		e.Version = m.Version
	}
	e.Differ = Differences(saved.decisive(), t.o.decisive())
	return e
}

// Differences are the fields of two structs' JSON that are not equal, by name.
func Differences(saved, now any) (out []Difference) {
	a, b := fields(saved), fields(now)
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if _, ok := a[name]; !ok {
			a[name] = json.RawMessage("absent")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a)) {
		v, ok := b[name]
		if !ok {
			v = json.RawMessage("absent")
		}
		if !bytes.Equal(a[name], v) {
			out = append(out, Difference{name, string(a[name]), string(v)})
		}
	}
	return out
}

func fields(v any) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	if b, err := json.Marshal(v); err == nil {
		_ = json.Unmarshal(b, &out)
	}
	return out
}
