package sequence

import (
	"math"

	"hbar/nets"
)

// Model is a network of linear memory with its weights.
type Model struct {
	nets.Memory
	net *nets.Network // over one time
}

// New makes a model with first weights of a seed.
func New(c nets.Memory, seed uint64) (*Model, error) {
	n, err := nets.NewMemory(c, 1)
	if err != nil {
		return nil, err
	}
	n.InitialiseMemory(c, seed)
	return &Model{c, n}, nil
}

// Parameters is the number of parameters.
func (m *Model) Parameters() int { return m.net.NumParams() }

// Weights are the parameters by name.
func (m *Model) Weights() map[string][]float32 {
	w := map[string][]float32{}
	for i, p := range m.net.Params {
		w[p.Name] = m.net.Weights[i]
	}
	return w
}

// rho is ρ of each mode.
func (m *Model) rho() []float64 {
	out := make([]float64, m.Modes)
	i := m.net.Param("nu")
	for j := range out {
		switch {
		case i < 0:
		case m.Kind == nets.Dissipative:
			out[j] = math.Abs(float64(m.net.Weights[i][j]))
		default:
			out[j] = float64(m.net.Weights[i][j])
		}
	}
	return out
}

// Times are the decay times 1/ρ of the modes, counted in steps; negative ones grow.
func (m *Model) Times() []float64 {
	out := m.rho()
	for i, r := range out {
		out[i] = 1 / r
	}
	return out
}

// Lambda are the modes per step, −ρ + iθ with θ in (−π, π].
func (m *Model) Lambda() []complex128 {
	out := make([]complex128, m.Modes)
	theta := m.net.Weights[m.net.Param("theta")]
	for j, r := range m.rho() {
		out[j] = complex(-r, math.Remainder(float64(theta[j]), 2*math.Pi))
	}
	return out
}

// Clamped is the model with growing modes held neutral, and the number of them. Beyond the window that it was trained on growth
// would leave the range of numbers.
func (m *Model) Clamped() (*Model, int) {
	i := m.net.Param("nu")
	if m.Kind != nets.Free || i < 0 {
		return m, 0
	}
	n := *m.net
	n.Weights = append([][]float32(nil), n.Weights...)
	n.Weights[i] = append([]float32(nil), n.Weights[i]...)
	grown := 0
	for j, v := range n.Weights[i] {
		if v < 0 {
			n.Weights[i][j] = 0
			grown++
		}
	}
	return &Model{m.Memory, &n}, grown
}
