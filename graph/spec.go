package graph

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"hbar/kernels"
	"hbar/kernels/simd"
)

// Spec describes a score network: D coordinates and a time in, D out.
//
//	input   [x, time features]                                  D + 1 or D + 2·Fourier columns
//	dense0  → Width, activation
//	dense1 … dense{Depth-1}  Width → Width, activation (with Residual: h + act(dense(h)))
//	dense{Depth}  → D
type Spec struct {
	D        int    // dimensions of a sample
	Width    int    // units of a hidden layer
	Depth    int    // hidden layers
	Act      string // "silu", "gelu" or "tanh"
	Residual bool
	// Fourier is the number of random frequencies of the Gaussian Fourier time embedding, drawn with standard deviation
	// FourierScale; 0 feeds the time itself, as arXiv:2403.11262 does.
	Fourier      int
	FourierScale float64
}

// FreqsName is the parameter that holds the frequencies of the Fourier time embedding. It is not trained.
const FreqsName = "time.freqs"

// acts are the activations of hidden layers.
var acts = []struct {
	name string
	act  simd.Act
}{{"silu", simd.SiLU}, {"gelu", simd.GELU}, {"tanh", simd.Tanh}}

func parseAct(name string) (simd.Act, error) {
	var names []string
	for _, a := range acts {
		if a.name == name {
			return a.act, nil
		}
		names = append(names, a.name)
	}
	return 0, fmt.Errorf("graph: activation %q unknown; have %s", name, strings.Join(names, ", "))
}

func actName(f simd.Act) string {
	for _, a := range acts {
		if a.act == f {
			return a.name
		}
	}
	return "identity"
}

// Bounds on a network, far beyond use: they keep sizes from overflowing.
const (
	maxUnits = 1 << 20
	maxDepth = 1 << 12
)

// Validate reports what is wrong with s.
func (s Spec) Validate() error {
	for _, v := range []struct {
		name      string
		v, lo, hi int
	}{{"D", s.D, 1, maxUnits}, {"width", s.Width, 1, maxUnits}, {"depth", s.Depth, 1, maxDepth}, {"number of Fourier frequencies", s.Fourier, 0, maxUnits}} {
		if v.v < v.lo || v.v > v.hi {
			return fmt.Errorf("graph: %s is %d; it must be %d to %d", v.name, v.v, v.lo, v.hi)
		}
	}
	if s.Fourier > 0 && !(s.FourierScale > 0 && s.FourierScale < math.MaxFloat32) {
		return fmt.Errorf("graph: standard deviation of the Fourier frequencies is %v; it must be positive", s.FourierScale)
	}
	_, err := parseAct(s.Act)
	return err
}

// Features is the number of time features.
func (s Spec) Features() int {
	if s.Fourier > 0 {
		return 2 * s.Fourier
	}
	return 1
}

// ParamShapes lists the parameters, without data, in the order of checkpoints: dense0.weight [out, in], dense0.bias
// [out], …, and the frequencies last if there are any.
func (s Spec) ParamShapes() []kernels.Param {
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
func (s Spec) NumParams() int {
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
func (s Spec) Initial(seed uint64) ([]kernels.Param, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	ps := s.ParamShapes()
	bound := 0.0
	for i := range ps {
		p := &ps[i]
		p.Data = make([]float32, p.Rows*p.Cols)
		r := rand.New(kernels.NewSource(seed, kernels.StreamInit, uint64(i)))
		if p.Name == FreqsName {
			for j := range p.Data {
				p.Data[j] = float32(s.FourierScale * r.NormFloat64())
			}
			continue
		}
		if i%2 == 0 { // a bias follows its weight and has its bound
			bound = 1 / math.Sqrt(float64(p.Cols))
		}
		for j := range p.Data {
			p.Data[j] = float32(bound * (2*r.Float64() - 1))
		}
	}
	return ps, nil
}
