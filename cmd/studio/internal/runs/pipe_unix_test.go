//go:build unix

package runs_test

import (
	"path/filepath"
	"syscall"
	"testing"
)

// A pipe under the name of a log is an error, and nothing waits for who writes to it.
func TestPipe(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "train.jsonl"), 0o644); err != nil {
		t.Skip(err)
	}
	if _, err := store(t, dir).Log(ctx, "."); err == nil {
		t.Error("a pipe was read as a log")
	}
}
