package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"hbar/checkpoint/safetensors"
	"hbar/data"
	"hbar/kernels"
	"hbar/nets"
)

// Load reads a model file, ours or a plain MLP's from PyTorch, or a directory with a network as diffusers keeps it: see
// loadDir.
func Load(path string) (*Model, error) { return read(path, false) }

// LoadNetwork is Load for those who only evaluate the network. If scheduler_config.json asks for a schedule or a prediction that hbar does not have, the model
// has no schedule, its prediction is Unknown, and a note says why.
func LoadNetwork(path string) (*Model, error) { return read(path, true) }

// Unknown is the prediction of a model of LoadNetwork where hbar does not have it.
const Unknown = "unknown"

func read(path string, networkOnly bool) (*Model, error) {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		m, err := loadDir(path, networkOnly)
		if err != nil {
			return nil, fmt.Errorf("checkpoint: %w", err)
		}
		return m, nil
	}
	f, err := safetensors.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	m, err := fromFile(f)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %s: %w", path, err)
	}
	return m, nil
}

// Read is Load for a file of size bytes that is already open.
func Read(r io.Reader, size int64) (*Model, error) {
	f, err := safetensors.Read(r, size)
	if err == nil {
		var m *Model
		if m, err = fromFile(f); err == nil {
			return m, nil
		}
	}
	return nil, fmt.Errorf("checkpoint: %w", err)
}

func fromFile(f *safetensors.File) (*Model, error) {
	if f.Metadata["format"] == stateFormat {
		return nil, errors.New("this is a training state, for --resume; the model is in the file beside it")
	}
	m := &Model{
		Schedule:   f.Metadata["sde"],
		Prediction: f.Metadata["prediction"],
		Data:       f.Metadata["data"],
		Version:    f.Metadata["hbar_version"],
	}
	if m.Prediction == "" {
		m.Prediction, m.PredictionAssumed = "score", true
	}
	if err := m.readMetadata(f.Metadata); err != nil {
		return nil, err
	}
	m.noteRounded(f.Tensors)
	if err := m.readNetwork(f); err != nil {
		return nil, err
	}
	return m, m.validate()
}

// readNetwork reads the network that the metadata describe, or an MLP where they describe none.
func (m *Model) readNetwork(f *safetensors.File) error {
	var err error
	text, described := f.Metadata["net"]
	if described {
		c, err := nets.Unmarshal([]byte(text))
		if err != nil {
			return fmt.Errorf("metadata net: %w", err)
		}
		mlp, ok := c.(nets.MLP)
		if !ok {
			return m.fill(c, f.Tensors)
		}
		m.Spec = mlp
	}
	if m.Params, err = orderParams(f.Tensors); err != nil {
		return err
	}
	if !described {
		m.ActAssumed = true
		m.Spec, err = inferSpec(m.Params)
	}
	return err
}

func (m *Model) readMetadata(meta map[string]string) error {
	for _, v := range []struct {
		key  string
		into any
	}{{"normalisation", &m.Norm}, {"columns", &m.Columns}, {"class_names", &m.ClassNames}, {"schedule_params", &m.ScheduleParams}, {"versions", &m.Versions}, {"shape", &m.Shape}} {
		if text, ok := meta[v.key]; ok {
			if err := unmarshal(text, v.into); err != nil {
				return fmt.Errorf("metadata %s: %w", v.key, err)
			}
		}
	}
	if text, ok := meta["alphabet"]; ok {
		var characters string
		if err := unmarshal(text, &characters); err != nil {
			return fmt.Errorf("metadata alphabet: %w", err)
		}
		m.Alphabet = data.Alphabet(characters)
	}
	if text, ok := meta["training"]; ok {
		if !json.Valid([]byte(text)) {
			return errors.New("metadata training: not JSON")
		}
		m.Training = json.RawMessage(text)
	}
	if text, ok := meta["sigma_data"]; ok {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("metadata sigma_data: %.40q is not a number", text)
		}
		m.SigmaData = v
	}
	return nil
}

// unmarshal refuses fields that it does not know: they would change what the file means.
func unmarshal(text string, into any) error {
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("text after the JSON value")
	}
	return nil
}

// inferSpec reads a plain MLP off the shapes of its layers: [x, t] → Width → … → D.
func inferSpec(params []kernels.Param) (nets.MLP, error) {
	if len(params) < 4 || len(params)%2 != 0 {
		return nets.MLP{}, errors.New("without metadata net, weights and biases of two or more dense layers are needed")
	}
	last := params[len(params)-2]
	s := nets.MLP{D: last.Rows, Width: params[0].Rows, Depth: len(params)/2 - 1, Act: "silu"}
	if in := params[0].Cols; in != s.D+1 {
		return s, fmt.Errorf("the first layer takes %d inputs and the last gives D = %d; without metadata net, D + 1 inputs (coordinates, then the time) are expected", in, s.D)
	}
	return s, nil
}
