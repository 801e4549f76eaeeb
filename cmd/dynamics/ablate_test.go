package main

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

// Runs that diverged have no modes: they do not count in the means of those that did not.
func TestAblateMeansWithoutDiverged(t *testing.T) {
	step := 3
	r := &ablateResult{Runs: []ablateRun{
		{Kind: "dissipative", Diverged: &step, MedianTau: num(math.NaN())},
		{Kind: "free", Growing: 4, MedianTau: 2}, {Kind: "free", Diverged: &step, MedianTau: num(math.NaN())},
	}, Summary: []ablateSummary{{Kind: "dissipative"}, {Kind: "free"}}}
	var out bytes.Buffer
	(&ablateOptions{task: "text", modes: 8}).report(&out, r)
	if s := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(s, "4.0 of 8 2.0") || strings.Count(s, " of 8") != 1 {
		t.Error(s)
	}
}
