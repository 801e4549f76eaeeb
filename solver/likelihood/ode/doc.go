// Package ode integrates batches of independent initial value problems dy/dτ = f(τ, y), each with its own steps.
//
// The samples that have not arrived take a step at the same time: one evaluation of f serves a stage of all of them, each at its
// own time and with its own step size, so a network sees large batches. The error of a step is controlled for each sample.
// A sample that cannot go on stops with a Status and does not affect the others.
//
// Legend: n samples (rows), m numbers of a state; states are row-major n×m.
package ode
