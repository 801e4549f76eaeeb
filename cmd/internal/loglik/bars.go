package loglik

import (
	"io"

	"hbar/cmd/internal/ui"
)

// Bars draws one progress bar after the other, as the stages of the work come: its Report is an Options.Progress.
type Bars struct {
	W    io.Writer
	name string
	bar  *ui.Progress
}

// units is what a stage counts, if not points.
var units = map[string]string{"pathintegral": "paths", meshStage: "steps", "fokkerplanck": "parts", "distances": "parts", "bands": "strengths", "training": "steps"}

// Report says how far a stage is; a new name begins a new bar.
func (b *Bars) Report(stage string, done, total int) {
	if stage != b.name {
		b.End()
		unit := units[stage]
		if unit == "" {
			unit = "points"
		}
		b.name, b.bar = stage, ui.NewProgress(b.W, stage+" "+unit, int64(done), int64(total), nil)
	}
	b.bar.Report(int64(done))
}

// End completes the last bar.
func (b *Bars) End() { b.bar.Done() }
