// Package sequence has models of sequences whose memory is linear dynamics (nets.Memory), made to compare dissipation with its
// absence, and fitted by the likelihood of the next symbol or number:
//
//	z_t = Λ z_{t−1} + g ∘ B u_t,   y_t = Re(C z_t) + D u_t,   p(x_{t+1} | x_0 … x_t) by dec(y_t),   Λ = exp(−ρ + iθ)
//
// The network is a program whose recurrence is the operation ops.Scan. gorgonia.Grad differentiates it, and kernels/cpu trains it,
// as any other network.
//
// Source: X. Wang, Path Integral Solution for Dissipative Generative Dynamics, arXiv:2601.00860.
//
// Letters: N modes, T the training window. Losses are in nats.
package sequence
