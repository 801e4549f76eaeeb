package kernels

// Row is one evaluation of the network n and the affine updates of the state x and the memory m that follow it:
//
//	n  = net(Cin x, T)
//	x' = A x + B n + M m + C z
//	m' = G x + H n + J z + K m        (with the x and m from before the update)
//
// where z are the standard normals of step Step. Every sampler of package solver is a table of such rows: one-step
// methods leave m alone, the multistep exponential integrator keeps the previous denoised state in m, Heun's method
// keeps the corrector's base there and uses two rows a step. The score's prediction type is folded into the
// coefficients, which are made on the host in float64. NoNoise rows (C = J = 0) draw nothing.
type Row struct {
	T, Cin     float64
	A, B, M, C float64
	G, H, J, K float64
	Step       uint32
}

// UsesMemory reports whether any row reads or writes m.
func UsesMemory(rows []Row) bool {
	for _, r := range rows {
		if r.M != 0 || r.G != 0 || r.H != 0 || r.J != 0 || r.K != 0 {
			return true
		}
	}
	return false
}

// Noise names the random numbers of a run: sample i of the run draws from counter Sample0 + i of the stream.
type Noise struct {
	Seed    uint64
	Stream  uint32
	Sample0 uint64
}
