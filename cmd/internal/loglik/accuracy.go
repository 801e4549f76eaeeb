package loglik

import (
	"hbar/cmd/internal/flags"
	"hbar/solver/fokkerplanck"
	"hbar/solver/likelihood"
)

// Accuracy are options of the methods that commands share.
type Accuracy struct {
	Tol float64
	// Velocities are draws of what a state has beside the point, under a schedule of matrices.
	Velocities int
	Paths      int
	Cells      int
	GridTol    float64
}

// DefaultAccuracy takes the number of paths, which each command has its own of.
func DefaultAccuracy(paths int) Accuracy {
	return Accuracy{Tol: 1e-5, Velocities: 16, Paths: paths, Cells: 512, GridTol: 3e-5}
}

// DefineFlow makes --tol and --velocities.
func (a *Accuracy) DefineFlow(g *flags.Group) {
	g.Float(&a.Tol, "tol", "TOL", flags.Range{Min: 1e-13, Max: 1, OpenMax: true}, "relative and absolute tolerance of a path of flow and wkb")
	g.Int(&a.Velocities, "velocities", "K", flags.Between(1, 1_000_000), "of flow and wkb under a schedule of matrices (cld, …): draws of the velocities for each point; 1 gives a lower bound")
}

// DefinePaths makes --paths, at least least.
func (a *Accuracy) DefinePaths(g *flags.Group, least float64, usage string) {
	g.Int(&a.Paths, "paths", "K", flags.Between(least, 100_000_000), usage)
}

// DefineGrid makes --cells and --grid-tol.
func (a *Accuracy) DefineGrid(g *flags.Group) {
	g.Int(&a.Cells, "cells", "N", flags.Between(32, 16384), "grid points a dimension at most of fokkerplanck, 2^k or 3·2^k; in 1-D eight times as many")
	g.Float(&a.GridTol, "grid-tol", "TOL", flags.Range{Min: 1e-14, Max: 1, OpenMax: true}, "share of the density in the highest modes at which that grid is refined; the default gives log q to about 10⁻⁴")
}

// Grid is what fokkerplanck takes in d dimensions.
func (a Accuracy) Grid(d, workers int) fokkerplanck.Options {
	o := fokkerplanck.Options{MinN: min(64, a.Cells), MaxN: a.Cells, Tolerance: a.GridTol, Workers: workers}
	if d == 1 {
		o.MaxN = min(8*a.Cells, 12288)
	}
	return o
}

// exactDims is the largest D for which D derivatives are spent on each divergence.
const exactDims = 128

// AutoDivergence is how the divergence in d dimensions is computed unless an option says.
func AutoDivergence(d int) likelihood.Probe {
	if d > exactDims {
		return likelihood.Rademacher
	}
	return likelihood.Exact
}
