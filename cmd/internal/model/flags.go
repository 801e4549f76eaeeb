package model

import (
	"strings"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/ui"
	"hbar/solver"
	"hbar/train"
)

// Flags are the options that say which model runs, and where: those of sample, likelihood and sweep alike.
type Flags struct {
	Checkpoint, Schedule string
	Act, Prediction      string
	Device               flags.Device
	Precision            string
	Workers              int
}

// DefineModel makes the options of the group Model.
func (f *Flags) DefineModel(g *flags.Group) {
	g.String(&f.Checkpoint, "checkpoint", "FILE", "model.safetensors of cmd/train, or an MLP saved by PyTorch (required)")
	g.String(&f.Schedule, "schedule", "NAME", "the forward process, "+strings.Join(solver.AllScheduleNames(), ", ")+"; for checkpoints that do not say")
	g.Unset(&f.Act, "act", train.ActNames(), "the activation of an MLP's hidden layers; for checkpoints that do not say: silu is assumed there")
	g.Unset(&f.Prediction, "prediction", solver.PredictionNames(), "what the network says of x at time t; for checkpoints that do not say: the score is assumed there")
}

// DefineRun makes the options of the group Run.
func (f *Flags) DefineRun(g *flags.Group, precisions []string, precision string) {
	g.Device(&f.Device)
	g.Choice(&f.Precision, "precision", precisions, precision)
	g.Int(&f.Workers, "workers", "N", flags.Between(0, 4096), "goroutines that compute; 0 means all cores")
}

// Check reports what is missing.
func (f *Flags) Check() error {
	if f.Checkpoint == "" {
		return ui.Usagef("--checkpoint FILE is missing; %s makes one", ui.Program("train"))
	}
	return nil
}
