// Package loglik runs the likelihood methods side by side on the same points and puts their results on one form: a log
// density with its error and status for each method, point and h. cmd/likelihood and cmd/sweep share it.
//
// Methods and where they have a value:
//
//	flow          h = 0, any D         probability-flow ODE
//	wkb           h ≥ 0, any D         log q⁰ + h ℓ₁ (+ h² ℓ₂ for D ≤ 2); ℓ₁ by Taylor expansion for D ≤ 3, beyond by estimators
//	pathintegral  h > 0, any D         the discrete chain of a sampler
//	fokkerplanck  h > 0, D = 1, 2      on a grid
//
// Log densities are in nats, of the coordinates that the network sees: the scaling of the data is a separate constant.
package loglik
