package classify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"hbar/checkpoint/safetensors"
	"hbar/data"
	"hbar/nets"
)

// metadataKey is where a file describes its classifier, as the JSON of description.
const metadataKey = "classifier"

type description struct {
	Config     nets.Classifier    `json:"config"`
	Norm       data.Normalisation `json:"normalisation"`
	ClassNames []string           `json:"class_names,omitempty"`
	Data       string             `json:"data"`
	Options    Options            `json:"training"`
	Test       *Test              `json:"test,omitempty"`
}

// Save writes the classifier as .safetensors: weights by the names and in the layouts of PyTorch, and all else in the metadata.
func (m *Model) Save(path string) error {
	text, err := json.Marshal(description{m.Config, m.Norm, m.ClassNames, m.Data, m.Options, m.Test})
	if err != nil {
		return err
	}
	f := &safetensors.File{Metadata: map[string]string{metadataKey: string(text)}}
	for i, p := range m.net.Params {
		f.Tensors = append(f.Tensors, safetensors.Tensor{Name: p.Name, Shape: p.Published, F32: p.ToPublished(m.net.Weights[i])})
	}
	return safetensors.WriteFile(path, f)
}

// Load reads what Save wrote.
func Load(path string) (*Model, error) {
	f, err := safetensors.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("classify: %w", err)
	}
	m, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("classify: %s: %w", path, err)
	}
	return m, nil
}

func read(f *safetensors.File) (*Model, error) {
	text, ok := f.Metadata[metadataKey]
	if !ok {
		return nil, errors.New("not a classifier: classify train makes one")
	}
	var d description
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return nil, fmt.Errorf("the description: %w", err)
	}
	net, err := nets.NewClassifier(d.Config)
	if err != nil {
		return nil, err
	}
	if err := d.Norm.Validate(sizeOf(d.Config.Shape)); err != nil {
		return nil, err
	}
	if d.ClassNames != nil && len(d.ClassNames) != d.Config.Classes {
		return nil, fmt.Errorf("%d names for %d classes", len(d.ClassNames), d.Config.Classes)
	}
	for i := range net.Params {
		p := &net.Params[i]
		k := slices.IndexFunc(f.Tensors, func(t safetensors.Tensor) bool { return t.Name == p.Name })
		if k < 0 {
			return nil, fmt.Errorf("there is no tensor %s", p.Name)
		}
		t := &f.Tensors[k]
		if !slices.Equal(t.Shape, p.Published) {
			return nil, fmt.Errorf("tensor %s has the shape %v; want %v", p.Name, t.Shape, p.Published)
		}
		if err := t.Finite(); err != nil {
			return nil, err
		}
		w, err := t.Float32()
		if err != nil {
			return nil, err
		}
		net.Weights = append(net.Weights, p.FromPublished(w))
	}
	return &Model{Config: d.Config, Norm: d.Norm, ClassNames: d.ClassNames, Data: d.Data, Options: d.Options, Test: d.Test, net: net}, nil
}

func sizeOf(shape []int) int {
	n := 1
	for _, v := range shape {
		n *= v
	}
	return n
}
