package cpu

// SampleDots writes out[s] = Σ x·y over the w elements of each sample, in float64.
func SampleDots(t *Team, out []float64, x, y []float32, n, w int) {
	want("SampleDots", "x", len(x), n*w)
	want("SampleDots", "y", len(y), n*w)
	want("SampleDots", "out", len(out), n)
	t.Run(n, func(_, s int) {
		x, y := x[s*w:(s+1)*w], y[s*w:(s+1)*w]
		var sum [4]float64 // four chains of additions; element i belongs to chain i mod 4
		i := 0
		for ; i+4 <= w; i += 4 {
			sum[0] += float64(x[i]) * float64(y[i])
			sum[1] += float64(x[i+1]) * float64(y[i+1])
			sum[2] += float64(x[i+2]) * float64(y[i+2])
			sum[3] += float64(x[i+3]) * float64(y[i+3])
		}
		for ; i < w; i++ {
			sum[i%4] += float64(x[i]) * float64(y[i])
		}
		out[s] = (sum[0] + sum[1]) + (sum[2] + sum[3])
	})
}

// SquaredError writes loss[s] = weight[s]·Σ(x - target)² over the w elements of each sample, in float64, and unless d is
// nil its gradient in x times scale, d = 2·scale·weight·(x - target). weight nil stands for ones. d may be x.
func SquaredError(t *Team, loss []float64, d, x, target []float32, weight []float64, scale float64, n, w int) {
	want("SquaredError", "x", len(x), n*w)
	want("SquaredError", "target", len(target), n*w)
	want("SquaredError", "loss", len(loss), n)
	if d != nil {
		want("SquaredError", "d", len(d), n*w)
	}
	if weight != nil {
		want("SquaredError", "weight", len(weight), n)
	}
	t.Run(n, func(_, s int) {
		k := 1.0
		if weight != nil {
			k = weight[s]
		}
		sum, slope := 0.0, 2*scale*k
		for i, v := range x[s*w : (s+1)*w] {
			e := float64(v) - float64(target[s*w+i])
			sum += e * e
			if d != nil {
				d[s*w+i] = float32(slope * e)
			}
		}
		loss[s] = k * sum
	})
}
