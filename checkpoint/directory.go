package checkpoint

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"hbar/checkpoint/safetensors"
	"hbar/data"
	"hbar/nets"
	"hbar/solver"
)

const configName = "config.json"

// weightNames are the files of weights, the first that is there; the last is the variant fp16 of diffusers.
var weightNames = []string{"diffusion_pytorch_model.safetensors", "model.safetensors", "diffusion_pytorch_model.fp16.safetensors"}

// IsModelFile reports whether a file of this name in a directory is one that Load may read there: not the state of a training, nor what
// commands keep beside a model.
func IsModelFile(name string) bool {
	return name == configName || name == schedulerName || slices.Contains(weightNames, name)
}

// loadDir reads a directory as diffusers writes it: config.json and diffusion_pytorch_model.safetensors or model.safetensors,
// in the directory itself or in its folder unet, and scheduler_config.json there or in the folder scheduler. A directory
// with model.safetensors alone is one of a training run. networkOnly is for LoadNetwork.
func loadDir(dir string, networkOnly bool) (*Model, error) {
	base, err := configDir(dir)
	if err != nil {
		return nil, err
	}
	if base == "" { // a run's directory
		path := filepath.Join(dir, weightNames[1])
		f, err := safetensors.ReadFile(path)
		if err != nil {
			return nil, err
		}
		m, err := fromFile(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return m, nil
	}
	path := filepath.Join(base, configName)
	text, err := readSmall(path)
	if err != nil {
		return nil, err
	}
	config, err := nets.FromPublished(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	path, err = weightFile(base)
	if err != nil {
		return nil, err
	}
	f, err := safetensors.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := &Model{Schedule: f.Metadata["sde"], Prediction: f.Metadata["prediction"], Data: f.Metadata["data"], Version: f.Metadata["hbar_version"]}
	if err := m.readMetadata(f.Metadata); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m.noteRounded(f.Tensors)
	if err := m.fill(config, f.Tensors); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if m.Schedule == "" {
		err := m.readScheduler(dir, base)
		if networkOnly && errors.As(err, new(unsupported)) {
			m.Schedule, m.ScheduleParams, m.Prediction = "", nil, Unknown
			m.Notes = append(m.Notes, fmt.Sprintf("the network can only be evaluated: %v", err))
			err = nil
		}
		if err != nil {
			return nil, err
		}
	}
	if _, ok := f.Metadata["normalisation"]; !ok && len(config.SampleShape()) == 3 {
		m.assumePixels(dir, config.SampleShape()[2])
	}
	if config.Variance() {
		m.Notes = append(m.Notes, "the network also gives a variance, in the second half of its channels, which is not used")
	}
	if err := m.validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// assumePixels takes samples to be images of bytes, unless an autoencoder lies beside the network, whose latents they then are.
func (m *Model) assumePixels(dir string, channels int) {
	folders := []string{dir}
	if p := pipeline(dir); p != "" {
		folders = append(folders, p)
	}
	for _, folder := range folders {
		for _, name := range []string{"vae", "vqvae"} {
			if _, err := os.Stat(filepath.Join(folder, name, configName)); err == nil {
				m.Notes = append(m.Notes, fmt.Sprintf("there is an autoencoder in %s: samples are its latents as the network has them, not pictures, and are not normalised", filepath.Join(folder, name)))
				return
			}
		}
	}
	m.Norm = pixels()
	if channels == 4 {
		m.Notes = append(m.Notes, "samples have 4 channels and are taken to be pictures of bytes, x/127.5 − 1; many networks of 4 channels make latents of an autoencoder, and of a latent x, (x + 1)·127.5 is then written")
	}
}

// pipeline is the folder of a whole pipeline if dir is the folder unet in one, or "".
func pipeline(dir string) string {
	if whole, err := filepath.Abs(dir); err == nil && filepath.Base(whole) == "unet" {
		return filepath.Dir(whole)
	}
	return ""
}

// pixels is x/127.5 − 1, the normalisation of images of bytes.
func pixels() data.Normalisation {
	return data.Normalisation{Mean: []float64{127.5}, Scale: []float64{127.5}}
}

// configDir is the folder with config.json, or "" for the directory of a run.
func configDir(dir string) (string, error) {
	for _, base := range []string{dir, filepath.Join(dir, "unet")} {
		if _, err := os.Stat(filepath.Join(base, configName)); err == nil {
			return base, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	if _, err := os.Stat(filepath.Join(dir, weightNames[1])); err == nil {
		return "", nil
	}
	return "", fmt.Errorf("%s has no %s, neither itself nor in its folder unet; want a directory as diffusers writes it", dir, configName)
}

// weightFile is the file of weights in a folder.
func weightFile(base string) (string, error) {
	for _, name := range weightNames {
		path := filepath.Join(base, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	for name, hint := range map[string]string{
		"diffusion_pytorch_model.bin":                    "it has diffusion_pytorch_model.bin, a pickle, which is not read; save it with safe_serialization=True",
		"diffusion_pytorch_model.safetensors.index.json": "its weights are split into several files, which are not read; save them as one",
	} {
		if _, err := os.Stat(filepath.Join(base, name)); err == nil {
			return "", fmt.Errorf("%s has no %s; %s", base, strings.Join(weightNames[:2], " or "), hint)
		}
	}
	return "", fmt.Errorf("%s has no %s", base, strings.Join(weightNames[:2], " or "))
}

// readSmall reads a file of settings.
func readSmall(path string) ([]byte, error) {
	const limit = 1 << 20
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && len(text) > limit {
		err = fmt.Errorf("%s has more than %d bytes, which no settings have", path, limit)
	}
	return text, err
}

// scheduler is what matters of a scheduler_config.json: the discrete chain that the network was trained for. The other settings
// choose how to sample it.
type scheduler struct {
	Class      string   `json:"_class_name"`
	Steps      *float64 `json:"num_train_timesteps,omitempty"`
	Betas      string   `json:"beta_schedule,omitempty"`
	BetaStart  *float64 `json:"beta_start,omitempty"`
	BetaEnd    *float64 `json:"beta_end,omitempty"`
	Trained    any      `json:"trained_betas,omitempty"`
	ZeroSNR    bool     `json:"rescale_betas_zero_snr,omitempty"`
	Prediction string   `json:"prediction_type,omitempty"`

	// PredictEpsilon is how diffusers said it before 0.10, and where it is there it decides, as in diffusers.
	PredictEpsilon *bool `json:"predict_epsilon,omitempty"`
	// These two change what the network is given as the time.
	FlowSigmas   bool   `json:"use_flow_sigmas,omitempty"`
	TimestepType string `json:"timestep_type,omitempty"`
}

// predictionTypes are diffusers' names of predictions and ours.
var predictionTypes = [][2]string{{"epsilon", "eps"}, {"sample", "x0"}, {"v_prediction", "v"}}

// discrete are the schedulers of diffusers that run a discrete chain of β.
var discrete = []string{"DDPMScheduler", "DDIMScheduler", "DDIMInverseScheduler", "DDPMParallelScheduler", "DDIMParallelScheduler", "PNDMScheduler", "LMSDiscreteScheduler",
	"EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler",
	"DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "DPMSolverSDEScheduler", "DEISMultistepScheduler", "UniPCMultistepScheduler"}

// narrow are those whose β go from 0.00085 to 0.012 where the settings do not say otherwise; those of the others go from 0.0001 to 0.02.
var narrow = []string{"HeunDiscreteScheduler", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "DPMSolverSDEScheduler"}

// readScheduler sets schedule and prediction from scheduler_config.json, or to DDPM's where there is none.
func (m *Model) readScheduler(dir, base string) error {
	known := m.Prediction // by the metadata of the weights
	m.Schedule, m.Prediction = "ddpm", cmp.Or(known, "eps")
	folders := []string{filepath.Join(dir, "scheduler"), dir, base}
	if p := pipeline(dir); p != "" {
		folders = append(folders, filepath.Join(p, "scheduler"))
	}
	for _, folder := range folders {
		path := filepath.Join(folder, schedulerName)
		text, err := readSmall(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = m.setScheduler(text)
		}
		if err != nil && !strings.Contains(err.Error(), path) {
			err = fmt.Errorf("%s: %w", path, err)
		}
		return err
	}
	m.Notes = append(m.Notes, "there is no "+schedulerName+": the schedule is taken to be ddpm, with β from 0.0001 to 0.02, and the prediction "+m.Prediction)
	return nil
}

const schedulerName = "scheduler_config.json"

// quoteNumbers puts NaN and infinities, which Python writes and JSON does not have, between quotes. A setting that is used is then refused, and one
// that is not is no matter.
func quoteNumbers(text []byte) []byte {
	return pythonNumbers.ReplaceAllFunc(text, func(part []byte) []byte {
		if part[0] == '"' {
			return part
		}
		return slices.Concat([]byte{'"'}, part, []byte{'"'})
	})
}

// pythonNumbers matches strings too, so that what is in one is left alone.
var pythonNumbers = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|-?Infinity|NaN`)

// settingError says in the words of JSON that a setting has another type than it must have. Other errors it leaves.
func settingError(text []byte, err error) error {
	var e *json.UnmarshalTypeError
	if !errors.As(err, &e) {
		return err
	}
	var fields map[string]json.RawMessage
	var b bytes.Buffer
	if json.Compact(&b, text) != nil || json.Unmarshal(b.Bytes(), &fields) != nil {
		return errors.New("the JSON value is no object; want settings by name")
	}
	want := map[reflect.Kind]string{reflect.Float64: "a number", reflect.String: "text", reflect.Bool: "true or false"}[e.Type.Kind()]
	return fmt.Errorf("setting %q is %.60s; want %s", e.Field, cmp.Or(string(fields[e.Field]), e.Value), want)
}

// unsupported says that a scheduler_config.json asks for what hbar does not have.
type unsupported struct{ error }

func (m *Model) setScheduler(text []byte) error {
	var s scheduler
	text = quoteNumbers(text)
	if err := json.Unmarshal(text, &s); err != nil {
		return settingError(text, err)
	}
	if s.PredictEpsilon != nil {
		says := "sample"
		if *s.PredictEpsilon {
			says = "epsilon"
		}
		if s.Prediction != "" && s.Prediction != says {
			return fmt.Errorf(`setting "predict_epsilon" is %t, and "prediction_type" is %.60q; want one of them`, *s.PredictEpsilon, s.Prediction)
		}
		s.Prediction = says
	}
	switch {
	case s.FlowSigmas:
		return unsupported{errors.New(`setting "use_flow_sigmas" is true; only false is supported`)}
	case s.TimestepType != "" && s.TimestepType != "discrete":
		return unsupported{fmt.Errorf(`setting "timestep_type" is %.60q; only discrete is supported`, s.TimestepType)}
	case s.Class != "" && !slices.Contains(discrete, s.Class):
		return unsupported{fmt.Errorf("scheduler %.60q is not one of a discrete chain of β; have %s", s.Class, strings.Join(discrete, ", "))}
	case s.Trained != nil:
		return unsupported{errors.New(`setting "trained_betas" gives a list of β; only null is supported`)}
	case s.ZeroSNR:
		return unsupported{errors.New(`setting "rescale_betas_zero_snr" is true; only false is supported`)}
	}
	if s.Steps != nil && !(*s.Steps >= 2) {
		return fmt.Errorf(`setting "num_train_timesteps" is %g; want at least 2`, *s.Steps)
	}
	m.ScheduleParams = map[string]float64{}
	switch s.Betas {
	case "", "linear":
		m.Schedule = "ddpm"
		if slices.Contains(narrow, s.Class) {
			m.ScheduleParams = map[string]float64{"beta_start": 0.00085, "beta_end": 0.012}
		}
		for name, v := range map[string]*float64{"beta_start": s.BetaStart, "beta_end": s.BetaEnd} {
			if v != nil {
				m.ScheduleParams[name] = *v
			}
		}
	case "squaredcos_cap_v2":
		m.Schedule = "ddpm-cosine"
	default:
		return unsupported{fmt.Errorf(`setting "beta_schedule" is %.60q; have linear, squaredcos_cap_v2`, s.Betas)}
	}
	if s.Steps != nil {
		m.ScheduleParams["steps"], m.ScheduleParams["tmin"] = *s.Steps, 1 / *s.Steps
	}
	if _, err := solver.NewSchedule(m.Schedule, m.ScheduleParams); err != nil {
		return err
	}
	var have []string
	for _, p := range predictionTypes {
		if s.Prediction == p[0] || s.Prediction == "" {
			m.Prediction = p[1]
			return nil
		}
		have = append(have, p[0])
	}
	return unsupported{fmt.Errorf(`setting "prediction_type" is %.60q; have %s`, s.Prediction, strings.Join(have, ", "))}
}
