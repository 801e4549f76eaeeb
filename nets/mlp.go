package nets

import (
	"fmt"
	"math"
	"strings"

	"hbar/kernels"
	"hbar/program"
	"hbar/program/ops"
)

// MLP is a chain of dense layers: D coordinates and a time in, D out.
//
//	input   [x, time features]                                  D + 1 or D + 2·Fourier columns
//	dense0  → Width, activation
//	dense1 … dense{Depth-1}  Width → Width, activation (with Residual: h + act(dense(h)))
//	dense{Depth}  → D
type MLP struct {
	D        int    `json:"d"`     // dimensions of a sample
	Width    int    `json:"width"` // units of a hidden layer
	Depth    int    `json:"depth"` // hidden layers
	Act      string `json:"act"`   // "silu", "gelu" or "tanh"
	Residual bool   `json:"residual"`
	// Fourier is the number of random frequencies of the Gaussian Fourier time embedding, drawn with standard deviation
	// FourierScale; 0 feeds the time itself, as arXiv:2403.11262 does.
	Fourier      int     `json:"fourier"`
	FourierScale float64 `json:"fourier_scale"`
}

// FreqsName is the parameter that holds the frequencies of the Fourier time embedding. It is not trained.
const FreqsName = "time.freqs"

// acts are the activations of hidden layers; gelu is the form with the error function.
var acts = []ops.Fn{ops.SiLU, ops.GELU, ops.Tanh}

func parseAct(name string) (ops.Fn, error) {
	var names []string
	for _, a := range acts {
		if string(a) == name {
			return a, nil
		}
		names = append(names, string(a))
	}
	return "", fmt.Errorf("nets: activation %q unknown; have %s", name, strings.Join(names, ", "))
}

// Kind implements Config.
func (MLP) Kind() string { return "mlp" }

// SampleShape implements Config.
func (s MLP) SampleShape() []int { return []int{s.D} }

// Classes implements Config: an MLP takes no labels.
func (MLP) Classes() int { return 0 }

// NoLabel implements Config.
func (MLP) NoLabel() bool { return false }

// Variance implements Config.
func (MLP) Variance() bool { return false }

// EmbedsTime implements Config.
func (MLP) EmbedsTime() bool { return false }

// Validate implements Config.
func (s MLP) Validate() error {
	if err := within("mlp", limit{"D", s.D, 1, maxUnits}, limit{"width", s.Width, 1, maxUnits}, limit{"depth", s.Depth, 1, maxDepth},
		limit{"number of Fourier frequencies", s.Fourier, 0, maxUnits}); err != nil {
		return err
	}
	if s.Fourier > 0 && !(s.FourierScale > 0 && s.FourierScale < math.MaxFloat32) {
		return fmt.Errorf("nets: standard deviation of the Fourier frequencies is %v; it must be positive", s.FourierScale)
	}
	_, err := parseAct(s.Act)
	return err
}

// Features is the number of time features.
func (s MLP) Features() int {
	if s.Fourier > 0 {
		return 2 * s.Fourier
	}
	return 1
}

// ParamShapes lists the parameters, without data, in the order of checkpoints: dense0.weight [out, in], dense0.bias
// [out], …, and the frequencies last if there are any.
func (s MLP) ParamShapes() []kernels.Param {
	var ps []kernels.Param
	in := s.D + s.Features()
	for i := range s.Depth + 1 {
		out := s.Width
		if i == s.Depth {
			out = s.D
		}
		ps = append(ps, kernels.Param{Name: fmt.Sprintf("dense%d.weight", i), Rows: out, Cols: in},
			kernels.Param{Name: fmt.Sprintf("dense%d.bias", i), Rows: out, Cols: 1})
		in = out
	}
	if s.Fourier > 0 {
		ps = append(ps, kernels.Param{Name: FreqsName, Rows: s.Fourier, Cols: 1})
	}
	return ps
}

// NumParams is the number of trained parameters.
func (s MLP) NumParams() int {
	n := 0
	for _, p := range s.ParamShapes() {
		if p.Name != FreqsName {
			n += p.Rows * p.Cols
		}
	}
	return n
}

// Initial draws parameters as PyTorch's nn.Linear does (kaiming_uniform with a = √5): weights and biases of a layer with
// in inputs are uniform on ±1/√in. Fourier frequencies are normal with standard deviation FourierScale. Parameter i of
// ParamShapes comes from sample i of the stream StreamInit of seed.
func (s MLP) Initial(seed uint64) ([]kernels.Param, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	ps := s.ParamShapes()
	for i := range ps {
		ps[i].Data = make([]float32, ps[i].Rows*ps[i].Cols)
		s.draw(ps, i).fill(ps[i].Data, seed, i)
	}
	return ps, nil
}

// draw is the distribution of the initial values of parameter i of ParamShapes. A bias follows its weight and has its bound.
func (s MLP) draw(ps []kernels.Param, i int) draw {
	if ps[i].Name == FreqsName {
		return draw{kind: normal, scale: s.FourierScale}
	}
	return draw{kind: uniform, scale: 1 / math.Sqrt(float64(ps[i&^1].Cols))}
}

func (s MLP) build(m *maker) {
	act, err := parseAct(s.Act)
	if err != nil {
		panic(&program.Error{Op: "mlp", Err: err})
	}
	h, t, _ := m.inputs(s)
	ps := s.ParamShapes()
	params := make([]value, len(ps))
	for i, p := range ps {
		switch {
		case p.Name == FreqsName:
			params[i] = m.fixed(p.Name, s.draw(ps, i), []int{p.Rows}, p.Rows)
		case i%2 == 0:
			params[i] = m.param(p.Name, s.draw(ps, i), p.Rows, p.Cols)
		default:
			params[i] = m.param(p.Name, s.draw(ps, i), p.Rows)
		}
	}
	if s.Fourier > 0 {
		t = m.b.Apply(ops.Fourier{}, params[len(params)-1], t)[0]
	}
	h = ops.Join(m.b, h, t)
	for i := range s.Depth {
		y := ops.Activate(m.b, act, ops.Linear(m.b, h, params[2*i], params[2*i+1]))
		if s.Residual && i > 0 {
			y = ops.Sum(m.b, h, y)
		}
		h = y
	}
	m.b.Output("out", ops.Linear(m.b, h, params[2*s.Depth], params[2*s.Depth+1]))
}
