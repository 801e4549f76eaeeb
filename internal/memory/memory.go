// Package memory compares the bytes that work will need, known from its options, with those that the machine has, before
// anything is allocated. Go cannot recover from an allocation that fails, and a machine that swaps or a container that kills says
// nothing of why.
package memory

import (
	"fmt"
	"math"
	"strings"
)

// Part is memory of one kind. Bytes is a float64, so that products of large options do not overflow.
type Part struct {
	What  string // "activations of a batch"
	Bytes float64
}

// Need is the memory of some work, part by part.
type Need []Part

// Total is the sum of the parts.
func (n Need) Total() float64 {
	sum := 0.0
	for _, p := range n {
		sum += p.Bytes
	}
	return sum
}

// String lists the parts that matter: "61 GB (activations of a batch 60 GB, weights 1.2 GB)".
func (n Need) String() string {
	var parts []string
	total := n.Total()
	for _, p := range n {
		if p.Bytes >= total/100 {
			parts = append(parts, p.What+" "+Bytes(p.Bytes))
		}
	}
	return fmt.Sprintf("%s (%s)", Bytes(total), strings.Join(parts, ", "))
}

// Limit is memory that can still be had, and what bounds it.
type Limit struct {
	Bytes  float64 // +Inf if nothing is known
	Source string  // "available", "cgroup memory.max", "ulimit -v"
}

func (l Limit) String() string { return fmt.Sprintf("%s (%s)", Bytes(l.Bytes), l.Source) }

// spared is the share of what is available that is left to everything that no Need counts: stacks, the garbage collector, buffers
// of files, other processes.
const spared = 0.1

// Usable is the part of the limit that a Need may fill.
func (l Limit) Usable() float64 { return (1 - spared) * l.Bytes }

// Available is the smallest of the limits of this process: the memory that the system can give without swapping, the control
// groups (v1 and v2) that the process is in, and its resource limits.
func Available() Limit {
	least := Limit{math.Inf(1), "unknown"}
	for _, l := range limits() {
		if l.Bytes < least.Bytes {
			least = l
		}
	}
	least.Bytes = math.Max(least.Bytes, 0)
	return least
}

// TooMuch is the error of work that needs more than there is.
type TooMuch struct {
	Need  Need
	Limit Limit
	// Fits says what would fit: "--batch 4096 would fit"; "" if nothing is known to.
	Fits string
}

func (e *TooMuch) Error() string {
	s := fmt.Sprintf("this needs %v of memory; there are %v", e.Need, e.Limit)
	if e.Fits != "" {
		s += "; " + e.Fits
	}
	return s
}

// Check refuses a need that does not fit in the limit, with what would fit.
func Check(n Need, l Limit, fits func(usable float64) string) error {
	if n.Total() <= l.Usable() {
		return nil
	}
	e := &TooMuch{Need: n, Limit: l}
	if fits != nil {
		e.Fits = fits(l.Usable())
	}
	return e
}

// Largest is the largest n from 1 to most for which need(n) bytes, which do not fall as n grows, are at most usable; 0 if there is
// none.
func Largest(usable float64, most int, need func(n int) float64) int {
	lo, hi := 0, most
	for lo < hi {
		if mid := lo + (hi-lo+1)/2; need(mid) <= usable {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return lo
}

// Round is n with its first two digits and zeros behind, no larger than n: a number that one would type.
func Round(n int) int {
	unit := 1
	for n/unit >= 100 {
		unit *= 10
	}
	return n / unit * unit
}

// Option is one that memory grows with.
type Option struct {
	Name  string // "--batch"
	Value int
	Need  func(n int) float64 // bytes of everything with this value instead
}

// Suggest is what would fit: for each option by itself, the largest value below its own; "" if there is none.
func Suggest(options ...Option) func(usable float64) string {
	return func(usable float64) string {
		var s []string
		for _, o := range options {
			if n := Round(Largest(usable, o.Value-1, o.Need)); n > 0 {
				s = append(s, fmt.Sprintf("%s %d", o.Name, n))
			}
		}
		if len(s) == 0 {
			return ""
		}
		return strings.Join(s, " or ") + " would fit"
	}
}

// Bytes writes a number of bytes in decimal units: 812 B, 3.4 MB, 61 GB.
func Bytes(b float64) string {
	if math.IsInf(b, 1) {
		return "unlimited"
	}
	units := []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	i := 0
	for ; b >= 999.5 && i < len(units)-1; i++ {
		b /= 1000
	}
	if b < 9.95 && i > 0 {
		return fmt.Sprintf("%.1f %s", b, units[i])
	}
	return fmt.Sprintf("%.0f %s", b, units[i])
}
