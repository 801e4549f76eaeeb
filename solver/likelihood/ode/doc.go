// Package ode integrates batches of independent initial value problems dy/dτ = f(τ, y), each with its own steps.
//
// All samples that still run take one step together: a stage is one evaluation of f for all of them, each at its own
// time with its own step size, which is what a network on a batch needs. The error of a step is controlled per sample.
// A sample that cannot go on stops with a Status; the others are not disturbed.
//
// Legend: n samples (rows), m numbers of a state; states are row-major n×m.
package ode
