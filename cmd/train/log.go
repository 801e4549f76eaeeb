package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"hbar/cmd/internal/ui"
	"hbar/internal/atomicfile"
	"hbar/train"
)

// runLog passes the reports of a run to the eye and to train.jsonl.
type runLog struct {
	file *os.File
	bar  *ui.Progress
	pace *pace // nil: of small networks steps a second say enough
	grid *grids
}

// Progress implements train.Reporter.
func (l *runLog) Progress(r train.Report) error {
	fields := []ui.Field{{Name: "loss", Value: r.Loss}, {Name: "lr", Value: r.LR, Quiet: true}, {Name: "grad_norm", Value: r.GradNorm, Quiet: true}}
	return l.bar.Report(int64(r.Step), append(fields, l.pace.since(r.Step)...)...)
}

// Step implements train.Watcher.
func (l *runLog) Step(taken int) { l.bar.Show(int64(taken)) }

// Saved implements train.Reporter.
func (l *runLog) Saved(step int) {
	l.grid.draw(step)
	l.pace.skip(step)
}

// openLog begins the log of a run, or goes on with it after done steps; lines beyond these, of a run that crashed after
// its last checkpoint, go.
func openLog(path string, done int64) (*runLog, error) {
	var kept []byte
	if done > 0 {
		records, err := readLog(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, r := range records {
			if r.Step <= done {
				kept = append(append(kept, r.line...), '\n')
			}
		}
	}
	if err := atomicfile.WriteFile(path, kept); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	return &runLog{file: f}, err
}

// record is a line of the log, as far as this command reads it.
type record struct {
	Step int64  `json:"step"`
	Loss figure `json:"loss"`
	line []byte
}

// figure is a number that may have been written as a string: "NaN", "+Inf".
type figure float64

func (f *figure) UnmarshalJSON(b []byte) error {
	s := string(b)
	if t, err := strconv.Unquote(s); err == nil {
		s = t
	}
	v, err := strconv.ParseFloat(s, 64)
	*f = figure(v)
	return err
}

// readLog reads a log. A last line that was cut short, by a crash or a full disk, is left out.
func readLog(path string) ([]record, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []record
	var broken error
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		if broken != nil {
			return nil, broken
		}
		r := record{line: append([]byte(nil), lines.Bytes()...)}
		if err := json.Unmarshal(r.line, &r); err != nil {
			broken = fmt.Errorf("%s, line %d: %w", path, n, err)
			continue
		}
		out = append(out, r)
	}
	return out, lines.Err()
}
