package train

import "fmt"

// Report is how far a run is.
type Report struct {
	Step, Steps int     // steps taken, and in all
	Loss        float64 // mean over the steps since the last report
	LR          float64 // learning rate of the last step
	GradNorm    float64 // norm of the last step's gradient before clipping
}

// Reporter receives the progress of a run. Its methods are called from the goroutine that called Run.
type Reporter interface {
	// Progress comes every LogEvery steps and at the end. An error ends the run, after a checkpoint.
	Progress(Report) error
	// Saved comes after each checkpoint.
	Saved(step int)
}

// Watcher is a Reporter that is also called several times a second between two calls of Progress.
type Watcher interface {
	Reporter
	Step(taken int)
}

// silent is the Reporter of those who give none.
type silent struct{}

func (silent) Progress(Report) error { return nil }
func (silent) Saved(int)             {}

// Interrupted is the error of a run that its context ended. With a directory to save in, the run can be resumed.
type Interrupted struct {
	Step  int   // steps taken
	Saved bool  // whether there is a checkpoint of them
	Cause error // the context's error
}

func (e *Interrupted) Error() string {
	if e.Saved {
		return fmt.Sprintf("train: stopped after step %d, checkpoint saved: %v", e.Step, e.Cause)
	}
	return fmt.Sprintf("train: stopped after step %d: %v", e.Step, e.Cause)
}

func (e *Interrupted) Unwrap() error { return e.Cause }

// Diverged is the error of a run whose loss or gradient became infinite or NaN. The parameters were not updated with it, and the
// last checkpoint is unchanged.
type Diverged struct {
	Step  int // the step that could not be taken, counted from 1
	LR    float64
	Cause error
	Last  int // step of the last checkpoint of this run; 0 if there is none
}

func (e *Diverged) Error() string {
	s := fmt.Sprintf("train: step %d: %v; a learning rate below %.2g, clipping (clip) or warm-up may help", e.Step, e.Cause, e.LR)
	if e.Last > 0 {
		s += fmt.Sprintf("; the checkpoint of step %d is kept", e.Last)
	}
	return s
}

func (e *Diverged) Unwrap() error { return e.Cause }
