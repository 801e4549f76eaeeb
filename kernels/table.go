package kernels

// Row is one evaluation of the network n, and the linear updates of the state x and of the memory m that follow it:
//
//	n  = net(Cin x, Tau)
//	x' = State x + Net n + Memory m + Noise z
//	m' = KeepState x + KeepNet n + KeepMemory m + KeepNoise z
//
// Both updates use the x and m from before the row. Each field is the coefficient of what it is named after; z are the
// standard normals of step Step.
//
// Every sampler of package solver is a list of such rows, which is called a step table. One-step methods do not use m. The
// multistep exponential integrator keeps the previous denoised state in m. Heun's method takes two rows a step, and keeps in m what
// the second adds to. The prediction type of the network (noise, score, …) is contained in the coefficients, which are computed
// on the host in float64. Rows with Noise = KeepNoise = 0 draw no random numbers.
type Row struct {
	Tau, Cin                                  float64 // the network's time input c_noise(t), and the scale c_in of its other input
	State, Net, Memory, Noise                 float64 // of x'
	KeepState, KeepNet, KeepMemory, KeepNoise float64 // of m'
	Step                                      uint32  // which normals
}

// UsesMemory reports whether any row reads or writes m.
func UsesMemory(rows []Row) bool {
	for _, r := range rows {
		if r.Memory != 0 || r.KeepState != 0 || r.KeepNet != 0 || r.KeepNoise != 0 || r.KeepMemory != 0 {
			return true
		}
	}
	return false
}

// Noise identifies the random numbers of a run: sample i of the run has the counters of sample Sample0 + i in the stream.
type Noise struct {
	Seed    uint64
	Stream  uint32
	Sample0 uint64
}
