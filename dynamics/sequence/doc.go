// Package sequence is a model of symbols whose memory is linear dynamics, made to compare dissipation with its absence:
//
//	z_t = Λ z_{t−1} + g ∘ B u_t,   y_t = Re(C z_t) + D u_t,   logits = dec(y_t),   Λ = exp(−ρ + iθ)
//
// with u_t the indicator of symbol t, N complex modes z, and g = (Σ_{τ<T} |Λ|^2τ)^(−½), which gives all modes one size over
// the training window T. The decoder is linear, or LayerNorm → 4d → SiLU → symbols. One switch sets what the modes may do:
// ρ = |ν| (dissipative), ρ = 0 (conservative, a Hamiltonian system) or ρ = ν (free).
//
// Source: X. Wang, Path Integral Solution for Dissipative Generative Dynamics, arXiv:2601.00860. Diagonal recurrences of this
// kind are those of A. Orvieto et al., arXiv:2303.06349.
//
// Letters: V symbols, N modes, d the width of y, T the training window. Numbers are float32, losses float64 in nats.
package sequence
