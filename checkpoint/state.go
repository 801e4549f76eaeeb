package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"hbar/checkpoint/safetensors"
	"hbar/kernels"
)

// State is what a training run needs, besides its options and data, to go on as if it had never stopped. All random
// numbers of a run are counter-based, so its position in them is a seed and a counter.
//
// In the file each group of tensors has a prefix (param/, m/, v/, ema/) and the numbers are in the metadata.
type State struct {
	Step    uint64 // optimiser steps taken
	Seed    uint64
	Sample  uint64          // counter of the next training sample's random numbers
	Options string          // hash of the options that must not change; a resume compares it
	Extra   json.RawMessage // what else the training loop keeps, a JSON value; nil: nothing

	Params, M, V, EMA []kernels.Param      // weights, Adam's moments, averaged weights; each may be empty
	Stats             map[string][]float64 // running statistics, kept in float64 under stats/
}

const stateFormat = "hbar-state"

const statsPrefix = "stats/"

type group struct {
	prefix string
	params *[]kernels.Param
}

func (s *State) groups() []group {
	return []group{{"param/", &s.Params}, {"m/", &s.M}, {"v/", &s.V}, {"ema/", &s.EMA}}
}

// Save writes the state to path, whole or not at all.
func (s *State) Save(path string) error {
	f := &safetensors.File{Metadata: map[string]string{
		"format":  stateFormat,
		"step":    strconv.FormatUint(s.Step, 10),
		"seed":    strconv.FormatUint(s.Seed, 10),
		"sample":  strconv.FormatUint(s.Sample, 10),
		"options": s.Options,
	}}
	if s.Extra != nil {
		if !json.Valid(s.Extra) {
			return fmt.Errorf("checkpoint: %s: not saved: the extra state is not JSON", path)
		}
		f.Metadata["extra"] = string(s.Extra)
	}
	for _, g := range s.groups() {
		f.Tensors = append(f.Tensors, tensors(g.prefix, *g.params)...)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Stats)) {
		v := append([]float64{}, s.Stats[name]...)
		f.Tensors = append(f.Tensors, safetensors.Tensor{Name: statsPrefix + name, Shape: []int{len(v)}, F64: v})
	}
	for i := range f.Tensors {
		if err := f.Tensors[i].Finite(); err != nil {
			return fmt.Errorf("checkpoint: %s: not saved: %w", path, err)
		}
	}
	if err := safetensors.WriteFile(path, f); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

// LoadState reads a state file.
func LoadState(path string) (*State, error) {
	f, err := safetensors.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	s, err := stateFromFile(f)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %s: %w", path, err)
	}
	return s, nil
}

func stateFromFile(f *safetensors.File) (*State, error) {
	if got := f.Metadata["format"]; got != stateFormat {
		return nil, fmt.Errorf("not a training state: metadata format is %.40q, want %q", got, stateFormat)
	}
	s := &State{Options: f.Metadata["options"]}
	for _, v := range []struct {
		key  string
		into *uint64
	}{{"step", &s.Step}, {"seed", &s.Seed}, {"sample", &s.Sample}} {
		n, err := strconv.ParseUint(f.Metadata[v.key], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("metadata %s: %.40q is not a number", v.key, f.Metadata[v.key])
		}
		*v.into = n
	}
	if text, ok := f.Metadata["extra"]; ok {
		if !json.Valid([]byte(text)) {
			return nil, errors.New("metadata extra: not JSON")
		}
		s.Extra = json.RawMessage(text)
	}
	for i := range f.Tensors {
		if err := s.add(&f.Tensors[i]); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *State) add(t *safetensors.Tensor) error {
	if err := t.Finite(); err != nil {
		return err
	}
	if name, ok := strings.CutPrefix(t.Name, statsPrefix); ok {
		if t.F64 == nil || len(t.Shape) != 1 {
			return fmt.Errorf("tensor %.80q is %s of shape %v; want a list of F64", t.Name, t.DType(), t.Shape)
		}
		if s.Stats == nil {
			s.Stats = map[string][]float64{}
		}
		s.Stats[name] = t.F64
		return nil
	}
	for _, g := range s.groups() {
		if name, ok := strings.CutPrefix(t.Name, g.prefix); ok {
			p, err := param(name, t)
			if err == nil {
				*g.params = append(*g.params, p)
			}
			return err
		}
	}
	return fmt.Errorf("tensor %.80q is no part of a training state", t.Name)
}
