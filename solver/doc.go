// Package solver turns a score model into samples: schedules, prediction types, time grids, step tables and the loop
// that joins them.
//
// Notation: time runs forward from data (Tmin) to noise (Tmax); α(t), σ(t) describe p(x_t|x_0) = N(α x_0, σ² I);
// a(t) and g(t)² are the drift and diffusion of the forward process dx = a x dt + g dw; λ = log(α/σ); s(x, t) is the
// score ∇ log p_t(x); z ~ N(0, I). The reverse process with the dial h ≥ 0 of arXiv:2403.11262, eq. (9), is
//
//	dx = [a x − ((1+h)/2) g² s] dt + √h g dw̄         h = 1: the reverse SDE, h = 0: the probability-flow ODE
//
// One question per type: Schedule (which noise), Prediction (what the network says), Grid (which times), Sampler (how to
// take a step), Model (whose score), Options (how many, from which seed). A sampler is a table of kernels.Row made on
// the host in float64, so one kernel runs all of them; h = 0 draws no noise and is exactly the method for the ODE.
//
// Legend: n samples, D dimensions of a sample; matrices row-major n×D.
package solver
