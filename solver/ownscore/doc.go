// Package ownscore fits the score of a sampler itself. The chain that a sampler runs at h > 0 has the density q^h_t at time t, which is
// not the density that the network's score s is of unless s is exact. With c = ∇log q^h − s the proposal of the path integral
// (likelihood.Correction) would be exact, and the flow
//
//	dx/dt = a x − ½ g² (s − h c)
//
// would have the density q^h (Flow).
//
// # Target
//
// Fit learns c from paths of the chain, x_k = f(x_{k+1}) + C z with J = ∂f/∂x. With V = Y_{k+1} + Jᵀ z/C and any matrix M(x_k),
//
//	Y_N = −x_N/σ_π²        Y_k = Mᵀ V − z/C        E[Y_k | x_k] = ∇log q^h_k(x_k)
//
// exactly for the chain. M is the Jacobian of the proposal's mean, about J⁻¹ + C² ∇s, so that the terms in z/C nearly cancel; the
// difference is formed as (Jᵀ − I)z/C and (Mᵀ − I)V. That has far less variance than the increments of the path, whose noise grows
// like 1/dt.
//
// For small h the target remembers too much of Tmax. Before each step Y is moved towards s + c of the round before, by
// μ = e^{−κΔλ}; rounds have falling κ.
//
// # Fit
//
// σ c is linear in features, with weights that are piecewise linear in λ, found by least squares with a ridge. One set of features are y
// and σ s alone, two numbers a knot for all coordinates, y = x/√(α² + σ²). Others have weights for each coordinate, filters of 3×3
// positions for images (3 for sequences), and in few dimensions random cosines of y (Kind). The loss on paths that were held out chooses
// between them and c = 0. Fit also finds ρ, the factor by which the proposal's variance differs from that of the chain's step.
package ownscore
