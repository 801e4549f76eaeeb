package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"hbar/checkpoint"
	"hbar/data"
	"hbar/kernels"
	"hbar/kernels/fit"
	"hbar/solver"
)

// The files of a run's checkpoint.
const (
	ModelFile = "model.safetensors" // the trained network and all that sampling needs
	StateFile = "state.safetensors" // what else a resumed run needs
)

// describe is the model file's description of a run.
func describe(set *data.Dataset, o Options, s solver.Schedule, p solver.Prediction) (*checkpoint.Model, error) {
	training, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	version, versions := Versions()
	return &checkpoint.Model{
		Schedule:       o.Schedule,
		ScheduleParams: s.Params(),
		Prediction:     o.Prediction,
		SigmaData:      p.SigmaData,
		Norm:           set.Norm,
		Shape:          imageShape(set),
		Data:           set.Name,
		Columns:        set.Columns,
		Alphabet:       set.Alphabet,
		Training:       training,
		Version:        version,
		Versions:       versions,
	}, nil
}

// imageShape is the shape of a sample that is not a row of numbers.
func imageShape(set *data.Dataset) []int {
	if len(set.Shape) > 1 {
		return set.Shape
	}
	return nil
}

// fillModel copies the averaged weights, or the weights if there are none, into the model.
func (t *Run) fillModel() error {
	values, err := t.trainer.Averages(nil)
	if values == nil && err == nil {
		values, err = t.trainer.Params(nil)
	}
	if err != nil {
		return fmt.Errorf("train: the weights: %w", err)
	}
	for i, v := range values {
		*t.trained[i].in = v
	}
	return nil
}

// save writes the checkpoint. The state goes first: a run resumes from it alone.
func (t *Run) save() error {
	if t.o.Dir == "" {
		return nil
	}
	st, err := t.trainer.State()
	if err != nil {
		return fmt.Errorf("train: the state: %w", err)
	}
	if err := t.finite(st); err != nil {
		return err
	}
	extra, err := json.Marshal(t.sums)
	if err != nil {
		return err
	}
	state := &checkpoint.State{
		Step: uint64(st.Step), Seed: t.o.Seed, Sample: uint64(st.Step) * uint64(t.o.Batch), Options: t.print, Extra: extra,
		Params: t.params(st.Params), M: t.params(st.M), V: t.params(st.V), EMA: t.params(st.EMA),
	}
	if err := state.Save(filepath.Join(t.o.Dir, StateFile)); err != nil {
		return err
	}
	if err := t.fillModel(); err != nil {
		return err
	}
	if err := t.model.Save(filepath.Join(t.o.Dir, ModelFile)); err != nil {
		return err
	}
	t.saved = int(st.Step)
	t.report.Saved(t.saved)
	return nil
}

// finite returns a *Diverged if a number of the state is infinite or NaN. A step whose loss and gradient are finite can leave one where squares
// of gradients exceed float32.
func (t *Run) finite(st *fit.State) error {
	for _, l := range []struct {
		what    string
		tensors [][]float32
	}{{"the parameters", st.Params}, {"the mean gradients", st.M}, {"the mean squared gradients", st.V}, {"the averaged weights", st.EMA}} {
		for i, v := range l.tensors {
			for _, x := range v {
				if x-x != 0 {
					return &Diverged{int(st.Step), t.o.LR, fmt.Errorf("%s of %s are not finite", l.what, t.trained[i].Name), t.saved}
				}
			}
		}
	}
	return nil
}

// params gives values their names and shapes.
func (t *Run) params(values [][]float32) []kernels.Param {
	out := make([]kernels.Param, len(values))
	for i, v := range values {
		out[i] = *t.trained[i].Param
		out[i].Data = v
	}
	return out
}

// values is the reverse of params; a tensor that is missing or of another shape is an error.
func (t *Run) values(what string, params []kernels.Param) ([][]float32, error) {
	byName := map[string]kernels.Param{}
	for _, p := range params {
		byName[p.Name] = p
	}
	var out [][]float32
	for _, want := range t.trained {
		p, ok := byName[want.Name]
		if !ok || p.Rows != want.Rows || p.Cols != want.Cols {
			return nil, fmt.Errorf("no %s for %s of shape [%d, %d]", what, want.Name, want.Rows, want.Cols)
		}
		out = append(out, p.Data)
	}
	return out, nil
}

// resume takes the run up where the state file left it.
func (t *Run) resume() error {
	dir, err := t.from()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, StateFile)
	s, err := checkpoint.LoadState(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("train: nothing to resume: there is no %s", path)
	}
	if err != nil {
		return err
	}
	if s.Options != t.print {
		return t.mismatch(path)
	}
	if s.Sample != s.Step*uint64(t.o.Batch) || s.Seed != t.o.Seed {
		return fmt.Errorf("train: %s: step %d and random numbers at %d of seed %d do not fit", path, s.Step, s.Sample, s.Seed)
	}
	st := &fit.State{Step: int64(s.Step)}
	for _, g := range []struct {
		what   string
		params []kernels.Param
		into   *[][]float32
	}{{"weights", s.Params, &st.Params}, {"mean gradients", s.M, &st.M}, {"mean squared gradients", s.V, &st.V}, {"averaged weights", s.EMA, &st.EMA}} {
		if g.into == &st.EMA && t.o.EMA == 0 {
			continue
		}
		if *g.into, err = t.values(g.what, g.params); err != nil {
			return fmt.Errorf("train: %s: %w", path, err)
		}
	}
	if err := t.trainer.SetState(st); err != nil {
		return fmt.Errorf("train: %s: %w", path, err)
	}
	tailFrom := t.sums.TailFrom
	if err := json.Unmarshal(s.Extra, &t.sums); err != nil {
		return fmt.Errorf("train: %s: running means: %w", path, err)
	}
	if t.sums.TailFrom != tailFrom { // another number of steps: another tail
		t.sums.Tail, t.sums.TailN, t.sums.TailFrom = 0, 0, tailFrom
	}
	t.saved = int(s.Step)
	return nil
}
