// Package exact holds score models whose densities are known in closed form: Gaussians with a score that is wrong by a
// known factor (arXiv:2403.11262, section 5.1) and mixtures of Gaussians. They are solver.Models with every optional
// interface, so that each sampler and likelihood can be run against the truth.
//
// Legend: n rows, D dimensions, K components; matrices row-major.
package exact
