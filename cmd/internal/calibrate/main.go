// Command calibrate repeats every estimator that prints a standard error or an interval, on small models whose answer is known, and
// prints how often the nominal 95 % interval holds the truth.
//
//	go run ./cmd/internal/calibrate                          all studies, 1000 repeats each: docs/calibration.md
//	go run ./cmd/internal/calibrate --only w2,frechet        some of them
//	go run ./cmd/internal/calibrate --repeats 100 --seed 7   fewer repeats, other random numbers
//	go run ./cmd/internal/calibrate --list                   their names, and what is repeated
package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// options are the settings of the command.
type options struct {
	repeats int
	seed    uint64
	only    []string
	workers int
}

func main() {
	var o options
	var list bool
	pflag.IntVar(&o.repeats, "repeats", 1000, "repeats of each study")
	pflag.Uint64Var(&o.seed, "seed", 0, "of all random numbers")
	pflag.StringSliceVar(&o.only, "only", nil, "studies: "+strings.Join(names(), ", "))
	pflag.IntVar(&o.workers, "workers", runtime.GOMAXPROCS(0), "repeats at once")
	pflag.BoolVar(&list, "list", false, "print the names of the studies and what each repeats")
	pflag.Parse()
	if err := o.check(pflag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "calibrate:", err)
		os.Exit(1)
	}
	if list {
		for _, s := range studies() {
			fmt.Printf("%-16s %s\n", s.name, s.about)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "calibrate:", err)
		os.Exit(1)
	}
}

// check refuses what selects nothing.
func (o options) check(args []string) error {
	switch {
	case len(args) > 0:
		return fmt.Errorf("argument %q; there are only flags", args[0])
	case o.repeats < 2:
		return fmt.Errorf("--repeats %d; want at least 2", o.repeats)
	case o.workers < 1:
		return fmt.Errorf("--workers %d; want at least 1", o.workers)
	}
	for _, name := range o.only {
		if !slices.Contains(names(), name) {
			return fmt.Errorf("--only %s; have %s", name, strings.Join(names(), ", "))
		}
	}
	return nil
}

func names() []string {
	var out []string
	for _, s := range studies() {
		out = append(out, s.name)
	}
	return out
}

// run prints the table. It reports an error if the coverage of a row is outside of what is allowed for it by more than chance explains.
func run(ctx context.Context, o options, w, progress io.Writer) error {
	fmt.Fprintf(w, "Coverage of nominal 95 %% in %d repeats, with its binomial standard error; in percent.\n\n", o.repeats)
	fmt.Fprintf(w, "| what has a ± | its interval | value ± 1.96 s.e. | mean error / s.e. | allowed |\n|---|---|---|---|---|\n")
	var wrong []string
	begun := time.Now()
	for _, s := range studies() {
		if len(o.only) > 0 && !slices.Contains(o.only, s.name) {
			continue
		}
		at := time.Now()
		got, err := s.repeat(ctx, o)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		for i, row := range s.rows {
			c := summarise(got, i)
			fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", row.what, share(c.interval, c.n), share(c.plain, c.n), signed(c.bias), row.allowed())
			if !row.holds(c) {
				wrong = append(wrong, fmt.Sprintf("%s (%.1f %%)", row.what, 100*c.interval))
			}
		}
		fmt.Fprintf(progress, "%s: %.0f s\n", s.name, time.Since(at).Seconds())
	}
	fmt.Fprintf(progress, "all: %.0f s\n", time.Since(begun).Seconds())
	if len(wrong) > 0 {
		return fmt.Errorf("outside of what is allowed, by more than three standard errors: %s", strings.Join(wrong, "; "))
	}
	return nil
}

// share is a coverage in percent with its binomial standard error.
func share(p float64, n int) string {
	if math.IsNaN(p) {
		return "—"
	}
	return fmt.Sprintf("%.1f ± %.1f", 100*p, 100*math.Sqrt(p*(1-p)/float64(n)))
}

func signed(v float64) string {
	if math.IsNaN(v) {
		return "—"
	}
	return strings.ReplaceAll(fmt.Sprintf("%+.2f", v), "-", "−")
}
