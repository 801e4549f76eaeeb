// Package guidance samples from a model tilted by a reward r: the target is the density of the data times e^r, normalised.
//
// The score of the tilted marginals is s + ∇log E[e^r(x₀) | x_t], and its second term goes through the reverse process with
// the same factor (1+h)/2 g² as the first, at every strength h of the noise. So guidance is a model with another score, and
// any sampler runs it:
//
//	Exact    Gaussian data and a quadratic reward, in closed form
//	Posterior  forms that were measured, such as known coordinates: in closed form for a Gaussian posterior whose mean and covariance
//	           the model gives, which is exact for Gaussian data
//	PlugIn   any model: ∇r at the denoised x̂₀, (∂x̂₀/∂x)ᵀ ∇r(x̂₀), which is biased
//
// [Sample] runs the guided chain with Euler–Maruyama or exponential steps at h > 0 and keeps each path's weight against the chain without
// guidance, so that expectations under q^h e^r come without the bias of the plug-in ([Expectation]): with m̃ and m the means
// of a step with guidance and without, and C² its variance,
//
//	log w = r(x_end) + Σ_k [|x' − m̃|² − |x' − m|²]/(2C²).
//
// The path's Kullback–Leibler divergence is ((1+h)²/4h) KL(tilted‖data), least at h = 1: weigh there.
package guidance
