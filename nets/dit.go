package nets

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"hbar/program"
	"hbar/program/ops"
)

// DiT is the diffusion transformer with adaptive layer norms (Peebles and Xie 2023, arXiv:2212.09748); fields have the names
// of the arguments of facebookresearch/DiT. With an input size of one number it is the same transformer over sequences [T, C].
type DiT struct {
	InputSize        []int   `json:"input_size"` // [H, W] or [T]
	PatchSize        int     `json:"patch_size"`
	InChannels       int     `json:"in_channels"`
	HiddenSize       int     `json:"hidden_size"`
	Depth            int     `json:"depth"`
	NumHeads         int     `json:"num_heads"`
	MLPRatio         float64 `json:"mlp_ratio"`
	ClassDropoutProb float64 `json:"class_dropout_prob"` // above 0 the label NumClasses means none
	NumClasses       int     `json:"num_classes"`        // 0: no labels
	LearnSigma       bool    `json:"learn_sigma"`        // the network gives a variance too
}

// timeFeatures is the number of sinusoids of DiT's time.
const timeFeatures = 256

// Kind implements Config.
func (d DiT) Kind() string {
	if len(d.InputSize) == 1 {
		return "dit1d"
	}
	return "dit"
}

// SampleShape implements Config.
func (d DiT) SampleShape() []int { return append(slices.Clone(d.InputSize), d.InChannels) }

// Classes implements Config.
func (d DiT) Classes() int { return d.NumClasses }

// NoLabel implements Config.
func (d DiT) NoLabel() bool { return d.NumClasses > 0 && d.ClassDropoutProb > 0 }

// Variance implements Config.
func (d DiT) Variance() bool { return d.LearnSigma }

// EmbedsTime implements Config.
func (DiT) EmbedsTime() bool { return true }

// Validate implements Config.
func (d DiT) Validate() error {
	kind := d.Kind()
	if len(d.InputSize) != 1 && len(d.InputSize) != 2 {
		return fmt.Errorf("nets: dit: input_size is %v; want [height, width], or the length of a sequence", d.InputSize)
	}
	limits := []limit{{"patch_size", d.PatchSize, 1, maxUnits}, {"in_channels", d.InChannels, 1, maxUnits}, {"hidden_size", d.HiddenSize, 2, maxUnits},
		{"depth", d.Depth, 1, 1024}, {"num_heads", d.NumHeads, 1, maxUnits}, {"num_classes", d.NumClasses, 0, maxUnits}}
	for _, n := range d.InputSize {
		limits = append(limits, limit{"input_size", n, 1, maxUnits})
	}
	if err := within(kind, limits...); err != nil {
		return err
	}
	if err := sampleFits(kind, d.SampleShape()); err != nil {
		return err
	}
	for _, n := range d.InputSize {
		if n%d.PatchSize != 0 {
			return fmt.Errorf("nets: %s: patches of %d (patch_size) do not divide the size %v; each size must be a multiple of %d", kind, d.PatchSize, d.InputSize, d.PatchSize)
		}
	}
	switch {
	case d.HiddenSize%d.NumHeads != 0:
		return fmt.Errorf("nets: %s: %d heads (num_heads) do not divide the width %d (hidden_size)", kind, d.NumHeads, d.HiddenSize)
	case d.HiddenSize%(2*len(d.InputSize)) != 0:
		return fmt.Errorf("nets: %s: the width %d (hidden_size) is no multiple of %d, which the sinusoids of the positions need", kind, d.HiddenSize, 2*len(d.InputSize))
	case !(d.MLPRatio > 0 && d.MLPRatio*float64(d.HiddenSize) >= 1 && d.MLPRatio <= 1024):
		return fmt.Errorf("nets: %s: mlp_ratio is %g; want at least one unit for the width %d, and at most 1024", kind, d.MLPRatio, d.HiddenSize)
	case !(d.ClassDropoutProb >= 0 && d.ClassDropoutProb <= 1):
		return fmt.Errorf("nets: %s: class_dropout_prob is %g; want 0 to 1", kind, d.ClassDropoutProb)
	}
	return nil
}

// grid is the number of patches in each direction.
func (d DiT) grid() []int {
	g := slices.Clone(d.InputSize)
	for i := range g {
		g[i] /= d.PatchSize
	}
	return g
}

// outChannels is the number of channels that the network gives.
func (d DiT) outChannels() int {
	if d.LearnSigma {
		return 2 * d.InChannels
	}
	return d.InChannels
}

// dit builds a DiT.
type dit struct {
	*maker
	DiT
	condition value // silu of the embedding of time and label
}

func (d DiT) build(m *maker) {
	n := &dit{maker: m, DiT: d}
	x, t, y := m.inputs(d)
	z := n.tokens(x)
	n.embed(t, y)
	for i := range d.Depth {
		z = n.block(sub("blocks", i), z)
	}
	mod := n.modulation("final_layer", 2)
	z = m.b.Apply(ops.LayerNorm{Eps: 1e-6}, z, mod[0], mod[1])[0]
	patch := program.Size(d.InputSize) / program.Size(d.grid()) // positions of a patch
	z = m.dense("final_layer.linear", z, patch*d.outChannels(), zeros)
	shape := append(slices.Clone(d.InputSize), d.outChannels())
	out := m.b.Apply(ops.Unpatchify{Patch: d.PatchSize, Shape: shape}, z)[0]
	m.b.Output("out", ops.Part(m.b, out, 0, d.InChannels))
}

// tokens are the patches of x, embedded, with their positions. The published patch convolution, whose stride is its size, is
// a dense layer of the patches.
func (n *dit) tokens(x value) value {
	grid := n.grid()
	T := program.Size(grid)
	pos := n.fixed("pos_embed", draw{kind: positions, grid: grid}, []int{1, T, n.HiddenSize}, T, n.HiddenSize)
	p := n.b.Apply(ops.Patchify{Patch: n.PatchSize}, x)[0]
	window := make([]int, len(grid))
	for i := range window {
		window[i] = n.PatchSize
	}
	w := n.kernel("x_embedder.proj.weight", xavierDraw.sized(p.Shape()[1], n.HiddenSize), true, n.HiddenSize, n.InChannels, window...)
	z := ops.Linear(n.b, p, w, n.param("x_embedder.proj.bias", zeros, n.HiddenSize))
	return ops.Sum(n.b, z, pos)
}

// encodePositions writes the sinusoids of the positions of a grid, a row for each. In two dimensions the first half of a row
// encodes the column, the second the row.
func encodePositions(dst []float32, grid []int) {
	tokens := program.Size(grid)
	width := len(dst) / tokens
	for token := range tokens {
		row := dst[token*width : (token+1)*width]
		if len(grid) == 1 {
			position(row, token)
			continue
		}
		half := width / 2
		position(row[:half], token%grid[1])
		position(row[half:], token/grid[1])
	}
}

// position writes sin(k f_i), then cos(k f_i), f_i = 10000^(−i/half).
func position(dst []float32, k int) {
	half := len(dst) / 2
	for i := range half {
		s, c := math.Sincos(float64(k) / math.Pow(10000, float64(i)/float64(half)))
		dst[i], dst[half+i] = float32(s), float32(c)
	}
}

// embed makes the embedding of time and label.
func (n *dit) embed(t, y value) {
	e := n.b.Apply(ops.Sinusoid{Dim: timeFeatures, MaxPeriod: 10000, CosFirst: true}, t)[0]
	e = ops.Activate(n.b, ops.SiLU, n.dense("t_embedder.mlp.0", e, n.HiddenSize, smallNormal))
	e = n.dense("t_embedder.mlp.2", e, n.HiddenSize, smallNormal)
	if y != nil {
		rows := n.NumClasses
		if n.NoLabel() {
			rows++
		}
		table := n.param("y_embedder.embedding_table.weight", smallNormal, rows, n.HiddenSize)
		e = ops.Sum(n.b, e, n.b.Apply(ops.Embedding{}, table, y)[0])
	}
	n.condition = ops.Activate(n.b, ops.SiLU, e)
}

// modulation emits the shifts, scales and gates of a layer's adaptive norms: chunks of the width of the transformer.
func (n *dit) modulation(name string, chunks int) []value {
	d := n.HiddenSize
	m := n.dense(name+".adaLN_modulation.1", n.condition, chunks*d, zeros)
	parts := make([]value, chunks)
	for i := range parts {
		parts[i] = ops.Part(n.b, m, i*d, (i+1)*d)
	}
	return parts
}

// block is attention, then an MLP, each on a modulated norm and behind a gate.
func (n *dit) block(name string, x value) value {
	d, T := n.HiddenSize, x.Shape()[0]
	mod := n.modulation(name, 6) // shift, scale, gate of attention; the same of the MLP
	z := n.b.Apply(ops.LayerNorm{Eps: 1e-6}, x, mod[0], mod[1])[0]
	qkv := n.dense(name+".attn.qkv", z, 3*d, xavierDraw)
	q, k, v := ops.Part(n.b, qkv, 0, d), ops.Part(n.b, qkv, d, 2*d), ops.Part(n.b, qkv, 2*d, 3*d)
	z = n.b.Apply(ops.Attention{Heads: n.NumHeads}, q, k, v)[0]
	z = n.dense(name+".attn.proj", ops.Shape(n.b, z, T, d), d, xavierDraw)
	x = n.b.Apply(ops.GatedAdd{}, x, mod[2], z)[0]

	z = n.b.Apply(ops.LayerNorm{Eps: 1e-6}, x, mod[3], mod[4])[0]
	z = ops.Activate(n.b, ops.GELUTanh, n.dense(name+".mlp.fc1", z, int(float64(d)*n.MLPRatio), xavierDraw))
	z = n.dense(name+".mlp.fc2", z, d, xavierDraw)
	return n.b.Apply(ops.GatedAdd{}, x, mod[5], z)[0]
}

// DiTSizes are the choices that make a DiT for data of some shape. The zero value is DiT-S/2.
type DiTSizes struct {
	Patch, Width, Depth, Heads int     // 0: 2, 384, 12, 6
	MLPRatio                   float64 // units of an MLP for one of the width; 0: 4
}

// NewDiT is the transformer of those sizes for images of shape [H, W, C] or sequences of shape [T, C]. With classes > 0 it
// takes labels, and the label classes means none.
func NewDiT(shape []int, classes int, o DiTSizes) (DiT, error) {
	if len(shape) != 2 && len(shape) != 3 {
		return DiT{}, fmt.Errorf("nets: dit: samples of shape %v; want images, [height, width, channels], or sequences, [length, channels]", shape)
	}
	o.Patch, o.Width, o.Depth, o.Heads = cmp.Or(o.Patch, 2), cmp.Or(o.Width, 384), cmp.Or(o.Depth, 12), cmp.Or(o.Heads, 6)
	if o.MLPRatio == 0 {
		o.MLPRatio = 4
	}
	last := len(shape) - 1
	d := DiT{InputSize: slices.Clone(shape[:last]), InChannels: shape[last], PatchSize: o.Patch, HiddenSize: o.Width, Depth: o.Depth,
		NumHeads: o.Heads, MLPRatio: o.MLPRatio, ClassDropoutProb: 0.1, NumClasses: classes}
	return d, d.Validate()
}
