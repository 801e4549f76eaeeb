// Package model turns a checkpoint into a score model that runs: the path that all commands share.
package model

import (
	"errors"
	"fmt"
	"io/fs"

	"hbar/checkpoint"
	"hbar/cmd/internal/flags"
	"hbar/cuda"
	"hbar/graph"
	"hbar/kernels/infer"
	"hbar/solver"
)

// Options say how to run a model. The zero value is the CPU, all cores, float32 and the checkpoint's own schedule.
type Options struct {
	Schedule  string // instead of the checkpoint's, or where it names none
	Device    flags.Device
	Workers   int
	Precision solver.Precision
}

// Model is a checkpoint that runs.
type Model struct {
	*checkpoint.Model
	Net *solver.Network
	// Schedule and Prediction are those that Net was made with; a --schedule flag may have chosen the first.
	Schedule   solver.Schedule
	Prediction solver.Prediction
	Device     string // "cpu"
}

// Load reads a model file and makes it run.
func Load(path string, o Options) (*Model, error) {
	c, err := checkpoint.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no checkpoint %s; train one with: go run ./cmd/train", path)
	}
	if err != nil {
		return nil, err
	}
	return New(c, o)
}

// New makes a checkpoint run.
func New(c *checkpoint.Model, o Options) (*Model, error) {
	device, err := Device(o.Device)
	if err != nil {
		return nil, err
	}
	name, err := c.ScheduleName(o.Schedule)
	if err != nil {
		return nil, err
	}
	params := c.ScheduleParams
	if name != c.Schedule { // the settings are those of another schedule
		params = nil
	}
	schedule, err := solver.NewSchedule(name, params)
	if err != nil {
		return nil, err
	}
	prediction, err := solver.ParsePrediction(c.Prediction)
	if err != nil {
		return nil, err
	}
	prediction.SigmaData = c.SigmaData
	network, err := graph.New(c.Spec, c.Params)
	if err != nil {
		return nil, err
	}
	engine, err := infer.New(network.Program(), infer.Options{Workers: o.Workers})
	if err != nil {
		return nil, err
	}
	net, err := solver.NewNetwork(engine, schedule, prediction, o.Precision)
	if err != nil {
		return nil, err
	}
	return &Model{Model: c, Net: net, Schedule: schedule, Prediction: prediction, Device: device}, nil
}

// Device is the device that will compute: auto means the CPU unless this build and machine have a GPU.
func Device(d flags.Device) (string, error) {
	if d.Kind == "cuda" {
		if err := cuda.Available(); err != nil {
			return "", fmt.Errorf("--device %s: %w; have cpu", d, err)
		}
		if _, err := cuda.Open(d.Index); err != nil {
			return "", fmt.Errorf("--device %s: %w", d, err)
		}
	}
	return "cpu", nil
}
