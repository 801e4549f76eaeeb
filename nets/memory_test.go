package nets

import (
	"math"
	"math/cmplx"
	"math/rand/v2"
	"testing"

	"hbar/program"
	"hbar/program/eval"
)

// nearFormulas compares with numbers by the formulas; the 10⁻¹⁴ under the root makes up to 10⁻⁶.
func nearFormulas(t *testing.T, what string, got, want []float64) {
	t.Helper()
	for i := range want {
		if math.Abs(got[i]-want[i]) > 1e-6 {
			t.Errorf("%s[%d] is %.9g, by the formulas %.9g", what, i, got[i], want[i])
		}
	}
}

// The network's outputs are what the formulas say, summed over the past, for each kind; the state at the end continues a sequence; and
// the losses are those of the outputs.
func TestMemory(t *testing.T) {
	for _, kind := range MemoryKinds {
		const length, inputs, outputs, modes, width, window = 5, 3, 4, 2, 3, 7
		c := Memory{Kind: kind, Inputs: inputs, Outputs: outputs, Symbols: true, Modes: modes, Width: width, Window: window}
		n, err := NewMemory(c, length)
		if err != nil {
			t.Fatal(err)
		}
		n.InitialiseMemory(c, 3)
		w := map[string][]float64{}
		for i, p := range n.Params {
			if p.Name == "nu" {
				n.Weights[i][1] = -0.1 // growth, or a negative ν of a decay
			}
			for _, v := range n.Weights[i] {
				w[p.Name] = append(w[p.Name], float64(v))
			}
		}
		r := rand.New(rand.NewPCG(1, 2))
		x := make([]float64, length*inputs)
		for i := range x {
			x[i] = r.NormFloat64()
		}
		in := map[string][]float64{"x": x, "state": make([]float64, 2*modes)}
		for k, v := range w {
			in[k] = v
		}
		got, err := eval.Run(n.Program, 1, in)
		if err != nil {
			t.Fatal(err)
		}
		want, state := memoryByHand(c, w, x, length)
		near := func(name string, got, want []float64) { nearFormulas(t, string(kind)+": "+name, got, want) }
		near("out", got["out"], want)
		near("next", got["next"], state)

		// The same in two pieces, the second by the program of two times.
		short, err := NewMemory(c, length-2)
		if err != nil {
			t.Fatal(err)
		}
		rest, err := NewMemory(c, 2)
		if err != nil {
			t.Fatal(err)
		}
		in["x"] = x[:(length-2)*inputs]
		first, err := eval.Run(short.Program, 1, in)
		if err != nil {
			t.Fatal(err)
		}
		in["x"], in["state"] = x[(length-2)*inputs:], first["next"]
		second, err := eval.Run(rest.Program, 1, in)
		if err != nil {
			t.Fatal(err)
		}
		near("out in pieces", append(first["out"], second["out"]...), want)

		losses, err := c.TrainingLosses(length)
		if err != nil {
			t.Fatal(err)
		}
		in["x"], in["weight"], in["target"] = x, []float64{0.5}, make([]float64, length*outputs)
		delete(in, "state")
		nats := 0.0
		for i := 1; i < length; i++ { // the first one is not scored
			in["target"][i*outputs+i%outputs] = 1
			sum := 0.0
			for _, v := range want[i*outputs : (i+1)*outputs] {
				sum += math.Exp(v)
			}
			nats += math.Log(sum) - want[i*outputs+i%outputs]
		}
		loss, err := eval.Run(losses.Program, 1, in)
		if err != nil {
			t.Fatal(err)
		}
		near("losses", loss["losses"], []float64{0.5 * nats})
	}
}

func memoryByHand(c Memory, w map[string][]float64, x []float64, length int) (out, state []float64) {
	n := c.Modes
	lambda, g, z := make([]complex128, n), make([]float64, n), make([]complex128, n)
	for j := range n {
		rho := 0.0
		switch c.Kind {
		case Dissipative:
			rho = math.Abs(w["nu"][j])
		case Free:
			rho = w["nu"][j]
		}
		lambda[j] = cmplx.Exp(complex(-rho, w["theta"][j]))
		sum := 0.0
		for k := range c.Window {
			sum += math.Exp(-2 * rho * float64(k))
		}
		g[j] = 1 / math.Sqrt(sum)
	}
	dot := func(a, b []float64) (s float64) {
		for i := range b {
			s += a[i] * b[i]
		}
		return s
	}
	for t := range length {
		u := x[t*c.Inputs : (t+1)*c.Inputs]
		flat := make([]float64, 2*n)
		for j := range n {
			z[j] = lambda[j]*z[j] + complex(g[j]*dot(w["b"][j*c.Inputs:], u), g[j]*dot(w["b"][(n+j)*c.Inputs:], u))
			flat[j], flat[n+j] = real(z[j]), imag(z[j])
		}
		y := make([]float64, c.Width)
		for i := range y {
			y[i] = dot(w["c"][i*2*n:], flat) + dot(w["d"][i*c.Inputs:], u)
		}
		for k := range c.Outputs {
			out = append(out, dot(w["decoder.weight"][k*c.Width:], y)+w["decoder.bias"][k])
		}
		state = flat
	}
	return out, state
}

// A network of numbers has their normal density.
func TestMemoryDensity(t *testing.T) {
	c := Memory{Kind: Dissipative, Inputs: 1, Outputs: 2, Encoder: 3, MLP: true, Modes: 2, Width: 3, Window: 6}
	n, err := c.Losses(3)
	if err != nil {
		t.Fatal(err)
	}
	n.InitialiseMemory(c, 1)
	in := map[string][]float64{"x": {0.3, -1, 2}, "state": make([]float64, 4), "weight": {1}, "target": {1, 2, 1, 0, 3, 4, 0, 0, 5, 6, 1, 1}}
	for i, p := range n.Params {
		for _, v := range n.Weights[i] {
			in[p.Name] = append(in[p.Name], float64(v))
		}
	}
	in["noise"] = []float64{0.3, -0.2}
	got, err := eval.Run(n.Program, 1, in)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := NewMemory(c, 3)
	if err != nil {
		t.Fatal(err)
	}
	mean, err := eval.Run(plain.Program, 1, in)
	if err != nil {
		t.Fatal(err)
	}
	want := 0.0
	for _, k := range [][2]int{{0, 0}, {2, 0}, {2, 1}} { // the values that are there
		y, s := in["target"][k[0]*4+k[1]], in["noise"][k[1]]
		r := (y - mean["out"][k[0]*2+k[1]]) / math.Exp(s)
		want += r*r/2 + s + math.Log(2*math.Pi)/2
	}
	if d := got["losses"][0] - want; math.Abs(d) > 1e-12 { // roundings of a sum in float64
		t.Errorf("−log p %.9g, by the formula %.9g", got["losses"][0], want)
	}
	if n.Program.Lookup("target") == program.None {
		t.Error("no target")
	}
}
