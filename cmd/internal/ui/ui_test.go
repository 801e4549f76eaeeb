package ui

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"hbar/internal/atomicfile"
)

func TestReport(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		want   string
	}{
		{nil, ExitOK, ""},
		{errors.New("data: no file x"), ExitFailure, "train: data: no file x\n"},
		{errors.New("one\ntwo"), ExitFailure, "train: one; two\n"},
		{Usagef("--h: %d", -1), ExitUsage, "train: --h: -1 (train --help lists the options)\n"},
		{fmt.Errorf("flags: %w", Usagef("bad")), ExitUsage, "train: flags: bad (train --help lists the options)\n"},
		{fmt.Errorf("%w at step 7", ErrInterrupted), ExitInterrupted, "train: interrupted at step 7\n"},
		{context.Canceled, ExitInterrupted, "train: interrupted\n"},
	} {
		var b bytes.Buffer
		if got := Report("train", c.err, &b); got != c.status || b.String() != c.want {
			t.Errorf("Report(%v) = %d, %q; want %d, %q", c.err, got, b.String(), c.status, c.want)
		}
	}
}

// asCommand makes this test binary a command that writes a file into that folder and does not stop when asked to.
const asCommand = "HBAR_TEST_STUBBORN"

func TestMain(m *testing.M) {
	dir := os.Getenv(asCommand)
	if dir == "" {
		os.Exit(m.Run())
	}
	Main("stubborn", func(ctx context.Context, _ []string, io Streams) error {
		if _, err := atomicfile.Create(filepath.Join(dir, "x")); err != nil {
			return err
		}
		fmt.Fprintln(io.Out, "writing")
		<-ctx.Done()
		select {}
	})
}

// The second interrupt ends a command that does not heed the first, and leaves no half-written file.
func TestSecondInterrupt(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("signals as on Unix")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := exec.Command(self)
	c.Env = append(os.Environ(), asCommand+"="+dir)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	diag, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Process.Kill()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "writing\n" {
		t.Fatalf("the command says %q, %v", line, err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Fatalf("while it writes the folder holds %v", files)
	}
	_ = c.Process.Signal(os.Interrupt)
	said := bufio.NewReader(diag)
	_, _ = said.ReadString('\n')
	if line, err := said.ReadString('\n'); line != "stubborn: stopping in order; once more to stop at once\n" {
		t.Fatalf("after an interrupt the command says %q, %v", line, err)
	}
	time.Sleep(2 * sameSignal) // a second signal sooner than that counts as the first
	_ = c.Process.Signal(os.Interrupt)
	var exit *exec.ExitError
	if err := c.Wait(); !errors.As(err, &exit) || exit.ExitCode() != ExitInterrupted {
		t.Errorf("after another one it ends with %v; want status %d", err, ExitInterrupted)
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("it leaves %v behind", files)
	}
}

// clock is a time that tests move by hand.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func progress(total int64) (*Progress, *bytes.Buffer, *bytes.Buffer, *clock) {
	var out, log bytes.Buffer
	p := NewProgress(&out, "steps", 0, total, &log)
	c := &clock{time.Unix(0, 0)}
	p.now, p.start, p.rateAt = c.now, c.at, c.at
	return p, &out, &log, c
}

func TestProgressPlain(t *testing.T) {
	p, out, log, c := progress(1000)
	for i := range 10 {
		c.at = c.at.Add(time.Second)
		if err := p.Report(int64(100*(i+1)), Field{Name: "loss", Value: 5.6912}, Field{Name: "lr", Value: 1e-3, Quiet: true}); err != nil {
			t.Fatal(err)
		}
	}
	p.Done()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	// One line at once, one after five seconds, one at the end.
	if len(lines) != 3 {
		t.Fatalf("%d plain lines in 10 s, want 3:\n%s", len(lines), out)
	}
	if want := " 10%  100/1,000 steps  100/s  9.0 s left  loss 5.691"; lines[0] != strings.TrimSpace(want) && lines[0] != want {
		t.Errorf("first line %q, want %q", lines[0], want)
	}
	if want := "100%  1,000/1,000 steps  100/s  loss 5.691  in 10 s"; lines[2] != want {
		t.Errorf("last line %q, want %q", lines[2], want)
	}
	records := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(records) != 10 {
		t.Fatalf("%d records, want one for each of 10 reports", len(records))
	}
	var r map[string]float64
	if err := json.Unmarshal([]byte(records[4]), &r); err != nil {
		t.Fatal(err)
	}
	if r["step"] != 500 || r["loss"] != 5.6912 || r["lr"] != 1e-3 || r["per_second"] != 100 || r["seconds"] != 5 {
		t.Errorf("record %v", r)
	}
}

func TestProgressTerminal(t *testing.T) {
	p, out, _, c := progress(1000)
	p.terminal, p.width = true, func() int { return 70 }
	for i := range 100 {
		c.at = c.at.Add(10 * time.Millisecond)
		p.Report(int64(10*(i+1)), Field{Name: "loss", Value: 1})
	}
	p.Done()
	// 1 s at a drawing each 100 ms, the first and the last besides.
	if n := strings.Count(out.String(), "\r"); n < 10 || n > 12 {
		t.Errorf("%d drawings in a second, want about 10", n)
	}
	for _, line := range strings.Split(out.String(), "\r") {
		line = strings.TrimSuffix(strings.TrimSpace(line), "\x1b[K")
		if n := len([]rune(line)); n > 69 {
			t.Errorf("line of %d columns on a terminal of 70: %q", n, line)
		}
	}
	if !strings.HasSuffix(out.String(), "\n") {
		t.Error("the line is not ended")
	}
}

func TestProgressLogsNaN(t *testing.T) {
	p, _, log, _ := progress(10)
	p.Report(1, Field{Name: "loss", Value: math.NaN()})
	var r map[string]any
	if err := json.Unmarshal(log.Bytes(), &r); err != nil || r["loss"] != "NaN" {
		t.Errorf("record %s: %v, %v", log, r, err)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestProgressReportsLogError(t *testing.T) {
	p := NewProgress(&bytes.Buffer{}, "steps", 0, 10, full{})
	if err := p.Report(1); err == nil || !strings.Contains(err.Error(), "no space") {
		t.Errorf("error %v, want the log's", err)
	}
}

func TestNilProgress(t *testing.T) {
	var p *Progress
	if err := p.Report(1); err != nil {
		t.Error(err)
	}
	p.Done()
}

func TestFormats(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Count(0), "0"}, {Count(999), "999"}, {Count(80000), "80,000"}, {Count(-1234567), "-1,234,567"},
		{Rate(812.4), "812"}, {Rate(3411), "3411"}, {Rate(34110), "34.1 k"}, {Rate(2.449e6), "2.45 M"}, {Rate(3e9), "3 G"},
		{Span(300 * time.Millisecond), "0.3 s"}, {Span(42 * time.Second), "42 s"},
		{Span(185 * time.Second), "3 min 05 s"}, {Span(130 * time.Minute), "2 h 10 min"},
		{Bar(0, 4), "│    │"}, {Bar(0.5, 4), "│██  │"}, {Bar(1, 4), "│████│"}, {Bar(0.28125, 4), "│█▏  │"}, {Bar(2, 4), "│████│"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// A job that would take longer than time.Duration counts has no negative time left.
func TestPlural(t *testing.T) {
	for want, c := range map[string]struct {
		n    int64
		noun string
	}{"1 sample": {1, "sample"}, "0 samples": {0, "sample"}, "2,000 samples": {2000, "sample"}, "1 class": {1, "class"}, "3 classes": {3, "class"}} {
		if got := Plural(c.n, c.noun); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestProgressCenturies(t *testing.T) {
	now := time.Unix(0, 0)
	p := NewProgress(io.Discard, "samples", 0, math.MaxInt64, nil)
	p.now = func() time.Time { return now }
	p.start, p.rateAt = now, now
	now = now.Add(time.Second)
	p.Report(10)
	if !strings.Contains(p.lastLine, "centuries left") {
		t.Errorf("line %q", p.lastLine)
	}
}

// A plain log says once that all is done, however often and late the end is reported.
func TestProgressEndsOnce(t *testing.T) {
	p, out, _, c := progress(100)
	for _, done := range []int64{40, 100, 100, 100} {
		c.at = c.at.Add(6 * time.Second)
		p.Report(done)
	}
	p.Done()
	if n := strings.Count(out.String(), "100%"); n != 1 {
		t.Errorf("the end is reported %d times:\n%s", n, out)
	}
}

// Show draws and does not log.
func TestProgressShow(t *testing.T) {
	p, out, log, c := progress(100)
	p.Report(10, Field{Name: "loss", Value: 2})
	c.at = c.at.Add(6 * time.Second)
	p.Show(50)
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(out.String(), " 50%  50/100 steps") || !strings.Contains(out.String(), "loss 2\n") {
		t.Errorf("%d records, drawn:\n%s", n, out)
	}
}

// Which signals end a process at once that is stopping: no SIGHUP, and not the copy that timeout or a shell sends to the group.
func TestAgain(t *testing.T) {
	for _, c := range []struct {
		first, then os.Signal
		after       time.Duration
		want        bool
	}{
		{os.Interrupt, os.Interrupt, time.Second, true},
		{os.Interrupt, os.Interrupt, time.Millisecond, false},
		{syscall.SIGTERM, os.Interrupt, time.Millisecond, true},
		{syscall.SIGTERM, syscall.SIGTERM, time.Second, true},
		{syscall.SIGHUP, syscall.SIGHUP, time.Hour, false},
		{syscall.SIGTERM, syscall.SIGHUP, time.Hour, false},
	} {
		if got := again(c.first, c.then, c.after); got != c.want {
			t.Errorf("%v, then after %v %v: at once %v, want %v", c.first, c.after, c.then, got, c.want)
		}
	}
}

func TestProgram(t *testing.T) {
	for _, c := range []struct{ arg0, self, tags, want string }{
		{"/tmp/go-build123/b001/exe/train", "/tmp/go-build123/b001/exe/train", "", "go run ./cmd/sample"},
		{"/tmp/go-build123/b001/exe/train", "/tmp/go-build123/b001/exe/train", "gpu", "go run -tags gpu ./cmd/sample"},
		{"train", "/usr/local/bin/train", "", "sample"},
		{"./bin/train", "/home/a/bin/train", "gpu", "./bin/sample"},
	} {
		if got := program("sample", c.arg0, c.self, c.tags); got != c.want {
			t.Errorf("called as %s, file %s: %q, want %q", c.arg0, c.self, got, c.want)
		}
	}
	for arg, want := range map[string]string{"runs/a-b": "runs/a-b", "my data.npy": "'my data.npy'", "it's": `'it'\''s'`, "": "''"} {
		if got := Quote(arg); got != want {
			t.Errorf("%q for a shell is %s, want %s", arg, got, want)
		}
	}
	const line = "go run -tags gpu ./cmd/train --device cuda"
	if got := Commands(line); got != line { // of a test binary
		t.Errorf("%q became %q", line, got)
	}
}

// Wait returns what the work returns, and does not wait for work that is no longer wanted.
func TestWait(t *testing.T) {
	v, err := Wait(t.Context(), io.Discard, "counting", func() (int, error) { return 3, errors.New("bad") })
	if v != 3 || err == nil || err.Error() != "bad" {
		t.Errorf("Wait returns %d, %v", v, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stuck := make(chan struct{})
	defer close(stuck)
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := Wait(ctx, io.Discard, "waiting", func() (int, error) { <-stuck; return 0, nil }); !errors.Is(err, ErrInterrupted) || err.Error() != "interrupted while waiting" {
		t.Errorf("Wait returns %v after its context has ended", err)
	}
	begun := make(chan struct{}, 1)
	if _, err := Wait(ctx, io.Discard, "waiting", func() (int, error) { begun <- struct{}{}; return 0, nil }); !errors.Is(err, ErrInterrupted) || len(begun) > 0 {
		t.Errorf("Wait returns %v and begins %d times when its context has ended before", err, len(begun))
	}
	p, out, _, c := progress(0)
	p.unit = "reading x.npy"
	for range 80 {
		c.at = c.at.Add(100 * time.Millisecond)
		p.wait()
	}
	if want := "reading x.npy  1.0 s\nreading x.npy  6.0 s\n"; out.String() != want {
		t.Errorf("in 8 s it says %q, want %q", out, want)
	}
}

// Before its first unit is done a job shows how long it has run, and afterwards its rate.
func TestProgressBeforeFirstUnit(t *testing.T) {
	p, out, _, c := progress(2)
	for _, done := range []int64{0, 0, 1} {
		p.Report(done)
		c.at = c.at.Add(6 * time.Second)
	}
	if want := "  0%  0/2 steps\n  0%  0/2 steps  after 6.0 s\n 50%  1/2 steps  "; !strings.HasPrefix(out.String(), want) {
		t.Errorf("lines %q, want %q", out, want)
	}
}
