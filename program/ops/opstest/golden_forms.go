package opstest

import (
	"slices"

	"hbar/program"
	"hbar/program/ops"
)

// layout is how PyTorch's array becomes one of a program: its dimensions in another order, then perhaps joined.
type layout struct {
	perm func(rank int) []int
	join func(shape []int) []int
}

var (
	// channelsLast is [N, C, H, W] → [N, H, W, C], and of weights [O, I, kh, kw] → [O, kh, kw, I].
	channelsLast = layout{perm: func(rank int) []int {
		p := []int{0}
		for d := 2; d < rank; d++ {
			p = append(p, d)
		}
		return append(p, 1)
	}}
	// headsLast is [N, heads, T, d] → [N, T, heads·d].
	headsLast = layout{
		perm: func(int) []int { return []int{0, 2, 1, 3} },
		join: func(s []int) []int { return []int{s[0], s[1], s[2] * s[3]} },
	}
	// sequenceKernel is [O, I, k] → [O, 1, k, I].
	sequenceKernel = layout{channelsLast.perm, func(s []int) []int { return []int{s[0], 1, s[1], s[2]} }}
	// patchKernel is [O, I, P, P] → [O, P·P·I].
	patchKernel = layout{channelsLast.perm, func(s []int) []int { return []int{s[0], program.Size(s[1:])} }}
	// oneSample is [K] → [1, K], and scalars is [N] → [N, 1].
	oneSample = layout{join: func(s []int) []int { return append([]int{1}, s...) }}
	scalars   = layout{join: func(s []int) []int { return append(slices.Clone(s), 1) }}
)

func (l layout) convert(x []float64, shape []int) ([]float64, []int) {
	if l.perm != nil {
		t := ops.Transpose{Perm: l.perm(len(shape))}
		to, err := t.Shapes([][]int{shape})
		if err != nil {
			panic(err)
		}
		y := make([]float64, len(x))
		t.Reference([]program.Tensor{{Shape: shape, Data: x}}, []program.Tensor{{Shape: to[0], Data: y}})
		x, shape = y, to[0]
	}
	if l.join != nil {
		shape = l.join(shape)
	}
	return x, shape
}

// form is how an operation of PyTorch is written with ours.
type form struct {
	inputs  []string
	layouts map[string]layout // as they are where absent
	params  []string          // inputs that all samples share
	result  layout
	build   func(g *Golden, e program.Emitter, in map[string]program.Value) program.Value
}

func (f form) of(name string) layout   { return f.layouts[name] }
func (f form) shared(name string) bool { return slices.Contains(f.params, name) }
func names(s ...string) []string       { return s }
func same(l layout) map[string]layout  { return map[string]layout{"x": l, "z": l} }
func function(f ops.Fn) form {
	return pointwise(func(e program.Emitter, x program.Value) program.Value { return ops.Activate(e, f, x) })
}
func modulated(e program.Emitter, x, scale, shift program.Value) program.Value {
	return ops.Sum(e, ops.Product(e, x, ops.Affine(e, 1, 1, scale)), shift)
}

func pointwise(f func(program.Emitter, program.Value) program.Value) form {
	return form{inputs: names("x"), layouts: same(oneSample), result: oneSample, build: unary(f)}
}

func unary(f func(program.Emitter, program.Value) program.Value) func(*Golden, program.Emitter, map[string]program.Value) program.Value {
	return func(_ *Golden, e program.Emitter, in map[string]program.Value) program.Value { return f(e, in["x"]) }
}

func apply(e program.Emitter, op program.Op, in ...program.Value) program.Value {
	return e.Apply(op, in...)[0]
}

type values = map[string]program.Value

var forms = map[string]form{
	"conv2d": {inputs: names("x", "w", "b"), params: names("w", "b"), result: channelsLast,
		layouts: map[string]layout{"x": channelsLast, "w": channelsLast},
		build: func(g *Golden, e program.Emitter, in values) program.Value {
			pad := g.Attrs["pad"].([]any)
			at := func(i int) int { return int(pad[i].(float64)) }
			c := ops.Conv{Stride: int(g.Num("stride")), Left: at(0), Right: at(1), Top: at(2), Bottom: at(3)}
			return ops.Convolve(e, c, in["x"], in["w"], in["b"])
		}},
	// A sequence is an image of height 1.
	"conv1d": {inputs: names("x", "w", "b"), params: names("w", "b"), result: channelsLast,
		layouts: map[string]layout{"x": channelsLast, "w": sequenceKernel},
		build: func(g *Golden, e program.Emitter, in values) program.Value {
			s := in["x"].Shape()
			y := ops.Convolve(e, ops.Conv{Stride: int(g.Num("stride"))}, ops.Shape(e, in["x"], 1, s[0], s[1]), in["w"], in["b"])
			return ops.Shape(e, y, y.Shape()[1:]...)
		}},
	"linear": {inputs: names("x", "w", "b"), params: names("w", "b"),
		build: func(_ *Golden, e program.Emitter, in values) program.Value {
			return ops.Linear(e, in["x"], in["w"], in["b"])
		}},
	"group_norm": {inputs: names("x", "w", "b"), params: names("w", "b"), layouts: same(channelsLast), result: channelsLast,
		build: func(g *Golden, e program.Emitter, in values) program.Value {
			return apply(e, ops.GroupNorm{Groups: int(g.Num("groups")), Eps: g.Num("eps")}, in["x"], in["w"], in["b"])
		}},
	"layer_norm": {inputs: names("x"),
		build: func(g *Golden, e program.Emitter, in values) program.Value {
			return apply(e, ops.LayerNorm{Eps: g.Num("eps")}, in["x"])
		}},
	"adaln": {inputs: names("x", "shift", "scale"),
		build: func(g *Golden, e program.Emitter, in values) program.Value {
			return apply(e, ops.LayerNorm{Eps: g.Num("eps")}, in["x"], in["shift"], in["scale"])
		}},
	"softmax": {inputs: names("x"),
		build: unary(func(e program.Emitter, x program.Value) program.Value { return apply(e, ops.Softmax{}, x) })},
	"attention": {inputs: names("q", "k", "v"), result: headsLast,
		layouts: map[string]layout{"q": headsLast, "k": headsLast, "v": headsLast},
		build: func(g *Golden, e program.Emitter, in values) program.Value {
			return apply(e, ops.Attention{Heads: g.Tensors["q"].Shape[1]}, in["q"], in["k"], in["v"])
		}},
	"silu":                function(ops.SiLU),
	"gelu_tanh":           function(ops.GELUTanh),
	"gelu_erf":            function(ops.GELU),
	"upsample_nearest_2x": {inputs: names("x"), layouts: same(channelsLast), result: channelsLast, build: unary(ops.Twice)},
	"avg_pool_2x2": {inputs: names("x"), layouts: same(channelsLast), result: channelsLast, build: unary(func(e program.Emitter, x program.Value) program.Value {
		return ops.Affine(e, 0.25, 0, apply(e, ops.SumPool{}, x))
	})},
	"concat_channels": {inputs: names("x", "z"), layouts: same(channelsLast), result: channelsLast,
		build: func(_ *Golden, e program.Emitter, in values) program.Value { return ops.Join(e, in["x"], in["z"]) }},
	"modulate": {inputs: names("x", "shift", "scale"),
		build: func(_ *Golden, e program.Emitter, in values) program.Value {
			return modulated(e, in["x"], in["scale"], in["shift"])
		}},
	"gated_add": {inputs: names("x", "gate", "z"),
		build: func(_ *Golden, e program.Emitter, in values) program.Value {
			return apply(e, ops.GatedAdd{}, in["x"], in["gate"], in["z"])
		}},
	"add_per_channel": {inputs: names("x", "b"), layouts: same(channelsLast), result: channelsLast,
		build: func(_ *Golden, e program.Emitter, in values) program.Value { return ops.Sum(e, in["x"], in["b"]) }},
	"sinusoid": {inputs: names("t"), layouts: map[string]layout{"t": scalars},
		build: func(g *Golden, e program.Emitter, in values) program.Value {
			s := ops.Sinusoid{Dim: int(g.Num("dim")), MaxPeriod: 10000, Shift: g.Num("freq_shift"), CosFirst: g.Attrs["cos_first"].(bool)}
			return apply(e, s, in["t"])
		}},
	"embedding": {inputs: names("table", "ids"), params: names("table"), layouts: map[string]layout{"ids": scalars},
		build: func(_ *Golden, e program.Emitter, in values) program.Value {
			return apply(e, ops.Embedding{}, in["table"], in["ids"])
		}},
	// A convolution whose stride is its size is a dense layer over patches.
	"patchify": {inputs: names("x", "w", "b"), params: names("w", "b"), layouts: map[string]layout{"x": channelsLast, "w": patchKernel},
		build: func(g *Golden, e program.Emitter, in values) program.Value {
			return ops.Linear(e, apply(e, ops.Patchify{Patch: int(g.Num("patch"))}, in["x"]), in["w"], in["b"])
		}},
	"unpatchify": {inputs: names("z"), result: channelsLast,
		build: func(g *Golden, e program.Emitter, in values) program.Value {
			s := g.Tensors["y"].Shape
			return apply(e, ops.Unpatchify{Patch: int(g.Num("patch")), Shape: []int{s[2], s[3], s[1]}}, in["z"])
		}},
}
