package nets

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"hbar/kernels"
	"hbar/program"
	"hbar/program/ops"
)

// Memory is a network of sequences whose memory is linear: with u_t the features of the inputs at time t and N complex modes z,
//
//	z_t = Λ z_{t−1} + g ∘ B u_t,   y_t = Re(C z_t) + D u_t,   out_t = dec(y_t),   Λ = exp(−ρ + iθ)
//
// where g = (Σ_{τ<T} |Λ|^2τ)^(−½) gives all modes one size over the window T of training. Features are the inputs themselves, or
// Encoder units of two dense layers with SiLU between. The decoder is linear, or LayerNorm → 4·Width → SiLU → Outputs. It is no
// score network: it takes no time, and New does not make it.
//
// Source: X. Wang, Path Integral Solution for Dissipative Generative Dynamics, arXiv:2601.00860. Diagonal recurrences of this kind
// are those of Orvieto et al., arXiv:2303.06349.
type Memory struct {
	Kind    MemoryKind `json:"kind"`
	Inputs  int        `json:"inputs"`            // numbers of a time
	Outputs int        `json:"outputs"`           // logits of symbols, or means of numbers
	Symbols bool       `json:"symbols,omitempty"` // outputs are logits
	Encoder int        `json:"encoder,omitempty"` // units of the learned features; 0: the inputs are the features
	Modes   int        `json:"modes"`             // N
	Width   int        `json:"width"`             // of y
	MLP     bool       `json:"mlp,omitempty"`     // the decoder
	Window  int        `json:"window"`            // T
}

// MemoryKind is what the modes may do.
type MemoryKind string

const (
	Dissipative  MemoryKind = "dissipative"  // ρ = |ν|
	Conservative MemoryKind = "conservative" // ρ = 0, a Hamiltonian system
	Free         MemoryKind = "free"         // ρ = ν
)

// MemoryKinds lists them.
var MemoryKinds = []MemoryKind{Dissipative, Conservative, Free}

// Validate reports what is wrong with the sizes.
func (c Memory) Validate() error {
	if !slices.Contains(MemoryKinds, c.Kind) {
		return fmt.Errorf("nets: memory: kind %q unknown; have %v", c.Kind, MemoryKinds)
	}
	limits := []limit{{"number of inputs", c.Inputs, 1, maxUnits}, {"number of outputs", c.Outputs, 1, maxUnits}, {"number of features", c.Encoder, 0, maxUnits},
		{"number of modes", c.Modes, 1, maxUnits}, {"width", c.Width, 1, maxUnits}, {"window", c.Window, 2, maxUnits}}
	if c.Symbols {
		limits = append(limits, limit{"number of symbols", c.Outputs, 2, maxUnits})
	}
	return within("memory", limits...)
}

// NewMemory builds the network over sequences of a length, without weights: inputs x [length, Inputs] and state [2N], the modes
// before the first time; outputs out [length, Outputs] and next, the modes after the last time. Parameters do not depend on the length.
func NewMemory(c Memory, length int) (*Network, error) {
	return c.network(length, func(m *maker, x value) {
		state := m.b.Input("state", program.Sample, 2*c.Modes)
		out, z := c.build(m, x, state)
		m.b.Output("out", out)
		c.next(m, z, length)
	})
}

// TrainingLosses is the program of training: inputs x, target and weight ([1]), sequences that begin without memory, and the output
// losses, weight times the sum of −log p over the times of a sequence in nats. Parameters are those of NewMemory.
//
// Of symbols, target [length, Outputs] has the probabilities of each, or zeros at times that are not scored. Of numbers,
// target [length, 2·Outputs] has the values and then ones, or zeros where there is no value; the density is normal with the
// means out and the standard deviations exp(noise).
func (c Memory) TrainingLosses(length int) (*Network, error) { return c.losses(length, false) }

// Losses is the same for sequences that go on: with the input state, and the output next.
func (c Memory) Losses(length int) (*Network, error) { return c.losses(length, true) }

func (c Memory) losses(length int, goesOn bool) (*Network, error) {
	return c.network(length, func(m *maker, x value) {
		var state value
		if goesOn {
			state = m.b.Input("state", program.Sample, 2*c.Modes)
		}
		out, z := c.build(m, x, state)
		width := c.Outputs
		if !c.Symbols {
			width *= 2
		}
		target, weight := m.b.Input("target", program.Sample, length, width), m.b.Input("weight", program.Sample, 1)
		var nats value
		if c.Symbols {
			scored := ops.Reduce(m.b, target, []int{length, 1})
			sums := ops.Dot(m.b, scored, m.b.Apply(ops.LogSumExp{}, out)[0])
			nats = ops.Sum(m.b, sums, ops.Affine(m.b, -1, 0, ops.Dot(m.b, target, out)))
		} else {
			nats = c.normal(m, out, target)
		}
		m.b.Output("losses", ops.Product(m.b, weight, nats))
		if goesOn {
			c.next(m, z, length)
		}
	})
}

// next emits the output next, the modes z after the last of length times.
func (c Memory) next(m *maker, z value, length int) {
	n := 2 * c.Modes
	m.b.Output("next", ops.Part(m.b, ops.Shape(m.b, z, length*n), (length-1)*n, length*n))
}

// normal is −log p of the values under normal densities.
func (c Memory) normal(m *maker, mean, target value) value {
	b := m.b
	y, seen := ops.Part(b, target, 0, c.Outputs), ops.Part(b, target, c.Outputs, 2*c.Outputs)
	noise := b.Value(b.Program().Lookup("noise"))
	r := ops.Product(b, ops.Sum(b, y, ops.Affine(b, -1, 0, mean)), ops.Activate(b, ops.Exp, ops.Affine(b, -1, 0, noise)))
	each := ops.Sum(b, ops.Affine(b, 0.5, math.Log(2*math.Pi)/2, ops.Product(b, r, r)), noise)
	return ops.Dot(b, seen, each)
}

func (c Memory) network(length int, build func(m *maker, x value)) (*Network, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if length < 1 {
		return nil, fmt.Errorf("nets: memory: sequences of %d times; want at least 1", length)
	}
	m := &maker{}
	p, err := program.Build(func(b *program.Builder) {
		m.b = b
		build(m, b.Input("x", program.Sample, length, c.Inputs))
	})
	if err != nil {
		return nil, fmt.Errorf("nets: memory: %w", err)
	}
	return &Network{Program: p, Params: m.params}, nil
}

// build returns the outputs and the modes.
func (c Memory) build(m *maker, x, state value) (out, z value) {
	b, features, normal := m.b, c.Inputs, func(scale float64) draw { return draw{kind: normal, scale: scale} }
	size := 1.0 // of the weights that take features: one indicator is one at a time
	if c.Encoder > 0 {
		x = ops.Activate(b, ops.SiLU, m.dense("encoder.0", x, c.Encoder, xavierDraw))
		x, features = m.dense("encoder.1", x, c.Encoder, xavierDraw), c.Encoder
	}
	if c.Encoder > 0 || !c.Symbols {
		size = 1 / math.Sqrt(float64(features))
	}
	lambda, g := c.modes(m)
	in := ops.Product(b, m.param("b", normal(size), 2*c.Modes, features), ops.Shape(b, ops.Join(b, g, g), 2*c.Modes, 1))
	u := ops.Linear(b, x, in, nil)
	if state != nil {
		all := program.Size(u.Shape())
		before := b.Apply(ops.Place{Lo: 0, Of: all}, ops.ComplexProduct(b, lambda, state))[0]
		u = ops.Sum(b, u, ops.Shape(b, before, u.Shape()...))
	}
	z = b.Apply(ops.Scan{}, lambda, u)[0]
	y := ops.Sum(b, ops.Linear(b, z, m.param("c", normal(1/math.Sqrt(float64(2*c.Modes))), c.Width, 2*c.Modes), nil),
		ops.Linear(b, x, m.param("d", normal(size), c.Width, features), nil))
	if c.MLP {
		y = b.Apply(ops.LayerNorm{Eps: 1e-5}, y, m.param("norm.shift", zeros, c.Width), m.param("norm.scale", zeros, c.Width))[0]
		hidden := m.param("decoder.0.weight", normal(1/math.Sqrt(float64(c.Width))), 4*c.Width, c.Width)
		y = ops.Activate(b, ops.SiLU, ops.Linear(b, y, hidden, m.param("decoder.0.bias", zeros, 4*c.Width)))
	}
	last := y.Shape()[1]
	w := m.param("decoder.weight", normal(0.5/math.Sqrt(float64(last))), c.Outputs, last)
	out = ops.Linear(b, y, w, m.param("decoder.bias", zeros, c.Outputs))
	if !c.Symbols {
		m.param("noise", zeros, c.Outputs)
	}
	return out, z
}

// modes emits Λ [2N] and g [N], by log g = −½ log Σ exp(−2ρτ): the sum itself leaves float32 for modes that grow by e⁴⁴ over the window.
func (c Memory) modes(m *maker) (lambda, g value) {
	b, n := m.b, c.Modes
	theta := m.param("theta", zeros, n)
	if c.Kind == Conservative {
		none := ops.Affine(b, 0, 0, theta)
		return b.Apply(ops.ComplexExp{}, ops.Join(b, none, theta))[0], ops.Affine(b, 0, 1/math.Sqrt(float64(c.Window)), theta)
	}
	rho := m.param("nu", zeros, n)
	if c.Kind == Dissipative { // √(ν² + 10⁻¹⁴), which is |ν| with a derivative at 0
		rho = b.Apply(ops.Power{P: 0.5}, ops.Affine(b, 1, 1e-14, ops.Product(b, rho, rho)))[0]
	}
	lambda = b.Apply(ops.ComplexExp{}, ops.Join(b, ops.Affine(b, -1, 0, rho), theta))[0]
	// τ+1 = 1 … T is the scan of ones with Λ = 1.
	one := ops.Affine(b, 0, 1, ops.Part(b, theta, 0, 1))
	ones := ops.Expand(b, ops.Join(b, one, ops.Affine(b, 0, 0, one)), []int{c.Window, 2})
	counts := b.Apply(ops.Scan{}, ops.Join(b, one, ops.Affine(b, 0, 0, one)), ones)[0]
	times := ops.Shape(b, ops.Part(b, counts, 0, 1), 1, c.Window)
	exponents := ops.Affine(b, -2, 0, ops.Product(b, ops.Shape(b, rho, n, 1), times))
	sums := ops.Shape(b, b.Apply(ops.LogSumExp{}, exponents)[0], n)
	return lambda, ops.Activate(b, ops.Exp, ops.Sum(b, ops.Affine(b, -0.5, 0, sums), ops.Affine(b, -1, 0, rho)))
}

// InitialiseMemory draws the weights: θ equispaced in (0, π), times τ = 1/ν log-uniform in [1, T], and normal weights by the
// number of inputs of a unit.
func (n *Network) InitialiseMemory(c Memory, seed uint64) {
	n.Initialise(seed)
	r := rand.New(kernels.NewSource(seed, kernels.StreamInit, uint64(len(n.Params))))
	for i, p := range n.Params {
		for j := range n.Weights[i] {
			switch p.Name {
			case "theta":
				n.Weights[i][j] = float32(math.Pi * (float64(j) + 0.5) / float64(c.Modes))
			case "nu":
				n.Weights[i][j] = float32(math.Pow(float64(c.Window), -r.Float64()))
			}
		}
	}
}
