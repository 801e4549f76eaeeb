// Package dynamics is linear dynamics with dissipation and noise, and what can be learned of them from observed sequences.
//
// A latent state z of d numbers follows dz = (A z + c) dt + G dw and is observed as y = C z + noise. Its action is
// quadratic, so its path integral closes: the law of a step of any length is a Gaussian ([System.Step]), and so are sequences
// observed at any times ([StateSpace]: filter, smoother, exact log density, generation). From data come modes λ, eigenvalues
// of A in 1/time, which decay (Re λ < 0), grow or are neutral, with confidence intervals: by least squares on lifted
// snapshots ([Fit], extended dynamic mode decomposition) or by maximum likelihood through the filter ([FitLikelihood]).
//
// Letters: d is the dimension of the state or of the lifted features, p the number of outputs, n the number of snapshots,
// Δ or dt a step of time. All is float64, matrices are row-major, log densities are in nats.
//
// Sources: X. Wang, Path Integral Solution for Dissipative Generative Dynamics, arXiv:2601.00860; C. Van Loan, IEEE
// Trans. Autom. Control 23, 395 (1978); M. O. Williams, I. G. Kevrekidis and C. W. Rowley, J. Nonlinear Sci. 25, 1307 (2015)
// for the lifted least squares; D. F. Nicholls and A. L. Pope, Aust. J. Stat. 30A, 296 (1988) for their bias.
package dynamics
