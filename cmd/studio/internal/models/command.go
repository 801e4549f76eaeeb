package models

import (
	"strconv"
	"strings"

	"hbar/cmd/internal/ui"
)

// PointFile is the name of the file that pointCommand reads: the page saves the point under it.
const PointFile = "point.npy"

// pointCommand is the command line that computes the same, of the point in PointFile.
func pointCommand(c *Checkpoint, o PointOptions) string {
	args := []string{ui.Program("likelihood"), "--checkpoint", ui.Quote(c.Path), "--data", PointFile, "--seed", strconv.FormatUint(o.Seed, 10), "--device", device}
	switch {
	case o.H > 0:
		args = append(args, "--method", "pathintegral", "--h", number(o.H), "--sampler", o.Sampler, "--grid", o.Grid, "--steps", strconv.Itoa(o.Steps), "--paths", strconv.Itoa(o.Paths))
	case c.bytes():
		args = append(args, "--bits", "--dequantise", "uniform", "--draws", strconv.Itoa(o.Draws), "--flow-steps", strconv.Itoa(o.FlowSteps), "--divergence", "rademacher", "--probes", strconv.Itoa(o.Probes))
	default:
		args = append(args, "--method", "flow")
	}
	if o.Class != "" {
		args = append(args, "--class", o.Class)
	}
	return strings.Join(args, " ")
}
