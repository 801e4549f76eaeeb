// Package solver turns a score model into samples: schedules, prediction types, time grids, step tables and the loop
// that joins them.
//
// Notation: time runs forward from data (Tmin) to noise (Tmax); α(t), σ(t) describe p(x_t|x_0) = N(α x_0, σ² I);
// a(t) and g(t)² are the drift and diffusion of the forward process dx = a x dt + g dw; λ = log(α/σ); s(x, t) is the
// score ∇ log p_t(x); z ~ N(0, I). The reverse process with the dial h ≥ 0 of arXiv:2403.11262, eq. (9), is
//
//	dx = [a x − ((1+h)/2) g² s] dt + √h g dw̄         h = 1: the reverse SDE, h = 0: the probability-flow ODE
//
// The choices are separate types: Schedule (the noise), Prediction (the output of the network), Grid (the times), Sampler (the
// method of a step), Model (the score), Options (number of samples, seed). A sampler becomes a table of kernels.Row, computed
// in float64, so that one kernel runs all of them. At h = 0 it draws no random numbers and is the method for the ODE.
//
// Legend: n samples, D dimensions of a sample; matrices row-major n×D.
package solver
