package runs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"hbar/internal/alive"
	"hbar/train"
)

// The names of files in a run folder.
const (
	optionsFile = "options.json"
	logName     = "train.jsonl"
	lockName    = ".lock"
)

// Bounds of what List visits.
const (
	deepest    = 4
	mostRuns   = 1000
	mostOpened = 20_000
)

// Run is a folder that holds a run, in short.
type Run struct {
	Name     string    `json:"name"`               // its path below the store, "." for the store itself
	Path     string    `json:"path"`               // for a command line
	Modified time.Time `json:"modified"`           // of the log, or else of the newest checkpoint
	Running  bool      `json:"running"`            // a process of this machine trains there
	Step     int64     `json:"step"`               // of the log's last line, 0 without one
	Steps    int64     `json:"steps"`              // that were asked for, 0 if unknown
	Data     string    `json:"data,omitempty"`     // training set: a name or the last part of a path
	Net      string    `json:"net,omitempty"`      // kind of network
	Schedule string    `json:"schedule,omitempty"` // forward process
	// Checkpoints are the files that may be models; Pictures those that are .png; Sweeps the results of cmd/sweep.
	Checkpoints []string `json:"checkpoints"`
	Pictures    []string `json:"pictures"`
	Sweeps      []string `json:"sweeps"`
	Log         bool     `json:"log"`
	Error       string   `json:"error,omitempty"` // what could not be read
}

// List finds the runs below the store, in the order of their names. A folder that cannot be read is a run with an Error.
func (s *Store) List(ctx context.Context) ([]Run, error) {
	r, err := s.root()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	runs := []Run{}
	opened := 0
	var visit func(name string, depth int) error
	visit = func(name string, depth int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if opened++; opened > mostOpened || len(runs) >= mostRuns {
			return nil
		}
		entries, err := readDir(r, name)
		if err != nil {
			if name == "." {
				return fmt.Errorf("the folder of runs cannot be read: %w", plain(err))
			}
			if !errors.Is(err, fs.ErrNotExist) { // else it went a moment ago
				runs = append(runs, Run{Name: name, Path: s.Path(name), Error: plain(err).Error()})
			}
			return nil
		}
		if run, ok := s.describe(r, name, entries); ok {
			runs = append(runs, run)
		}
		for _, e := range entries {
			below := path.Join(name, e.Name())
			switch {
			case strings.HasPrefix(e.Name(), "."):
			case e.IsDir() && depth < deepest:
				if err := visit(below, depth+1); err != nil {
					return err
				}
			case e.Type()&fs.ModeSymlink != 0:
				if _, err := r.Stat(below); err != nil && !errors.Is(err, fs.ErrNotExist) && depth < deepest && s.leadsToFolder(below) {
					runs = append(runs, Run{Name: below, Path: s.Path(below), Error: "a symbolic link out of the folder of runs, which is not followed"})
				}
			}
		}
		return nil
	}
	err = visit(".", 0)
	slices.SortFunc(runs, func(a, b Run) int { return strings.Compare(a.Name, b.Name) })
	return runs, err
}

// leadsToFolder reports whether a symbolic link leads to a folder, wherever that is.
func (s *Store) leadsToFolder(name string) bool {
	st, err := os.Stat(s.Path(name))
	return err == nil && st.IsDir()
}

func readDir(r *os.Root, name string) ([]fs.DirEntry, error) {
	f, err := r.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(mostOpened)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

// describe says what is in a folder, and whether it is that of a run.
func (s *Store) describe(r *os.Root, name string, entries []fs.DirEntry) (Run, bool) {
	run := Run{Name: name, Path: s.Path(name), Checkpoints: []string{}, Pictures: []string{}, Sweeps: []string{}}
	var options bool
	for _, e := range entries {
		file := e.Name()
		if e.IsDir() || strings.HasPrefix(file, ".") {
			continue
		}
		switch ext := strings.ToLower(path.Ext(file)); {
		case file == logName:
			run.Log = true
		case file == optionsFile:
			options = true
		case ext == ".safetensors" && file != train.StateFile:
			run.Checkpoints = append(run.Checkpoints, file)
		case ext == ".png":
			run.Pictures = append(run.Pictures, file)
		case ext == ".json":
			if s.isSweep(path.Join(name, file), e) {
				run.Sweeps = append(run.Sweeps, file)
			}
		}
		if info, err := e.Info(); err == nil && (file == logName || path.Ext(file) == ".safetensors") && info.ModTime().After(run.Modified) {
			run.Modified = info.ModTime().UTC()
		}
	}
	if !run.Log && !options && len(run.Checkpoints) == 0 && len(run.Sweeps) == 0 {
		return run, false
	}
	// model.safetensors, what training writes, before others
	slices.SortStableFunc(run.Checkpoints, func(a, b string) int { return rank(a) - rank(b) })
	slices.SortStableFunc(run.Pictures, func(a, b string) int { return natural(a) - natural(b) })
	if options {
		s.readOptions(&run)
	}
	if run.Log {
		run.Step = s.lastStep(path.Join(name, logName))
	}
	run.Running = running(r, name)
	return run, true
}

func rank(file string) int {
	if file == train.ModelFile {
		return 0
	}
	return 1
}

// natural is the number in a name such as samples-200.png, 0 without one.
func natural(file string) int {
	n, _ := strconv.Atoi(strings.TrimFunc(file, func(r rune) bool { return r < '0' || r > '9' }))
	return n
}

// readOptions takes from options.json what tells runs apart.
func (s *Store) readOptions(run *Run) {
	b, err := s.readFile(path.Join(run.Name, optionsFile), 1<<20)
	var o struct {
		Data     string `json:"data"`
		Steps    int64  `json:"steps"`
		Net      string `json:"net"`
		Schedule string `json:"schedule"`
	}
	if err == nil {
		err = json.Unmarshal(b, &o)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		run.Error = optionsFile + ": " + err.Error()
	default:
		run.Data, run.Steps, run.Net, run.Schedule = path.Base(strings.ReplaceAll(o.Data, "\\", "/")), o.Steps, o.Net, o.Schedule
	}
}

// Options is the run's options.json.
func (s *Store) Options(run string) (json.RawMessage, error) {
	b, err := s.readFile(path.Join(run, optionsFile), 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && !json.Valid(b) {
		err = fmt.Errorf("%s/%s is no JSON", run, optionsFile)
	}
	return b, err
}

// lastStep is the step of the last whole line of a log.
func (s *Store) lastStep(name string) int64 {
	f, st, err := s.OpenFile(name)
	if err != nil {
		return 0
	}
	defer f.Close()
	const tail = 4096
	b := make([]byte, min(tail, st.Size()))
	n, _ := f.ReadAt(b, st.Size()-int64(len(b)))
	b = b[:n]
	if end := bytes.LastIndexByte(b, '\n'); end >= 0 {
		b = b[:end]
	}
	b = b[bytes.LastIndexByte(b, '\n')+1:]
	var line struct {
		Step int64 `json:"step"`
	}
	_ = json.Unmarshal(b, &line)
	return line.Step
}

// running reports whether the process that last took the folder lives, as far as this machine can tell.
func running(r *os.Root, name string) bool {
	b, err := r.ReadFile(path.Join(name, lockName))
	if err != nil || len(b) > 1024 {
		return false
	}
	line, process, _ := strings.Cut(string(b), "\n")
	number, host, _ := strings.Cut(strings.TrimSpace(line), " ")
	pid, err := strconv.Atoi(number)
	here, _ := os.Hostname()
	if err != nil || pid <= 0 || host != "" && host != here {
		return false
	}
	if alive.Ended(process) { // another process may have its number by now
		return false
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	err = p.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, fs.ErrPermission)
}
