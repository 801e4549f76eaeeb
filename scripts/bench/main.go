// Command bench prints tables of rates on this machine's CPU: the jobs of hbar, their share of the machine's measured
// multiply-add peak, and, where Python has PyTorch, PyTorch's rate of the same jobs in the same run.
//
//	go run ./scripts/bench                              all parts
//	go run ./scripts/bench --only nets                  the U-Nets and transformers
//	go run ./scripts/bench --only cifar10 --batch 8     one of them, with one size of batch
//	go run ./scripts/bench --only scan                  training of the recurrence of complex modes
//	go run ./scripts/bench --only memory                the memory of the CIFAR-10 U-Net at large batches
//
// Only the network's multiply-adds count as work (two operations each). The peak is a loop of independent vector
// multiply-adds on all cores, run alternately with the job: its mean over 30 ms for the chains, the best of twenty runs of some
// milliseconds for the networks. The share is the median of the ratios; beside it, for the networks, is that of the fastest run
// and the highest peak, which neighbours of a virtual machine disturb least, and that of what the same loop reaches when it runs as long
// as the job. PyTorch's rate is its best over 1 and 2 threads, by
// scripts/torch_peer.py, scripts/torch_nets_peer.py and scripts/torch_scan_peer.py.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"hbar/kernels/simd"
)

// options are the settings of the command.
type options struct {
	repeats int
	torch   bool
	python  string
	only    []string
	batches []int
	jobs    []string
}

// parts are the tables; a network's name selects its rows of the table of networks.
var parts = []string{"chains", "nets", "scan", "memory"}

func main() {
	var o options
	pflag.IntVar(&o.repeats, "repeats", 7, "runs of each job; medians are printed")
	pflag.BoolVar(&o.torch, "torch", true, "run PyTorch beside, if it is there")
	pflag.StringVar(&o.python, "python", "/usr/bin/python3", "the Python that has PyTorch")
	pflag.StringSliceVar(&o.only, "only", nil, "parts: "+strings.Join(append(slices.Clone(parts), networkNames()...), ", "))
	pflag.IntSliceVar(&o.batches, "batch", nil, "of the networks, only rows with these sizes of batch")
	pflag.StringSliceVar(&o.jobs, "jobs", nil, "of the networks, only these jobs: "+strings.Join(jobNames, ", "))
	pflag.Parse()
	if err := o.check(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// check reports settings that select nothing.
func (o options) check() error {
	if pflag.NArg() > 0 {
		return fmt.Errorf("argument %q; there are only flags", pflag.Arg(0))
	}
	if o.repeats < 1 {
		return fmt.Errorf("--repeats must be at least 1")
	}
	for _, only := range o.only {
		if have := append(slices.Clone(parts), networkNames()...); !slices.Contains(have, only) {
			return fmt.Errorf("--only %s; have %s", only, strings.Join(have, ", "))
		}
	}
	for _, job := range o.jobs {
		if !slices.Contains(jobNames, job) {
			return fmt.Errorf("--jobs %s; have %s", job, strings.Join(jobNames, ", "))
		}
	}
	if (o.wants("nets") || len(o.networks()) > 0) && len(o.rows()) == 0 {
		return fmt.Errorf("--batch %v selects no network; %s", o.batches, batchSizes())
	}
	return nil
}

// wants reports whether a part is measured.
func (o options) wants(part string) bool { return len(o.only) == 0 || slices.Contains(o.only, part) }

func run(o options) error {
	cores := runtime.GOMAXPROCS(0)
	peak32, peak64 := peakRate(simd.Best().Peak32, cores), peakRate(simd.Best().Peak64, cores)
	fmt.Printf("%s/%s, %d cores, kernels %s; multiply-add peak %.1f GFLOP/s in float32, %.1f in float64\n",
		runtime.GOOS, runtime.GOARCH, cores, simd.Best().Name, peak32/1e9, peak64/1e9)
	if o.torch {
		version, err := torchVersion(o.python)
		if err != nil {
			fmt.Printf("PyTorch is not measured: %v\n", err)
			o.torch = false
		} else {
			fmt.Printf("PyTorch %s, %s\n", version, o.python)
		}
	}
	fmt.Println()
	if o.wants("chains") {
		if err := chains(o); err != nil {
			return err
		}
	}
	if rows := o.rows(); len(rows) > 0 {
		if err := networks(o, rows); err != nil {
			return err
		}
	}
	if o.wants("scan") {
		if err := scans(o); err != nil {
			return err
		}
	}
	if o.wants("memory") {
		return memoryTable()
	}
	return nil
}

// torchVersion is the version of PyTorch that python has.
func torchVersion(python string) (string, error) {
	out, err := exec.Command(python, "-c", "import torch; print(torch.__version__)").CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	last := lines[len(lines)-1]
	if err != nil && last != "" {
		return "", fmt.Errorf("%s: %s", python, last)
	}
	return last, err
}

// peakRate is the rate of the peak loop on all cores over some 30 ms, in operations a second.
func peakRate(peak func(n int) int, cores int) float64 {
	const rounds = 1 << 12 // one call is well under a millisecond
	var wg sync.WaitGroup
	ops := make([]float64, cores)
	start := time.Now()
	for i := range cores {
		wg.Go(func() {
			for time.Since(start) < 30*time.Millisecond {
				ops[i] += float64(peak(rounds))
			}
		})
	}
	wg.Wait()
	total := 0.0
	for _, o := range ops {
		total += o
	}
	return total / time.Since(start).Seconds()
}
