// Package tfevents writes event files as TensorBoard reads them: numbers and pictures by the step of a training run.
//
// A file is a sequence of records (record.go), each an Event message of TensorFlow's event.proto (event.go) in the encoding of
// protobuf's own library. An event is in the file when the call that writes it returns, so a run can be watched.
//
// Each start of a run has a file of its own, because TensorBoard keeps the files it reads open and goes on to the next by name. What
// earlier starts wrote beyond the step from which a run goes on is cut off, so no step is there twice.
package tfevents

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	_ "image/png" // the format of pictures
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// The name of a file is prefix, ten digits and suffix. TensorBoard looks for "tfevents" in it, and reads the files of a folder in the
// order of their names: the digits are the second of the start, or one more than those of the file before.
const (
	prefix = "events.out.tfevents."
	suffix = ".hbar"
	digits = "[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]"
)

// Scalar is a named number.
type Scalar struct {
	Tag   string
	Value float64
}

// Writer writes the events of one start of a run.
type Writer struct {
	f    *os.File
	last map[string]int64 // the last step of each tag
}

// files are the event files of this package in a folder, in the order of their starts.
func files(dir string) ([]string, error) {
	names, err := fs.Glob(os.DirFS(dir), prefix+digits+suffix)
	for i, n := range names {
		names[i] = filepath.Join(dir, n)
	}
	slices.Sort(names)
	return names, err
}

// Remove removes the event files that this package wrote into a folder.
func Remove(dir string) error {
	old, err := files(dir)
	for _, f := range old {
		err = errors.Join(err, os.Remove(f))
	}
	return err
}

// Open begins a file in the folder for a run that has done so many steps. Events of later steps in the files there go.
func Open(dir string, done int64) (*Writer, error) {
	old, err := files(dir)
	if err != nil {
		return nil, err
	}
	w := &Writer{last: map[string]int64{}}
	second := time.Now().Unix()
	for _, path := range old {
		if err := w.trim(path, done); err != nil {
			return nil, fmt.Errorf("event file: %w", err)
		}
		var n int64
		if _, err := fmt.Sscanf(filepath.Base(path), prefix+"%d", &n); err == nil {
			second = max(second, n+1)
		}
	}
	path := filepath.Join(dir, fmt.Sprintf("%s%010d%s", prefix, second, suffix))
	if w.f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o666); err != nil {
		return nil, fmt.Errorf("event file: %w", err)
	}
	first := appendString(event(now(), 0), eventVersion, version)
	if err := w.write(first); err != nil {
		return nil, errors.Join(err, w.f.Close())
	}
	if len(old) > 0 { // a TensorBoard that has read later steps forgets them
		start := appendBytes(event(now(), done+1), eventSessionLog, appendInt(nil, sessionStatus, sessionStart))
		if err := w.write(start); err != nil {
			return nil, errors.Join(err, w.f.Close())
		}
	}
	return w, nil
}

// trim cuts a file at its first event beyond done, or where a crash has left a broken one, and notes the last step of each tag.
func (w *Writer) trim(path string, done int64) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	keep := 0
	for {
		data, size, ok := nextRecord(b[keep:])
		if !ok {
			break
		}
		step, tags, ok := stepAndTags(data)
		if !ok || len(tags) > 0 && step > done {
			break
		}
		for _, t := range tags {
			w.last[t] = max(w.last[t], step)
		}
		keep += size
	}
	if keep == len(b) {
		return nil
	}
	return os.Truncate(path, int64(keep))
}

// Scalars writes numbers of a step. Those whose tag has this step, or a later one, are left out.
func (w *Writer) Scalars(step int64, scalars ...Scalar) error {
	var summary []byte
	for _, s := range scalars {
		if w.isNew(s.Tag, step) {
			summary = appendBytes(summary, summaryValue, scalarValue(s.Tag, s.Value))
		}
	}
	return w.summary(step, summary)
}

// Image writes a picture of a step, an encoded PNG. One whose tag has this step, or a later one, is left out.
func (w *Writer) Image(step int64, tag string, png []byte) error {
	c, format, err := image.DecodeConfig(bytes.NewReader(png))
	if err == nil && format != "png" {
		err = fmt.Errorf("it is %s", format)
	}
	if err != nil {
		return fmt.Errorf("event file: picture %s is no PNG: %w", tag, err)
	}
	if !w.isNew(tag, step) {
		return nil
	}
	return w.summary(step, appendBytes(nil, summaryValue, imageValue(tag, c.Width, c.Height, png)))
}

func (w *Writer) isNew(tag string, step int64) bool {
	last, ok := w.last[tag]
	if ok && step <= last {
		return false
	}
	w.last[tag] = step
	return true
}

func (w *Writer) summary(step int64, summary []byte) error {
	if summary == nil {
		return nil
	}
	return w.write(appendBytes(event(now(), step), eventSummary, summary))
}

// write appends an event to the file, in one piece.
func (w *Writer) write(event []byte) error {
	if _, err := w.f.Write(appendRecord(nil, event)); err != nil {
		return fmt.Errorf("event file: %w", err)
	}
	return nil
}

// Close syncs and closes the file.
func (w *Writer) Close() error { return errors.Join(w.f.Sync(), w.f.Close()) }

// now is the time as events have it, in seconds.
func now() float64 { return float64(time.Now().UnixMicro()) / 1e6 }
