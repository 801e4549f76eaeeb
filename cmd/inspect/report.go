package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"hbar/checkpoint"
	"hbar/cmd/internal/rundir"
	"hbar/cmd/internal/ui"
	"hbar/data"
	"hbar/internal/memory"
	"hbar/kernels/cpu"
	"hbar/nets"
	"hbar/solver"
)

// report is what the command says of a checkpoint.
type report struct {
	Checkpoint string          `json:"checkpoint"`
	Kind       string          `json:"kind"`
	Net        json.RawMessage `json:"net"`
	Shape      []int           `json:"shape"` // of a sample
	Classes    int             `json:"classes"`
	NoLabel    bool            `json:"no_label"` // the label classes means none
	Variance   bool            `json:"variance"` // the network gives one too
	Layers     []*layer        `json:"layers"`
	Parameters int             `json:"parameters"`
	Trained    int             `json:"trained_parameters"`
	MulAdds    float64         `json:"multiply_adds"`
	Memory     memoryUse       `json:"memory"`

	Schedule       string             `json:"schedule,omitempty"`
	ScheduleParams map[string]float64 `json:"schedule_params,omitempty"`
	Prediction     string             `json:"prediction"`
	SigmaData      float64            `json:"sigma_data,omitempty"`
	Normalisation  data.Normalisation `json:"normalisation"`
	Data           string             `json:"data,omitempty"`
	Columns        []string           `json:"columns,omitempty"`
	ClassNames     []string           `json:"class_names,omitempty"`
	Training       json.RawMessage    `json:"training,omitempty"`
	History        []record           `json:"history,omitempty"`
	Version        string             `json:"hbar_version,omitempty"`
	Versions       map[string]string  `json:"versions,omitempty"`
	Notes          []string           `json:"notes,omitempty"`
}

// memoryUse is memory in bytes.
type memoryUse struct {
	Parameters int64 `json:"parameters"`
	Packed     int64 `json:"packed"` // weights as the kernels read them, and values that all samples share
	Sample     int64 `json:"sample"` // values of one sample while the network runs
}

// report prints and writes the report.
func (s *subject) report(o options, io ui.Streams) error {
	r, err := s.describe()
	if err != nil {
		return err
	}
	r.print(io.Out)
	if o.JSON == "" {
		return nil
	}
	if err := rundir.WriteJSON(o.JSON, r); err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "written   %s\n", o.JSON)
	return nil
}

// describe makes the report.
func (s *subject) describe() (*report, error) {
	c := s.net.Config
	r := &report{Checkpoint: s.path, Kind: c.Kind(), Shape: s.SampleShape(), Classes: c.Classes(), NoLabel: c.NoLabel(), Variance: c.Variance(),
		Layers: layersOf(s.net), Trained: s.net.NumParams(), MulAdds: s.net.Program.Cost(1).MulAdds,
		Schedule: s.Schedule, ScheduleParams: s.ScheduleParams, Prediction: s.Prediction, SigmaData: s.SigmaData, Normalisation: s.Norm,
		Data: s.Data, Columns: s.Columns, ClassNames: s.ClassNames, Training: s.Training, History: history(s.path), Version: s.Version, Versions: s.Versions, Notes: s.Notes}
	var assumed []string
	if s.ActAssumed {
		assumed = append(assumed, "activation "+s.Spec.Act)
	}
	if s.PredictionAssumed {
		assumed = append(assumed, "prediction "+s.Prediction)
	}
	if assumed != nil {
		r.Notes = append(slices.Clone(r.Notes), "the file does not name the "+strings.Join(assumed, " and the ")+": they are assumed; --act and --prediction of other commands say otherwise")
	}
	if why := s.onlyEvaluated(); why != nil {
		r.Notes = append(slices.Clone(r.Notes), fmt.Sprintf("the network can only be evaluated: %v", why))
	}
	for _, l := range r.Layers {
		r.Parameters += l.Parameters
	}
	r.Memory.Parameters = 4 * int64(r.Parameters)
	var err error
	if r.Net, err = nets.Marshal(c); err != nil {
		return nil, err
	}
	team := cpu.NewTeam(1)
	defer team.Close()
	x, err := cpu.NewExecutor(s.net.Program, team, cpu.Options{})
	if err != nil {
		return nil, err
	}
	r.Memory.Packed, r.Memory.Sample = x.Bytes(0), x.Bytes(1)-x.Bytes(0)
	return r, nil
}

// onlyEvaluated says what of a schedule or a prediction that the file names is not known.
func (s *subject) onlyEvaluated() error {
	if s.Schedule != "" {
		if _, err := solver.NewSchedule(s.Schedule, s.ScheduleParams); err != nil {
			return err
		}
	}
	if s.Prediction == checkpoint.Unknown {
		return nil // a note of the checkpoint says why
	}
	_, err := solver.ParsePrediction(s.Prediction)
	return err
}

// print writes the report for eyes.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "model     %s: %s\n", r.Checkpoint, r.kind())
	fmt.Fprintf(w, "samples   %s%s\n", times(r.Shape), r.classes())
	schedule := r.Schedule
	if schedule == "" {
		schedule = "not named in the file"
	}
	fmt.Fprintf(w, "schedule  %s%s; prediction %s%s\n", schedule, settings(r.ScheduleParams), r.Prediction, sigma(r.SigmaData))
	fmt.Fprintf(w, "units     %s\n", units(r.Normalisation))
	if r.Data != "" {
		fmt.Fprintf(w, "data      %s%s\n", r.Data, columns(r.Columns))
	}
	r.printTraining(w)
	for _, n := range r.Notes {
		fmt.Fprintf(w, "note      %s\n", n)
	}
	fmt.Fprintln(w)
	r.printLayers(w)
	m := r.Memory
	fmt.Fprintf(w, "\nparameters  %s, of which %s are trained: %s\n", ui.Count(int64(r.Parameters)), ui.Count(int64(r.Trained)), memory.Bytes(float64(m.Parameters)))
	fmt.Fprintf(w, "work        %s multiply-adds a sample\n", ui.Rate(r.MulAdds))
	fmt.Fprintf(w, "memory      %s for packed weights, and %s a sample while the network runs forward\n", memory.Bytes(float64(m.Packed)), memory.Bytes(float64(m.Sample)))
}

// kind describes the network by the sizes that its kind has.
func (r *report) kind() string {
	var fields map[string]any
	if json.Unmarshal(r.Net, &fields) != nil {
		return r.Kind
	}
	delete(fields, "type")
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		b, err := json.Marshal(fields[k])
		if err == nil {
			parts = append(parts, k+" "+strings.ReplaceAll(string(b), `"`, ""))
		}
	}
	return r.Kind + ", " + strings.Join(parts, ", ")
}

func (r *report) classes() string {
	names := ""
	if r.ClassNames != nil {
		names = fmt.Sprintf(" (%.200s)", strings.Join(r.ClassNames, ", "))
	}
	switch {
	case r.Classes > 0 && r.NoLabel:
		return fmt.Sprintf(", %d labels%s, or %d for none", r.Classes, names, r.Classes)
	case r.Classes > 0:
		return fmt.Sprintf(", %d labels%s", r.Classes, names)
	}
	return ", no labels"
}

func settings(params map[string]float64) string {
	if len(params) == 0 {
		return ""
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(params)) {
		parts = append(parts, fmt.Sprintf("%s %g", k, params[k]))
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func sigma(v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf(" for data of standard deviation %g", v)
}

// units says how the network's coordinates follow from the data's.
func units(n data.Normalisation) string {
	if n.IsIdentity() {
		return "those of the data"
	}
	return fmt.Sprintf("(x − mean)/scale for data x, mean %s, scale %s", span(n.Mean, 0), span(n.Scale, 1))
}

// span writes a number for all coordinates, none if it is empty, or those of each, of many their range.
func span(v []float64, none float64) string {
	switch {
	case len(v) == 0:
		return fmt.Sprint(none)
	case len(v) == 1:
		return fmt.Sprintf("%.6g", v[0])
	case len(v) <= 8:
		return fmt.Sprintf("%.6g by coordinate", v)
	}
	return fmt.Sprintf("%.6g … %.6g by coordinate", slices.Min(v), slices.Max(v))
}

func columns(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return ", columns " + strings.Join(names, ", ")
}

// printTraining writes options and history of the training run, as far as they are known.
func (r *report) printTraining(w io.Writer) {
	var options map[string]any
	if json.Unmarshal(r.Training, &options) == nil && len(options) > 0 {
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(options)) {
			switch v := options[k].(type) {
			case string, float64, bool:
				parts = append(parts, fmt.Sprintf("%s %v", k, v))
			}
		}
		fmt.Fprintf(w, "training  %s\n", strings.Join(parts, ", "))
	}
	if len(r.History) > 0 {
		var parts []string
		for _, h := range thin(r.History, 5) {
			parts = append(parts, fmt.Sprintf("%.4g at step %s", h.Loss, ui.Count(h.Step)))
		}
		fmt.Fprintf(w, "loss      %s\n", strings.Join(parts, ", "))
	}
	if r.Version != "" {
		fmt.Fprintf(w, "written   by hbar %s\n", r.Version)
	}
}

// printLayers writes the table.
func (r *report) printLayers(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "layer\toperation\tweights\toutput\tparameters\tmultiply-adds\tmemory")
	for _, l := range r.Layers {
		weights, largest := "", 0
		for _, p := range l.Tensors {
			if len(p.Shape) > largest {
				weights, largest = times(p.Shape), len(p.Shape)
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Name, l.Op, weights, times(l.Output), ui.Count(int64(l.Parameters)), ui.Rate(l.MulAdds), memory.Bytes(float64(l.Bytes)))
	}
	t.Flush()
}
