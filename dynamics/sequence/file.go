package sequence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"

	"hbar/internal/atomicfile"
	"hbar/nets"
)

// fileFormat names the file's form.
const fileFormat = "hbar dynamics sequence 1"

type fileJSON struct {
	Format  string               `json:"format"`
	Note    string               `json:"note"`
	Net     nets.Memory          `json:"net"`
	Scale   Scale                `json:"scale"`
	Weights map[string][]float32 `json:"weights"`
}

// Save writes the model as JSON, whole or not at all.
func (f *Fit) Save(path string) error {
	b, err := json.Marshal(fileJSON{fileFormat, f.Note, f.Memory, f.Scale, f.Weights()})
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return atomicfile.WriteFile(path, append(b, '\n'))
}

// ErrOther is the error of a file that is no model of this package.
var ErrOther = errors.New("not a model of sequences")

// Load reads what Save wrote.
func Load(path string) (*Fit, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if !bytes.Contains(b[:min(len(b), 100)], []byte(fileFormat)) {
		return nil, ErrOther
	}
	var j fileJSON
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&j); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f, err := j.fit()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// fit checks and assembles.
func (j *fileJSON) fit() (*Fit, error) {
	m, err := New(j.Net, 0)
	if err != nil {
		return nil, err
	}
	for i, p := range m.net.Params {
		w, ok := j.Weights[p.Name]
		if !ok || len(w) != p.Size() {
			return nil, fmt.Errorf("parameter %s has %d numbers; want %d", p.Name, len(w), p.Size())
		}
		m.net.Weights[i] = w
	}
	if len(j.Weights) != len(m.net.Params) {
		return nil, fmt.Errorf("%d parameters; want %d", len(j.Weights), len(m.net.Params))
	}
	s := &j.Scale
	p := j.Net.Outputs
	lengths := map[string][2]int{"mean": {len(s.Mean), p}, "sd": {len(s.SD), p}, "start": {len(s.Start), 0}}
	if s.Symbols {
		lengths = map[string][2]int{"mean": {len(s.Mean), 0}, "sd": {len(s.SD), 0}, "start": {len(s.Start), p}}
	}
	for name, l := range lengths {
		if l[0] != l[1] {
			return nil, fmt.Errorf("%s has %d numbers; want %d", name, l[0], l[1])
		}
	}
	for _, v := range s.SD {
		if !(v > 0) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("a standard deviation of %g; want a positive number", v)
		}
	}
	if !(s.Dt > 0) || math.IsInf(s.Dt, 0) || s.Symbols != j.Net.Symbols || s.Inputs(p) != j.Net.Inputs {
		return nil, errors.New("the scale does not fit the network")
	}
	return &Fit{Model: m, Scale: *s, Note: j.Note}, nil
}
