package rundir

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hbar/internal/alive"
	"hbar/internal/atomicfile"
	"hbar/internal/filelock"
)

// lockFile is locked while a process works in the directory. It holds the process's number and host, for messages, and in a second
// line the name by which package alive tells it from a later process of that number. It is empty when nobody works there.
const lockFile = ".lock"

// Lock is a run directory taken by this process. It dies with the process; Close gives it back before.
type Lock struct{ f *os.File }

// Acquire takes a run directory for this process alone, and removes the temporary files that killed ones left in it. A
// directory that another process has taken is an error that names the process.
func Acquire(dir string) (*Lock, error) {
	for {
		l, err := acquire(filepath.Join(dir, lockFile))
		switch {
		case errors.Is(err, filelock.ErrHeld):
			return nil, fmt.Errorf("run directory %s is in use by %s; wait for it to end, or take another directory", dir, holder(filepath.Join(dir, lockFile)))
		case err != nil:
			return nil, wrap(err)
		case l != nil:
			atomicfile.RemoveStale(dir, "")
			return l, nil
		}
	}
}

// AcquireFile takes a file for this process alone, as the sign that it writes others. An error names the process that has it.
func AcquireFile(path string) (*Lock, error) {
	for {
		l, err := acquire(path)
		if errors.Is(err, filelock.ErrHeld) {
			return nil, &HeldError{By: holder(path)}
		}
		if err != nil || l != nil {
			return l, err
		}
	}
}

// HeldError says that another process has the file.
type HeldError struct{ By string }

func (e *HeldError) Error() string { return "it is held by " + e.By }

// acquire opens and locks the file at path. It returns nil, nil if the file was removed meanwhile: to be tried again.
func acquire(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	if err := filelock.Try(f); err != nil && !errors.Is(err, filelock.ErrUnsupported) {
		return nil, errors.Join(err, f.Close())
	}
	mine, err := f.Stat()
	if err == nil {
		var there os.FileInfo
		if there, err = os.Stat(path); err != nil || !os.SameFile(mine, there) {
			return nil, f.Close()
		}
	}
	host, _ := os.Hostname()
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintf(f, "%d %s\n%s\n", os.Getpid(), host, alive.Self())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Lock{f}, nil
}

// holder names the process that has locked the file at path.
func holder(path string) string {
	for range 20 {
		f, err := os.Open(path)
		if err != nil {
			break
		}
		b, _ := io.ReadAll(io.LimitReader(f, 1024))
		f.Close()
		line, _, _ := strings.Cut(string(b), "\n")
		number, host, _ := strings.Cut(strings.TrimSpace(line), " ")
		if pid, err := strconv.Atoi(number); err == nil {
			if here, _ := os.Hostname(); host != "" && host != here {
				return fmt.Sprintf("process %d on host %s", pid, host)
			}
			return fmt.Sprintf("process %d", pid)
		}
		time.Sleep(10 * time.Millisecond) // it has the lock and is about to write its number
	}
	return "another process"
}

// Close gives the directory back. The file is emptied while it is locked: its process no longer works here.
func (l *Lock) Close() error {
	if l == nil {
		return nil
	}
	return errors.Join(l.f.Truncate(0), l.f.Close())
}

// Discard gives back a directory in which nothing was begun, without a trace of the lock.
func (l *Lock) Discard() {
	_ = os.Remove(l.f.Name())
	_ = l.f.Close()
}
