package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"hbar/cmd/internal/ui"
	"hbar/internal/atomicfile"
	"hbar/train"
)

// runLog passes the reports of a run to the eye, to train.jsonl and train.csv, and to TensorBoard.
type runLog struct {
	file  *os.File
	table *csvLog
	bar   *ui.Progress
	pace  *pace
	grid  *grids
	board *board
}

// The fields of a report in the log, before those of the pace.
const (
	fieldLoss     = "loss"
	fieldLR       = "lr"
	fieldGradNorm = "grad_norm"
)

// Progress implements train.Reporter.
func (l *runLog) Progress(r train.Report) error {
	fields := []ui.Field{{Name: fieldLoss, Value: r.Loss}, {Name: fieldLR, Value: r.LR, Quiet: true}, {Name: fieldGradNorm, Value: r.GradNorm, Quiet: true}}
	pace := l.pace.since(r.Step)
	return errors.Join(l.bar.Report(int64(r.Step), append(fields, pace...)...), l.board.report(r, pace))
}

// Step implements train.Watcher.
func (l *runLog) Step(taken int) { l.bar.Show(int64(taken)) }

// Saved implements train.Reporter.
func (l *runLog) Saved(step int) {
	l.grid.draw(step)
	l.pace.skip(step)
}

// openLog begins the log of a run in its folder, or goes on with it after done steps; lines beyond these, of a run that crashed after
// its last checkpoint, go.
func openLog(dir string, done int64, p *pace) (*runLog, error) {
	path := filepath.Join(dir, logFile)
	var kept []byte
	var records []record
	if done > 0 {
		var err error
		if records, err = readLog(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		records = slices.DeleteFunc(records, func(r record) bool { return r.Step > done })
		for _, r := range records {
			kept = append(append(kept, r.line...), '\n')
		}
	}
	if err := atomicfile.WriteFile(path, kept); err != nil {
		return nil, err
	}
	columns := []string{"step", fieldLoss, fieldLR, fieldGradNorm}
	for _, name := range p.fields() {
		columns = append(columns, ui.Key(name))
	}
	table, err := openCSV(filepath.Join(dir, csvFile), append(columns, "per_second", "seconds"), records)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, errors.Join(err, table.file.Close())
	}
	return &runLog{file: f, table: table, pace: p}, nil
}

// lines is where the lines of the log go.
func (l *runLog) lines() io.Writer { return io.MultiWriter(l.file, l.table) }

func (l *runLog) close() error { return errors.Join(l.file.Close(), l.table.file.Close()) }

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
