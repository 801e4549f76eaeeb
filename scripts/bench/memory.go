package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"hbar/kernels/cpu"
)

// memoryTable measures the memory of large batches of the U-Net for CIFAR-10: one run of each, after its setup.
func memoryTable() error {
	fmt.Printf("%-8s %3s %-14s %9s %8s\n", "network", "n", "job", "ms", "memory")
	for _, big := range []struct{ n, job int }{{64, 0}, {128, 2}} {
		if err := memoryRow(all[0], big.n, big.job); err != nil {
			return err
		}
	}
	return nil
}

func memoryRow(n network, batch, i int) (err error) {
	team := cpu.NewTeam(0)
	defer team.Close()
	work, _, err := prepare(n, batch, team)
	if err != nil {
		return err
	}
	resetMemory()
	job := work.Jobs()[i]
	run, stop, err := job.Start()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	start := time.Now()
	if err := run(context.Background()); err != nil {
		return err
	}
	fmt.Printf("%-8s %3d %-14s %9.0f %8s\n", n.name, batch, job.Name, 1e3*time.Since(start).Seconds(), megabytes(peakMemory()))
	return nil
}

// resetMemory returns unused memory to the system and starts the peak of the process anew, where Linux lets it.
func resetMemory() {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // without it, the peak since the start counts
}

// peakMemory is the largest resident memory of the process since resetMemory in bytes, 0 where the system does not say.
func peakMemory() float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kilobytes float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kilobytes); n == 1 {
			return 1024 * kilobytes
		}
	}
	return 0
}

func megabytes(v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f MB", v/1e6)
}
