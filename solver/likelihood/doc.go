// Package likelihood computes the density q^h that the reverse process really produces at Tmin, for a score model that
// need not be exact: dx = [a x − ((1+h)/2) g² s] dt + √h g dw̄ from the prior π at Tmax (package solver).
//
//	Flow           log q⁰ by the probability-flow ODE, divergence exact or by Hutchinson's estimator
//	Expand         the WKB expansion log q^h = log q⁰ + h ℓ₁ + h² ℓ₂ + … by Taylor expansion along the path; D ≤ 3
//	EstimateDual, EstimateTimes   ℓ₁ without bias in any dimension, from JVPs and VJPs
//	Published      ℓ₁ by the nested solves and finite differences of arXiv:2403.11262, for comparison
//	PathIntegral   q^h of the discrete chain that a sampler runs, for h > 0 in any dimension, and bounds on it
//	Generate       points of that chain with the paths that made them, for the upper bound
//
// # Density along the path
//
// With F = a x − ½ g² s, u = ∇log q⁰_t, and D/dt the derivative along dx/dt = F, the equation of q^h_t,
//
//	∂q/∂t = −∇·[(a x − ((1+h)/2) g² s) q] − (h/2) g² Δq,
//
// gives order by order in h (q^h = exp(L + h ℓ₁ + h² ℓ₂ + …))
//
//	DL/dt  = −∇·F                                   L(Tmax)  = log π
//	Dℓ₁/dt = ½ g² [∇·s − ΔL + (s − u)·u]            ℓ₁(Tmax) = 0
//	Dℓ₂/dt = ½ g² [(s − 2u)·∇ℓ₁ − Δℓ₁]              ℓ₂(Tmax) = 0
//
// (Theorem 4.2 of arXiv:2403.11262, rearranged). For a function f(x, t), the Taylor polynomial f(x(t)+δ, t) in δ obeys the
// same equation with −(F(x+δ) − F(x))·∇f added on the right: closed equations for the polynomials, because the added term
// lowers no degree. First order needs L to degree 2 and s to degree 3, second order L to 4, ℓ₁ to 2 and s to 5.
//
// All arithmetic here is float64. The precision of a network is chosen by its Model.
//
// Legend: n points, D dimensions, K probes or paths; matrices row-major. Log densities in nats, on the data of the model
// (the scaling of the data set is not included).
package likelihood
