package runs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"slices"
	"sync"
	"time"
)

// Bounds of the logs that are kept in memory.
const (
	keptLogs  = 16
	mostRows  = 10_000_000
	mostNames = 32
	longest   = 64 << 10 // bytes of a line
)

// logFile is a log as far as it has been read. It grows with the file.
type logFile struct {
	used uint64 // under Store.mu

	mu    sync.Mutex
	file  fs.FileInfo // nil: nothing was read
	read  int64       // bytes, whole lines
	table table
	bad   int  // lines that are no records
	skip  bool // reading stopped within a line that is too long
	epoch int  // counts how often the file was replaced
}

// table holds the numbers of a log, column by column.
type table struct {
	names  []string
	values [][]float64 // one for each name, as long as step; NaN where a line lacks it
	step   []float64
}

// LogInfo says how much of a log there is.
type LogInfo struct {
	Rows    int       `json:"rows"`
	Bad     int       `json:"bad"`     // lines that could not be read
	Columns []string  `json:"columns"` // without step
	Step    float64   `json:"step"`    // of the last line, 0 without any
	First   float64   `json:"first"`   // step of the first line
	Changed time.Time `json:"changed"`
	// Epoch changes when the file was replaced by another, as a resumed run does. Rows then need not have grown.
	Epoch int            `json:"epoch"`
	Last  map[string]any `json:"last"` // values of the last line, null where they are not finite
}

// withLog brings the log of a run up to date and has f read it.
func (s *Store) withLog(ctx context.Context, run string, f func(l *logFile) error) error {
	name := path.Join(run, logName)
	l := s.logOf(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.refresh(ctx, s, name); err != nil {
		return err
	}
	return f(l)
}

// logOf is what is kept of a log; the one that was used longest ago makes room.
func (s *Store) logOf(name string) *logFile {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.logs[name]
	if l == nil {
		if len(s.logs) >= keptLogs {
			oldest := ""
			for k, v := range s.logs {
				if oldest == "" || v.used < s.logs[oldest].used {
					oldest = k
				}
			}
			delete(s.logs, oldest)
		}
		l = &logFile{}
		s.logs[name] = l
	}
	s.uses++
	l.used = s.uses
	return l
}

// refresh reads what was appended, or all of a file that was replaced.
func (l *logFile) refresh(ctx context.Context, s *Store, name string) error {
	f, st, err := s.OpenFile(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if fits, err := l.sameLine(f, st); err != nil {
		return err
	} else if !fits {
		l.read, l.bad, l.skip, l.table = 0, 0, false, table{}
		l.epoch++
	}
	l.file = st
	if _, err := f.Seek(l.read, io.SeekStart); err != nil {
		return plain(err)
	}
	return l.append(ctx, io.LimitReader(f, st.Size()-l.read))
}

// sameLine reports whether what was read before is still the beginning of the file: it is the same file and no shorter, and a line
// ends where reading stopped.
func (l *logFile) sameLine(f io.ReaderAt, st fs.FileInfo) (bool, error) {
	if l.file == nil {
		return true, nil
	}
	if !os.SameFile(l.file, st) || st.Size() < l.read {
		return false, nil
	}
	if l.read == 0 || l.skip {
		return true, nil
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], l.read-1); err != nil {
		return false, plain(err)
	}
	return last[0] == '\n', nil
}

// append reads whole lines.
func (l *logFile) append(ctx context.Context, r io.Reader) error {
	buf := make([]byte, 0, 1<<20)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(r, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		at := 0
		for {
			end := bytes.IndexByte(buf[at:], '\n')
			if end < 0 {
				break
			}
			switch {
			case l.skip:
				l.skip = false
				l.bad++
			case !l.table.add(buf[at : at+end]):
				l.bad++
			}
			at += end + 1
			l.read += int64(end + 1)
			if len(l.table.step) >= mostRows {
				return fmt.Errorf("the log has more than %d lines, which is all that is read", mostRows)
			}
		}
		buf = append(buf[:0], buf[at:]...)
		if len(buf) > longest {
			l.skip = true
			l.read += int64(len(buf))
			buf = buf[:0]
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return plain(err)
		}
	}
}

// add appends the record in a line and reports whether it is one.
func (t *table) add(line []byte) bool {
	var keys [mostNames + 1]string
	var values [mostNames + 1]float64
	n, ok := scan(line, keys[:], values[:])
	if !ok {
		return false
	}
	step := slices.Index(keys[:n], "step")
	if step < 0 || math.IsNaN(values[step]) {
		return false
	}
	rows := len(t.step)
	t.step = append(t.step, values[step])
	for i := range n {
		if i == step {
			continue
		}
		c := slices.Index(t.names, keys[i])
		if c < 0 {
			if len(t.names) == mostNames {
				continue
			}
			c = len(t.names)
			t.names = append(t.names, keys[i])
			t.values = append(t.values, nil)
		}
		t.fill(c, rows)
		if len(t.values[c]) == rows { // else it is in the line twice
			t.values[c] = append(t.values[c], values[i])
		}
	}
	return true
}

// fill makes a column rows long with NaN.
func (t *table) fill(c, rows int) {
	for len(t.values[c]) < rows {
		t.values[c] = append(t.values[c], math.NaN())
	}
}

// Log describes the log of a run.
func (s *Store) Log(ctx context.Context, run string) (LogInfo, error) {
	var info LogInfo
	err := s.withLog(ctx, run, func(l *logFile) error {
		t := &l.table
		n := len(t.step)
		info = LogInfo{Rows: n, Bad: l.bad, Columns: slices.Clone(t.names), Changed: l.file.ModTime().UTC(), Epoch: l.epoch, Last: map[string]any{}}
		if info.Columns == nil {
			info.Columns = []string{}
		}
		if n == 0 {
			return nil
		}
		info.First, info.Step = t.step[0], t.step[n-1]
		for c, name := range t.names {
			t.fill(c, n)
			info.Last[name] = finiteOrNil(t.values[c][n-1])
		}
		return nil
	})
	return info, err
}

func finiteOrNil(v float64) any {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return v
}
