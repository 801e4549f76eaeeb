// Package fokkerplanck solves the Fokker–Planck equation of the reverse process in one and two dimensions, on a grid: the
// density q_t^h that any score model produces at any h > 0, to discretisation accuracy.
//
// The reverse process (arXiv:2403.11262, eq. 9) in λ = log(α/σ), growing from noise to data, with g² dt = −2σ² dλ:
//
//	∂q/∂λ = −∇·[ (A x + (1+h) σ² s) q ] + h σ² Δq,       A = d log α/dλ,     q = prior at λ(Tmax)
//
// # Moving frame
//
// With x = α m + W y and W = α R + κ σ (in each dimension; m and R are the centre and half width of the data, κ the
// margin in units of the noise), the density of y on the periodic box [−1, 1)^D obeys, for every schedule,
//
//	∂q/∂λ = −∇·[ (σ/W) ((1+h) σs + κ y) q ] + h (σ/W)² Δq
//
// since dW/dλ = A W − κσ: A drops out. The box shrinks with the density and no stage needs a new grid; more
// modes are added, exactly, when the spectrum's tail calls for them.
//
// # Method
//
// Fourier pseudo-spectral in conservative form with 2/3 dealiasing; fourth-order Runge–Kutta in λ with the diffusion as
// an exact integrating factor; steps from the advective stability bound. The model is tabulated on the grid at
// equidistant λ nodes, once for all h, and interpolated in λ with six points. |σs| is limited smoothly where it is far larger
// than on the paths of the process: that region has no probability, but would determine the step size.
//
// Each value of h is solved twice, the second time with 3/4 of the modes, 4/3 of the step and node spacing and a smaller
// box. The difference is the error reported with each point; mass, most negative value, boundary value and spectral tail
// are reported for each run. The smaller h, the finer the structures of q: at h = 0 there is no
// diffusion and the probability-flow solution (package likelihood) is the method.
//
// Legend: n points, D dimensions, N grid points and K modes a dimension; points row-major n×D.
package fokkerplanck
