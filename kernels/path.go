package kernels

// PathRow is one state x_k of the path integral (package solver; MATH: q(x_0) = E_Q[π(x_N) Π R_k/Q_k]), k = 0 … N. At
// x_k the network gives n_k = net(Cin x_k, T). It serves the reverse step back to x_{k-1} (of which the row holds E, F,
// InvC2) and the proposal of x_{k+1} (A, B, C):
//
//	R_k(x_{k-1} | x_k)     = N(E x_k + F n_k, I/InvC2)         rows 1 … N; ignored in row 0
//	Q_{k+1}(x_{k+1} | x_k) = N(A x_k + B n_k, C² I)            rows 0 … N-1; ignored in row N
//
// LogC (rows 1 … N) is the logarithm of the ratio of the normalisers of R_k and Q_k: D log(C_{k-1} √InvC2_k), with
// C_{k-1} of the row before; zero if both variances are equal. Step (rows 0 … N-1) is the step of the noise that
// proposes x_{k+1}. No step may be without noise: C ≠ 0 in rows 0 … N-1.
type PathRow struct {
	T, Cin  float64
	A, B, C float64
	E, F    float64
	InvC2   float64
	LogC    float64
	Step    uint32
}
