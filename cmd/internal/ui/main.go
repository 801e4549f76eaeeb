package ui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"hbar/internal/atomicfile"
)

// Exit statuses.
const (
	ExitOK          = 0
	ExitFailure     = 1
	ExitUsage       = 2
	ExitInterrupted = 130 // 128 + SIGINT, as shells have it
)

// Streams are where a command writes: results to Out, progress and messages to Err.
type Streams struct {
	Out, Err io.Writer
}

// Command is the body of a command. args leaves out the program's name.
type Command func(ctx context.Context, args []string, io Streams) error

// UsageError is an error in how a command was called.
type UsageError struct{ Err error }

func (e UsageError) Error() string { return e.Err.Error() }
func (e UsageError) Unwrap() error { return e.Err }

// Usagef makes a UsageError.
func Usagef(format string, args ...any) error { return UsageError{fmt.Errorf(format, args...)} }

// ErrInterrupted is what a command returns when it ended early, and in order, because the user asked it to.
var ErrInterrupted = errors.New("interrupted")

// Main runs a command on the process's arguments and exits with its status. name prefixes its error messages.
//
// SIGINT, SIGTERM and SIGHUP cancel the context, so that the command can save its work; a second SIGINT or SIGTERM ends the
// process at once, half-written files removed. A SIGHUP that the process was started to ignore (nohup) stays ignored. A reader
// of the output that goes away (SIGPIPE) ends nothing: what is printed after that is lost, and the work goes on.
func Main(name string, command Command) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // a write to a closed pipe fails with EPIPE and does not kill
	go func() {
		first := <-signals
		began := time.Now()
		fmt.Fprintf(os.Stderr, "\n%s: stopping in order; once more to stop at once\n", name)
		cancel()
		for s := range signals {
			if again(first, s, time.Since(began)) {
				break
			}
		}
		atomicfile.RemoveTemporary()
		os.Exit(ExitInterrupted)
	}()
	err := command(ctx, os.Args[1:], Streams{Out: os.Stdout, Err: os.Stderr})
	os.Exit(Report(name, err, os.Stderr))
}

// sameSignal is the time within which a signal repeats the first one: timeout and shells send theirs to the process and then to
// its group.
const sameSignal = 200 * time.Millisecond

// again reports whether a signal, so long after the first, asks to stop at once. A SIGHUP never does: a terminal that closes
// sends one, and the shell in it another.
func again(first, s os.Signal, after time.Duration) bool {
	if s == syscall.SIGHUP {
		return false
	}
	return after >= sameSignal || s != first
}

// Report prints err, if any, as one line on w and returns the exit status for it.
func Report(name string, err error, w io.Writer) int {
	if err == nil || errors.Is(err, pflag.ErrHelp) {
		return ExitOK
	}
	text := name + ": " + strings.ReplaceAll(strings.TrimPrefix(oneLine(err), name+": "), ": "+name+": ", ": ") // a package may be called like its command
	var usage UsageError
	switch {
	case errors.Is(err, ErrInterrupted), errors.Is(err, context.Canceled):
		if !errors.Is(err, ErrInterrupted) {
			text = name + ": " + ErrInterrupted.Error()
		}
		fmt.Fprintln(w, text)
		return ExitInterrupted
	case errors.As(err, &usage):
		fmt.Fprintf(w, "%s (%s --help lists the options)\n", text, name)
		return ExitUsage
	}
	fmt.Fprintln(w, text)
	return ExitFailure
}

// oneLine joins the lines of a message: wrapped errors may carry breaks.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
