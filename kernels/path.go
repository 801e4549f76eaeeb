package kernels

// PathRow belongs to one of the states x_0, …, x_N of the path integral, which estimates the density of a sampler by
//
//	q(x_0) = E_Q[ π(x_N) Π_k R_k(x_{k−1} | x_k) / Q_k(x_k | x_{k−1}) ],   k = 1 … N
//
// with π the prior at Tmax, R_k the sampler's steps and Q_k the steps that propose a path (package solver/likelihood). Row k has
// the coefficients of what is computed with the network's value n_k = net(Cin x_k, Tau) at x_k:
//
//	R_k(x_{k−1} | x_k)     = N(ReverseState x_k + ReverseNet n_k, I/ReversePrecision)   in rows 1 … N
//	Q_{k+1}(x_{k+1} | x_k) = N(State x_k + Net n_k, Noise² I)                           in rows 0 … N−1
//
// The first fields are ignored in row 0, the second in row N. A step without noise has no density: Noise ≠ 0 in rows
// 0 … N−1.
type PathRow struct {
	Tau, Cin                 float64
	State, Net, Noise        float64
	ReverseState, ReverseNet float64
	ReversePrecision         float64
	// LogNorm is the logarithm of the normaliser of R_k over that of Q_k: D log(Noise_{k−1} √ReversePrecision_k), with the
	// noise of the row before. It is zero if the variances are equal.
	LogNorm float64
	Step    uint32 // which normals propose x_{k+1}
}
