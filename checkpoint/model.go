package checkpoint

import (
	"encoding/json"
	"fmt"
	"strconv"

	"hbar/checkpoint/safetensors"
	"hbar/data"
	"hbar/kernels"
	"hbar/nets"
	"hbar/program"
	"hbar/solver"
)

// Model is a trained score network and all that is needed to use it.
type Model struct {
	// Net is a network of another kind than an MLP, with its weights; nil: Spec and Params describe an MLP.
	Net  *nets.Network
	Spec nets.MLP
	// Params are the tensors of Spec.ParamShapes: dense0.weight, dense0.bias, dense1.weight, …, then time.freqs if
	// Spec.Fourier > 0.
	Params []kernels.Param
	// Shape is the shape of a sample where it is not the network's: that of the images whose coordinates an MLP takes as a row.
	Shape []int

	Schedule       string             // name; empty if the file does not say
	ScheduleParams map[string]float64 // nil: the schedule's defaults
	Prediction     string             // "score", "eps", "x0", "v" or "edm"
	SigmaData      float64            // of edm; 0: the default
	Norm           data.Normalisation
	Data           string        // name of the training set
	Columns        []string      // names of the coordinates, D of them; nil: unknown
	ClassNames     []string      // of the network's classes; nil: they have numbers only
	Alphabet       data.Alphabet // of a network for text, whose samples are [characters, bits]; nil: it is none

	Training json.RawMessage   // the options of the training run, a JSON value; nil: unknown
	Version  string            // of the program that wrote the file; empty: written elsewhere
	Versions map[string]string // of what it was built with

	// ActAssumed and PredictionAssumed: the file does not name them, and silu and score are taken.
	ActAssumed, PredictionAssumed bool

	// Notes are what a user should know about a model from elsewhere, a line each. They are not stored.
	Notes []string
}

// Config is the kind of the network with its sizes.
func (m *Model) Config() nets.Config {
	if m.Net != nil {
		return m.Net.Config
	}
	return m.Spec
}

// SampleShape is the shape of a sample: [D], [T, C] or [H, W, C].
func (m *Model) SampleShape() []int {
	if m.Shape != nil {
		return m.Shape
	}
	return m.Config().SampleShape()
}

// D is the number of coordinates of a sample.
func (m *Model) D() int { return program.Size(m.Config().SampleShape()) }

// Network is the network as a program with its weights, of any kind. It shares the memory of the weights.
func (m *Model) Network() (*nets.Network, error) {
	if m.Net != nil {
		return m.Net, nil
	}
	n, err := nets.New(m.Spec)
	if err != nil {
		return nil, err
	}
	for _, p := range m.Params {
		n.Weights = append(n.Weights, p.Data)
	}
	return n, n.CheckWeights()
}

// Param returns the tensor of that name, or nil.
func (m *Model) Param(name string) *kernels.Param {
	for i := range m.Params {
		if m.Params[i].Name == name {
			return &m.Params[i]
		}
	}
	return nil
}

// ScheduleName is the schedule to use: override (a --schedule flag) if given, else the file's.
func (m *Model) ScheduleName(override string) (string, error) {
	switch {
	case override != "":
		return override, nil
	case m.Schedule != "":
		return m.Schedule, nil
	}
	return "", fmt.Errorf("checkpoint: the file does not name its schedule (metadata key sde); give it with --schedule")
}

// Process is the schedule and the prediction to use the network with. schedule (a --schedule flag) replaces the file's if it is
// given; a schedule of another name has its published settings.
func (m *Model) Process(schedule string) (solver.Schedule, solver.Prediction, error) {
	name, err := m.ScheduleName(schedule)
	if err != nil {
		return nil, solver.Prediction{}, err
	}
	params := m.ScheduleParams
	if name != m.Schedule { // the settings are those of another schedule
		params = nil
	}
	s, err := solver.NewSchedule(name, params)
	if err != nil {
		return nil, solver.Prediction{}, err
	}
	p, err := solver.ParsePrediction(m.Prediction)
	if err != nil {
		return nil, p, err
	}
	p.SigmaData = m.SigmaData
	if m.Config().EmbedsTime() {
		p = p.Embedded(s)
	}
	return s, p, nil
}

// Save writes the model to path, whole or not at all. A model that Load would refuse is refused here.
func (m *Model) Save(path string) error {
	f, err := m.file()
	if err != nil {
		return fmt.Errorf("checkpoint: %s: not saved: %w", path, err)
	}
	if err := safetensors.WriteFile(path, f); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

func (m *Model) file() (*safetensors.File, error) {
	if err := m.validate(); err != nil {
		return nil, err
	}
	meta, err := m.metadata()
	if err != nil {
		return nil, err
	}
	f := &safetensors.File{Metadata: meta}
	if m.Net != nil {
		f.Tensors = published(m.Net)
	} else {
		f.Tensors = tensors("", m.Params)
	}
	return f, nil
}

// metadata is all but the tensors.
func (m *Model) metadata() (map[string]string, error) {
	network, err := nets.Marshal(m.Config())
	if err != nil {
		return nil, err
	}
	meta := map[string]string{"format": format, "prediction": m.Prediction}
	for _, v := range []struct{ key, value string }{
		{"sde", m.Schedule}, {"data", m.Data}, {"hbar_version", m.Version}, {"training", string(m.Training)},
	} {
		if v.value != "" {
			meta[v.key] = v.value
		}
	}
	if m.SigmaData != 0 {
		meta["sigma_data"] = strconv.FormatFloat(m.SigmaData, 'g', -1, 64)
	}
	var alphabet any // none
	if m.Alphabet != nil {
		alphabet = string(m.Alphabet)
	}
	for key, value := range map[string]any{
		"net":             json.RawMessage(network),
		"shape":           m.Shape,
		"normalisation":   m.Norm,
		"columns":         m.Columns,
		"class_names":     m.ClassNames,
		"schedule_params": m.ScheduleParams,
		"versions":        m.Versions,
		"alphabet":        alphabet,
	} {
		b, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if string(b) != "null" {
			meta[key] = string(b)
		}
	}
	return meta, nil
}

// format marks our own files.
const format = "hbar"

// validate checks all that Load promises.
func (m *Model) validate() error {
	if err := m.validateWeights(); err != nil {
		return err
	}
	if m.Shape != nil && !hasSize(m.Shape, m.D()) {
		return fmt.Errorf("the shape of a sample is %v; want one of %d coordinates", m.Shape, m.D())
	}
	if err := m.Norm.Validate(m.D()); err != nil {
		return err
	}
	if m.Columns != nil && len(m.Columns) != m.Spec.D {
		return fmt.Errorf("names of %d columns for D = %d", len(m.Columns), m.Spec.D)
	}
	if k := m.Config().Classes(); m.ClassNames != nil && len(m.ClassNames) != k {
		return fmt.Errorf("names of %d classes for a network of %d", len(m.ClassNames), k)
	}
	if m.Alphabet != nil {
		if err := m.Alphabet.Validate(); err != nil {
			return fmt.Errorf("alphabet: %w", err)
		}
		if s := m.SampleShape(); len(s) != 2 || s[1] != m.Alphabet.Bits() {
			return fmt.Errorf("samples of shape %v are no characters of %d bits, which an alphabet of %d needs", s, m.Alphabet.Bits(), len(m.Alphabet))
		}
	}
	if m.Prediction == "" {
		return fmt.Errorf("the prediction type is empty; want score, eps, x0, v or edm")
	}
	if !(m.SigmaData >= 0) || m.SigmaData > 1e30 {
		return fmt.Errorf("sigma_data is %g; want a positive number", m.SigmaData)
	}
	if m.Training != nil && !json.Valid(m.Training) {
		return fmt.Errorf("the training options are not JSON")
	}
	return nil
}

// hasSize reports whether a shape, which a file may give, has positive sizes whose product is d. It divides, since a product of what a
// file claims may overflow.
func hasSize(shape []int, d int) bool {
	for _, v := range shape {
		if v < 1 || d%v != 0 {
			return false
		}
		d /= v
	}
	return d == 1
}

func (m *Model) validateWeights() error {
	if m.Net != nil {
		return checkNetwork(m.Net)
	}
	if err := checkParams(m.Spec, m.Params); err != nil {
		return err
	}
	for i := range m.Params {
		t := tensor("", &m.Params[i])
		if err := t.Finite(); err != nil {
			return err
		}
	}
	return nil
}
