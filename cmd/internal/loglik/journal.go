package loglik

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"

	"hbar/internal/atomicfile"
)

// Journal keeps the blocks of a run that are done in a file beside the result, so that a run that was stopped goes on where it was and
// ends with the same bits. Each line is a block with a checksum; a line that was cut off is left out.
type Journal struct {
	path string
	run  string // what the blocks belong to
	have map[string][]byte
	file *os.File
}

// line is one line of the file; the first is the run's and has no key.
type line struct {
	Key   string `json:"key,omitempty"`
	Run   string `json:"run,omitempty"`
	Sum   uint32 `json:"sum,omitempty"`
	Value string `json:"value,omitempty"`
}

// errOtherRun says that a journal is of another run.
var errOtherRun = errors.New("it is of another command, checkpoint or data")

// OpenJournal reads what a run has left at path. Blocks of another run are left out; if must, they are an error, as is a journal that
// is not there.
func OpenJournal(path, run string, must bool) (*Journal, error) {
	j := &Journal{path: path, run: run, have: map[string][]byte{}}
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if must {
			return nil, fmt.Errorf("--resume: there is no %s, which a run that was stopped leaves beside its result", path)
		}
		return j, nil
	case err != nil:
		return nil, err
	}
	err = j.read(b)
	if err != nil && must {
		return nil, fmt.Errorf("--resume: %s cannot be gone on with: %w; remove it to begin anew", path, err)
	}
	if err != nil {
		clear(j.have)
	}
	return j, nil
}

func (j *Journal) read(b []byte) error {
	s := bufio.NewScanner(bytes.NewReader(b))
	s.Buffer(nil, len(b)+1)
	for first := true; s.Scan(); first = false {
		var l line
		if json.Unmarshal(s.Bytes(), &l) != nil {
			return nil // cut off
		}
		if first {
			if l.Run != j.run {
				return errOtherRun
			}
			continue
		}
		value, err := base64.StdEncoding.DecodeString(l.Value)
		if err != nil || crc32.ChecksumIEEE(value) != l.Sum {
			return nil
		}
		j.have[l.Key] = value
	}
	return nil
}

// Done is the number of blocks that the journal has, 0 of a nil journal.
func (j *Journal) Done() int {
	if j == nil {
		return 0
	}
	return len(j.have)
}

// open begins the file with the blocks that are kept, whole or not at all, and goes on at its end.
func (j *Journal) open() error {
	f, err := atomicfile.Create(j.path)
	if err != nil {
		return err
	}
	defer f.Abort()
	if err := write(f, line{Run: j.run}); err != nil {
		return err
	}
	for k, v := range j.have {
		if err := write(f, lineOf(k, v)); err != nil {
			return err
		}
	}
	if err := f.Commit(); err != nil {
		return err
	}
	j.file, err = os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND, 0)
	return err
}

func lineOf(key string, value []byte) line {
	return line{Key: key, Sum: crc32.ChecksumIEEE(value), Value: base64.StdEncoding.EncodeToString(value)}
}

func write(w io.Writer, l line) error {
	b, err := json.Marshal(l)
	if err == nil {
		_, err = w.Write(append(b, '\n'))
	}
	return err
}

// put keeps a block.
func (j *Journal) put(key string, value any) error {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(value); err != nil {
		return err
	}
	if j.file == nil {
		if err := j.open(); err != nil {
			return err
		}
	}
	j.have[key] = b.Bytes()
	return errors.Join(write(j.file, lineOf(key, b.Bytes())), j.file.Sync())
}

// Close ends writing, and removes the file of a run that has finished.
func (j *Journal) Close(finished bool) error {
	if j == nil {
		return nil
	}
	var err error
	if j.file != nil {
		err = j.file.Close()
		j.file = nil
	}
	if finished {
		if gone := os.Remove(j.path); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// Saved is what the journal has of a block, or else what compute makes of it, which it then keeps. A nil journal keeps nothing.
func Saved[T any](j *Journal, key string, compute func() (T, error)) (T, error) {
	var v T
	if j == nil {
		return compute()
	}
	if b, ok := j.have[key]; ok {
		err := gob.NewDecoder(bytes.NewReader(b)).Decode(&v)
		return v, err
	}
	v, err := compute()
	if err != nil {
		return v, err
	}
	return v, j.put(key, v)
}
