//go:build unix

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hbar/checkpoint"
	"hbar/cmd/internal/ui"
	"hbar/train"
)

// endless are the options of a run that does not end by itself.
var endless = strings.Fields("--width 16 --depth 1 --steps 10000000 --batch 64 --n-data 200 --log-every 10 --save-every 10000000 --device cpu")

// started begins an endless run in dir/run and waits until it has taken some steps.
func started(t *testing.T, c *exec.Cmd, dir string) {
	t.Helper()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if r, _ := readLog(filepath.Join(dir, "run", logFile)); len(r) > 5 {
			return
		}
		if time.Now().After(deadline) {
			c.Process.Kill()
			t.Fatal("no log after 20 s")
		}
	}
}

func state(t *testing.T, dir string) uint64 {
	t.Helper()
	s, err := checkpoint.LoadState(filepath.Join(dir, "run", train.StateFile))
	if err != nil {
		t.Fatal(err)
	}
	return s.Step
}

// A terminal that closes sends SIGHUP, and its shell another: the run stops with a checkpoint.
func TestHangUp(t *testing.T) {
	if signal.Ignored(syscall.SIGHUP) {
		t.Skip("SIGHUP is ignored here, as under nohup, and so it is by processes that start here")
	}
	dir := t.TempDir()
	c, out := command(dir, append(endless, "--out", "run")...)
	started(t, c, dir)
	for range 3 {
		if err := c.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	var exit *exec.ExitError
	if err := c.Wait(); !errors.As(err, &exit) || exit.ExitCode() != ui.ExitInterrupted {
		t.Fatalf("after SIGHUP: %v, want status %d\n%s", err, ui.ExitInterrupted, out)
	}
	if step := state(t, dir); step < 50 {
		t.Errorf("checkpoint of step %d", step)
	}
}

// A reader of the output that goes away, as in train | head -1, does not end the run.
func TestClosedPipe(t *testing.T) {
	dir := t.TempDir()
	args := strings.Fields("--width 16 --depth 1 --steps 4000 --batch 64 --n-data 200 --log-every 10 --device cpu --out run")
	c, _ := command(dir, args...)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout, c.Stderr = w, w
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := bufio.NewReader(r).ReadString('\n'); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	r.Close()
	if err := c.Wait(); err != nil {
		t.Errorf("a run without its output: %v", err)
	}
	if step := state(t, dir); step != 4000 {
		t.Errorf("checkpoint of step %d, want 4000", step)
	}
	if _, err := os.Stat(filepath.Join(dir, "run", samplesFile)); err != nil {
		t.Error(err)
	}
}

// A second process in a run directory is refused by the first one's number, and harms nothing; a killed one holds no lock, and
// what it left half written goes.
func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	first, _ := command(dir, append(endless, "--out", "run")...)
	started(t, first, dir)
	for _, more := range []string{"", " --overwrite"} {
		second, out := command(dir, append(tiny(), strings.Fields("--out run"+more)...)...)
		var exit *exec.ExitError
		want := fmt.Sprintf("run is in use by process %d;", first.Process.Pid)
		if err := second.Run(); !errors.As(err, &exit) || exit.ExitCode() != ui.ExitFailure || !strings.Contains(out.String(), want) {
			t.Errorf("second process%s: %v, want status %d and %q\n%s", more, err, ui.ExitFailure, want, out)
		}
	}
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	half := filepath.Join(dir, "run", ".state.safetensors.tmp-1-1")
	if err := os.WriteFile(half, make([]byte, 1000), 0o644); err != nil {
		t.Fatal(err)
	}
	third, out := command(dir, append(tiny(), "--out", "run")...)
	if err := third.Run(); err != nil {
		t.Fatalf("after a killed process: %v\n%s", err, out)
	}
	if _, err := os.Stat(half); err == nil {
		t.Errorf("%s is left", half)
	}
}
