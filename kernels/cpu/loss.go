package cpu

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
