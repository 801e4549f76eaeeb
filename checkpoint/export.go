package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"hbar/checkpoint/safetensors"
	"hbar/internal/atomicfile"
	"hbar/nets"
	"hbar/solver"
)

// Export writes the network to a directory in the published form: config.json, diffusion_pytorch_model.safetensors with
// PyTorch's names and layout, and scheduler_config.json where the schedule is a discrete chain with a prediction that
// diffusers knows. What those files cannot say, the normalisation and other schedules, is in the metadata of the weights,
// from which Load takes it. Export returns what a reader of the directory should know, a line each.
//
// The directory is made if it is not there; if it is, it must be empty. config.json is written last, so that a directory that
// has it is complete.
func (m *Model) Export(dir string) ([]string, error) {
	if m.Net == nil {
		return nil, errors.New("checkpoint: not exported: the network is an MLP, which has no published form; PyTorch reads its file as it is")
	}
	if err := m.validate(); err != nil {
		return nil, fmt.Errorf("checkpoint: not exported: %w", err)
	}
	config, err := nets.ToPublished(m.Net.Config)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: not exported: %w", err)
	}
	meta, err := m.metadata()
	if err != nil {
		return nil, fmt.Errorf("checkpoint: not exported: %w", err)
	}
	meta["format"] = "pt" // as PyTorch's own files say
	delete(meta, "net")
	var notes []string
	scheduler, err := m.scheduler()
	if err != nil {
		notes = append(notes, fmt.Sprintf("no %s is written, since diffusers has no scheduler for this model: %v", schedulerName, err))
		if m.Schedule != "" {
			notes = append(notes, fmt.Sprintf("the schedule %s and the prediction %s are in the metadata of the weights", m.Schedule, m.Prediction))
		}
	} else {
		delete(meta, "sde")
		delete(meta, "schedule_params")
		delete(meta, "prediction")
	}
	if shape := m.SampleShape(); m.Config().Kind() == "dit" && len(shape) == 3 {
		switch {
		case m.Config().Classes() == 0:
			notes = append(notes, "the network takes no labels; facebookresearch/DiT makes a table of labels in any case, so that its class does not load these weights as they are")
		case shape[0] != shape[1]:
			notes = append(notes, "samples are not square, which facebookresearch/DiT wants them to be")
		}
	}
	made, err := emptyDir(dir)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: not exported: %w", err)
	}
	if err := m.writePublished(dir, meta, scheduler, config); err != nil {
		for _, name := range []string{weightNames[0], schedulerName} { // what was complete before
			os.Remove(filepath.Join(dir, name))
		}
		if made {
			os.Remove(dir)
		}
		return nil, fmt.Errorf("checkpoint: not exported: %w", err)
	}
	return notes, nil
}

// writePublished writes the files of an export. scheduler is nil where there is none.
func (m *Model) writePublished(dir string, meta map[string]string, scheduler, config []byte) error {
	if err := safetensors.WriteFile(filepath.Join(dir, weightNames[0]), &safetensors.File{Metadata: meta, Tensors: published(m.Net)}); err != nil {
		return err
	}
	if scheduler != nil {
		if err := atomicfile.WriteFile(filepath.Join(dir, schedulerName), scheduler); err != nil {
			return err
		}
	}
	return atomicfile.WriteFile(filepath.Join(dir, configName), config)
}

// emptyDir makes the directory, or tests that it is empty. It reports whether it made it.
func emptyDir(dir string) (made bool, err error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, os.MkdirAll(dir, 0o777)
	case err != nil:
		return false, err
	case len(entries) > 0:
		return false, fmt.Errorf("%s is not empty; want a new directory", dir)
	}
	return false, nil
}

// scheduler is the scheduler_config.json of the model, or an error that says why there is none.
func (m *Model) scheduler() ([]byte, error) {
	if m.Schedule == "" {
		return nil, errors.New("the file does not name its schedule")
	}
	schedule, err := solver.NewSchedule(m.Schedule, m.ScheduleParams)
	if err != nil {
		return nil, err
	}
	d, ok := schedule.(*solver.DDPM)
	if !ok {
		return nil, fmt.Errorf("the schedule is %s, which is not discrete", m.Schedule)
	}
	if d.Start != 1/d.Steps || d.End != 1 {
		return nil, fmt.Errorf("its times go from %g to %g; those of %g steps go from %g to 1", d.Start, d.End, d.Steps, 1/d.Steps)
	}
	s := struct {
		scheduler
		Clip     bool   `json:"clip_sample"`
		Variance string `json:"variance_type"`
	}{scheduler{Class: "DDPMScheduler", Steps: &d.Steps, Betas: "linear", BetaStart: &d.BetaStart, BetaEnd: &d.BetaEnd}, false, "fixed_small"}
	if d.Cosine {
		s.Betas, s.BetaStart, s.BetaEnd = "squaredcos_cap_v2", nil, nil
	}
	for _, p := range predictionTypes {
		if p[1] == m.Prediction {
			s.Prediction = p[0]
		}
	}
	if s.Prediction == "" {
		return nil, fmt.Errorf("the prediction is %s; have eps, x0, v", m.Prediction)
	}
	text, err := json.MarshalIndent(s, "", "  ")
	return append(text, '\n'), err
}
