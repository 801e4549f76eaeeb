package nets

import (
	"fmt"

	"hbar/program"
	"hbar/program/ops"
)

type value = program.Value

// maker builds a network: its program, and the descriptions of its parameters.
type maker struct {
	b      *program.Builder
	params []Param
	drop   *dropout // nil: none
}

// dropout is that of a training program.
type dropout struct {
	p       float64
	seed    uint64
	layers  int
	counter value
}

// param adds a parameter whose values have one order in program and file.
func (m *maker) param(name string, init draw, shape ...int) value {
	m.params = append(m.params, Param{Name: name, Shape: shape, Published: shape, init: init})
	return m.b.Param(name, shape...)
}

// fixed adds a parameter that is not trained; its shape in files may differ in dimensions of one.
func (m *maker) fixed(name string, init draw, published []int, shape ...int) value {
	m.params = append(m.params, Param{Name: name, Shape: shape, Published: published, Fixed: true, init: init})
	return m.b.Param(name, shape...)
}

// kernel adds the weights of a convolution, [out, in, …] in files, [out, …, in] in the program. With flat the program has
// them as a matrix [out, …·in].
func (m *maker) kernel(name string, init draw, flat bool, out, in int, window ...int) value {
	k := program.Size(window)
	published := append([]int{out, in}, window...)
	shape := append(append([]int{out}, window...), in)
	if flat {
		shape = []int{out, k * in}
	}
	m.params = append(m.params, Param{Name: name, Shape: shape, Published: published, spatial: k, init: init})
	return m.b.Param(name, shape...)
}

// dense adds a dense layer, name.weight and name.bias.
func (m *maker) dense(name string, x value, out int, init draw) value {
	in := x.Shape()[len(x.Shape())-1]
	w := m.param(name+".weight", init.sized(in, out), out, in)
	return ops.Linear(m.b, x, w, m.param(name+".bias", zeros, out))
}

// conv adds a convolution of 3×3 or 1×1.
func (m *maker) conv(name string, c ops.Conv, x value, out, size int, init draw) value {
	in := x.Shape()[2]
	w := m.kernel(name+".weight", init.sized(in*size*size, out*size*size), false, out, in, size, size)
	return ops.Convolve(m.b, c, x, w, m.param(name+".bias", zeros, out))
}

// groupNorm adds a group norm, followed by the function act.
func (m *maker) groupNorm(name string, x value, groups int, eps float64, act ops.Fn) value {
	c := x.Shape()[len(x.Shape())-1]
	w, b := m.param(name+".weight", ones, c), m.param(name+".bias", zeros, c)
	return m.b.Apply(ops.GroupNorm{Groups: groups, Eps: eps, Act: act}, x, w, b)[0]
}

// dropped is x with elements dropped, in training.
func (m *maker) dropped(x value) value {
	d := m.drop
	if d == nil || d.p == 0 {
		return x
	}
	if d.counter == nil {
		d.counter = m.b.Input("counter", program.Sample, 1)
	}
	d.layers++
	return ops.Dropout(m.b, x, d.counter, d.p, d.seed, d.layers-1)
}

// inputs adds x, t and, for a network with labels, y.
func (m *maker) inputs(c Config) (x, t, y value) {
	x, t = m.b.Input("x", program.Sample, c.SampleShape()...), m.b.Input("t", program.Sample, 1)
	if c.Classes() > 0 {
		y = m.b.Input("y", program.Sample, 1)
	}
	return x, t, y
}

func sub(prefix string, i int) string { return fmt.Sprintf("%s.%d", prefix, i) }
