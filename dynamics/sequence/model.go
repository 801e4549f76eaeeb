package sequence

import (
	"fmt"
	"math"
	"math/rand/v2"

	"hbar/kernels"
)

// Kind is what the modes may do.
type Kind string

const (
	Dissipative  Kind = "dissipative"  // ρ = |ν|
	Conservative Kind = "conservative" // ρ = 0
	Free         Kind = "free"         // ρ = ν
)

// Kinds lists them.
var Kinds = []Kind{Dissipative, Conservative, Free}

// Config is the form of a model.
type Config struct {
	Kind    Kind
	Symbols int  // V
	Modes   int  // N
	Width   int  // d
	MLP     bool // the decoder: LayerNorm → 4d → SiLU → V, or linear
	Window  int  // T
}

// Validate checks the sizes.
func (c Config) Validate() error {
	if c.Symbols < 2 || c.Modes < 1 || c.Width < 1 || c.Window < 2 {
		return fmt.Errorf("sequence: %d symbols, %d modes, width %d and window %d; want at least 2, 1, 1, 2", c.Symbols, c.Modes, c.Width, c.Window)
	}
	if c.Kind != Dissipative && c.Kind != Conservative && c.Kind != Free {
		return fmt.Errorf("sequence: kind %q unknown; have %v", c.Kind, Kinds)
	}
	return nil
}

// Model is a configuration with its parameters, which are slices of one vector.
type Model struct {
	Config
	Theta []float32

	nu, theta []float32 // N
	b         []float32 // V×2N: the real parts of a symbol's column of B, then the imaginary
	c         []float32 // 2N×d: Re(Cz) = (Re z, Im z) c
	d         []float32 // V×d
	gain      []float32 // d, of LayerNorm
	shift     []float32
	w1, b1    []float32 // d×4d
	w2, b2    []float32 // (d or 4d)×V
}

// cut shares out a vector to the parameters, and returns its length.
func (m *Model) cut(v []float32) int {
	n := 0
	take := func(p *[]float32, k int) {
		if v != nil {
			*p = v[n : n+k : n+k]
		}
		n += k
	}
	modes, d, s := m.Modes, m.Width, m.Symbols
	if m.Kind != Conservative {
		take(&m.nu, modes)
	}
	take(&m.theta, modes)
	take(&m.b, s*2*modes)
	take(&m.c, 2*modes*d)
	take(&m.d, s*d)
	in := d
	if m.MLP {
		take(&m.gain, d)
		take(&m.shift, d)
		take(&m.w1, d*4*d)
		take(&m.b1, 4*d)
		in = 4 * d
	}
	take(&m.w2, in*s)
	take(&m.b2, s)
	return n
}

// Parameters is the number of parameters.
func (c Config) Parameters() int { return (&Model{Config: c}).cut(nil) }

// New makes a model with θ equispaced in (0, π) and times τ = 1/ρ log-uniform in [1, T].
func New(c Config, seed uint64) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m := view(c, make([]float32, c.Parameters()))
	rng := rand.New(kernels.NewSource(seed, kernels.StreamInit, 0))
	normal := func(x []float32, sd float64) {
		for i := range x {
			x[i] = float32(sd * rng.NormFloat64())
		}
	}
	for i := range m.theta {
		m.theta[i] = float32(math.Pi * (float64(i) + 0.5) / float64(c.Modes))
	}
	for i := range m.nu {
		m.nu[i] = float32(math.Pow(float64(c.Window), -rng.Float64()))
	}
	normal(m.b, 1)
	normal(m.c, 1/math.Sqrt(float64(2*c.Modes)))
	normal(m.d, 1)
	for i := range m.gain {
		m.gain[i] = 1
	}
	normal(m.w1, 1/math.Sqrt(float64(c.Width)))
	normal(m.w2, 0.5/math.Sqrt(float64(len(m.w2)/c.Symbols)))
	return m, nil
}

// view is a model over a vector of parameters, or of their derivatives.
func view(c Config, v []float32) *Model {
	m := &Model{Config: c, Theta: v}
	m.cut(v)
	return m
}

// rho is ρ of mode i; clamped, growth is taken for none.
func (m *Model) rho(i int, clamped bool) float64 {
	switch {
	case m.Kind == Conservative:
		return 0
	case m.Kind == Dissipative || clamped && m.nu[i] < 0:
		if m.Kind == Dissipative {
			return math.Abs(float64(m.nu[i]))
		}
		return 0
	}
	return float64(m.nu[i])
}

// mode is what the recurrence needs of one mode: Λ and g, and the derivative of log g by ρ.
type mode struct {
	re, im, g float32
	dlogG     float64
}

func (m *Model) modes(clamped bool) []mode {
	out := make([]mode, m.Modes)
	for i := range out {
		rho := m.rho(i, clamped)
		s, t := 0.0, 0.0
		for k := range m.Window {
			w := math.Exp(-2 * rho * float64(k))
			s, t = s+w, t+float64(k)*w
		}
		sin, cos := math.Sincos(float64(m.theta[i]))
		e := math.Exp(-rho)
		out[i] = mode{re: float32(e * cos), im: float32(e * sin), g: float32(1 / math.Sqrt(s)), dlogG: t / s}
	}
	return out
}

// Times are the decay times 1/ρ of the modes in symbols; negative ones grow.
func (m *Model) Times() []float64 {
	out := make([]float64, m.Modes)
	for i := range out {
		out[i] = 1 / m.rho(i, false)
	}
	return out
}
