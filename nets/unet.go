package nets

import (
	"fmt"
	"slices"
	"strings"

	"hbar/program/ops"
)

// UNet is the U-Net of DDPM (Ho 2020, arXiv:2006.11239) as diffusers' UNet2DModel builds it; fields have that class's names.
//
// Level i has the channels BlockOutChannels[i] and 1/2^i of the sample's size. Up blocks are listed from the deepest level.
type UNet struct {
	SampleSize        [2]int   `json:"sample_size"` // height, width
	InChannels        int      `json:"in_channels"`
	OutChannels       int      `json:"out_channels"` // InChannels, or twice that with a variance
	CenterInputSample bool     `json:"center_input_sample"`
	FreqShift         float64  `json:"freq_shift"`       // of the time's sinusoids: the divisor is half the features less this
	FlipSinToCos      bool     `json:"flip_sin_to_cos"`  // cosines first
	DownBlockTypes    []string `json:"down_block_types"` // DownBlock2D or AttnDownBlock2D
	UpBlockTypes      []string `json:"up_block_types"`   // UpBlock2D or AttnUpBlock2D
	BlockOutChannels  []int    `json:"block_out_channels"`
	TimeEmbeddingDim  int      `json:"time_embedding_dim,omitempty"` // 0: four times the first level's channels
	LayersPerBlock    int      `json:"layers_per_block"`
	DownsamplePadding int      `json:"downsample_padding"` // 1: one pixel on each side; 0: one on the right and one at the bottom
	Dropout           float64  `json:"dropout"`            // in training only
	AttentionHeadDim  int      `json:"attention_head_dim"` // channels of a head; 0: one head
	NormNumGroups     int      `json:"norm_num_groups"`
	NormEps           float64  `json:"norm_eps"`
	AddAttention      bool     `json:"add_attention"`    // in the middle
	NumClassEmbeds    int      `json:"num_class_embeds"` // rows of the table of labels; 0: no labels
	// NoneClass says that the last row of the table of labels means "none". It is our addition.
	NoneClass bool `json:"none_class,omitempty"`
}

var (
	downBlocks = []string{"DownBlock2D", "AttnDownBlock2D"}
	upBlocks   = []string{"UpBlock2D", "AttnUpBlock2D"}
)

// Kind implements Config.
func (UNet) Kind() string { return "unet" }

// SampleShape implements Config.
func (u UNet) SampleShape() []int { return []int{u.SampleSize[0], u.SampleSize[1], u.InChannels} }

// Classes implements Config.
func (u UNet) Classes() int {
	if u.NoneClass {
		return u.NumClassEmbeds - 1
	}
	return u.NumClassEmbeds
}

// NoLabel implements Config.
func (u UNet) NoLabel() bool { return u.NoneClass }

// Variance implements Config.
func (u UNet) Variance() bool { return u.OutChannels == 2*u.InChannels }

// EmbedsTime implements Config.
func (UNet) EmbedsTime() bool { return true }

// Validate implements Config.
func (u UNet) Validate() error {
	err := within("unet",
		limit{"the height", u.SampleSize[0], 1, maxUnits}, limit{"the width", u.SampleSize[1], 1, maxUnits},
		limit{"in_channels", u.InChannels, 1, maxUnits}, limit{"number of levels, of block_out_channels,", len(u.BlockOutChannels), 1, 16},
		limit{"layers_per_block", u.LayersPerBlock, 1, 32}, limit{"downsample_padding", u.DownsamplePadding, 0, 1},
		limit{"norm_num_groups", u.NormNumGroups, 1, maxUnits}, limit{"attention_head_dim", u.AttentionHeadDim, 0, maxUnits},
		limit{"num_class_embeds", u.NumClassEmbeds, 0, maxUnits}, limit{"time_embedding_dim", u.TimeEmbeddingDim, 0, maxUnits})
	if err != nil {
		return err
	}
	if err := sampleFits("unet", u.SampleShape()); err != nil {
		return err
	}
	if err := u.validateBlocks(); err != nil {
		return err
	}
	half := float64(u.BlockOutChannels[0] / 2)
	switch p := 1 << (len(u.BlockOutChannels) - 1); {
	case u.SampleSize[0]%p != 0 || u.SampleSize[1]%p != 0:
		return fmt.Errorf("nets: unet: %d levels (block_out_channels) do not divide an image of %d×%d; height and width must be multiples of %d", len(u.BlockOutChannels), u.SampleSize[0], u.SampleSize[1], p)
	case u.OutChannels != u.InChannels && u.OutChannels != 2*u.InChannels:
		return fmt.Errorf("nets: unet: out_channels is %d; want in_channels, %d, or twice that with a variance", u.OutChannels, u.InChannels)
	case !(u.NormEps > 0) || u.NormEps > 1:
		return fmt.Errorf("nets: unet: norm_eps is %g; want a small positive number", u.NormEps)
	case !(u.Dropout >= 0 && u.Dropout < 1):
		return fmt.Errorf("nets: unet: dropout is %g; want at least 0 and below 1", u.Dropout)
	case !(u.FreqShift >= 0 && u.FreqShift < half):
		return fmt.Errorf("nets: unet: freq_shift is %g with %d time features; want at least 0 and below half the features", u.FreqShift, u.BlockOutChannels[0])
	case u.NoneClass && u.NumClassEmbeds < 2:
		return fmt.Errorf("nets: unet: num_class_embeds is %d with a row for none; want at least 2", u.NumClassEmbeds)
	}
	return nil
}

func (u UNet) validateBlocks() error {
	levels := len(u.BlockOutChannels)
	if len(u.DownBlockTypes) != levels || len(u.UpBlockTypes) != levels {
		return fmt.Errorf("nets: unet: %d down and %d up blocks for %d levels; want one of each for a level", len(u.DownBlockTypes), len(u.UpBlockTypes), levels)
	}
	for i, c := range u.BlockOutChannels {
		down, up := u.DownBlockTypes[i], u.UpBlockTypes[levels-1-i]
		if !slices.Contains(downBlocks, down) {
			return fmt.Errorf("nets: unet: down block %.40q unknown; have %s", down, strings.Join(downBlocks, ", "))
		}
		if !slices.Contains(upBlocks, up) {
			return fmt.Errorf("nets: unet: up block %.40q unknown; have %s", up, strings.Join(upBlocks, ", "))
		}
		attention := down == downBlocks[1] || up == upBlocks[1] || i == levels-1 && u.AddAttention
		switch {
		case c < 2 || c > maxUnits:
			return fmt.Errorf("nets: unet: level %d has %d channels (block_out_channels); want 2 to %d", i, c, maxUnits)
		case c%u.NormNumGroups != 0:
			return fmt.Errorf("nets: unet: norm_num_groups of %d does not divide the %d channels of level %d", u.NormNumGroups, c, i)
		case attention && u.AttentionHeadDim > 0 && c%u.AttentionHeadDim != 0:
			return fmt.Errorf("nets: unet: heads of %d channels (attention_head_dim) do not divide the %d channels of level %d", u.AttentionHeadDim, c, i)
		}
	}
	return nil
}

// unet builds a U-Net.
type unet struct {
	*maker
	UNet
	embedding value // silu of that of time and label
}

func (u UNet) build(m *maker) {
	n := &unet{maker: m, UNet: u}
	x, t, y := m.inputs(u)
	if u.CenterInputSample {
		x = ops.Affine(m.b, 2, -1, x)
	}
	ch := u.BlockOutChannels
	n.embed(t, y)
	x = m.conv("conv_in", ops.Same, x, ch[0], 3, xavierDraw)
	x, skips := n.down(x)
	deepest := ch[len(ch)-1]
	x = n.resnet("mid_block.resnets.0", x, deepest)
	if u.AddAttention {
		x = n.attention("mid_block.attentions.0", x)
	}
	x = n.resnet("mid_block.resnets.1", x, deepest)
	x = n.up(x, skips)
	x = m.groupNorm("conv_norm_out", x, u.NormNumGroups, u.NormEps, ops.SiLU)
	x = m.conv("conv_out", ops.Same, x, u.OutChannels, 3, zeros)
	m.b.Output("out", ops.Part(m.b, x, 0, u.InChannels))
}

// embed makes the embedding of time and label.
func (n *unet) embed(t, y value) {
	features := n.BlockOutChannels[0]
	width := n.TimeEmbeddingDim
	if width == 0 {
		width = 4 * features
	}
	e := n.b.Apply(ops.Sinusoid{Dim: features, MaxPeriod: 10000, Shift: n.FreqShift, CosFirst: n.FlipSinToCos}, t)[0]
	e = ops.Activate(n.b, ops.SiLU, n.dense("time_embedding.linear_1", e, width, xavierDraw))
	e = n.dense("time_embedding.linear_2", e, width, xavierDraw)
	if y != nil {
		table := n.param("class_embedding.weight", draw{kind: normal, scale: 1}, n.NumClassEmbeds, width)
		e = ops.Sum(n.b, e, n.b.Apply(ops.Embedding{}, table, y)[0])
	}
	n.embedding = ops.Activate(n.b, ops.SiLU, e)
}

// down is the encoder. It returns its output, and the values that the decoder concatenates with its own.
func (n *unet) down(x value) (value, []value) {
	skips := []value{x}
	for i, out := range n.BlockOutChannels {
		name := sub("down_blocks", i)
		for j := range n.LayersPerBlock {
			x = n.resnet(sub(name+".resnets", j), x, out)
			if n.DownBlockTypes[i] == downBlocks[1] {
				x = n.attention(sub(name+".attentions", j), x)
			}
			skips = append(skips, x)
		}
		if i < len(n.BlockOutChannels)-1 {
			p := n.DownsamplePadding
			x = n.conv(name+".downsamplers.0.conv", ops.Conv{Stride: 2, Left: p, Right: 1, Top: p, Bottom: 1}, x, out, 3, xavierDraw)
			skips = append(skips, x)
		}
	}
	return x, skips
}

// up is the decoder.
func (n *unet) up(x value, skips []value) value {
	levels := len(n.BlockOutChannels)
	for i := range levels {
		name, out := sub("up_blocks", i), n.BlockOutChannels[levels-1-i]
		for j := range n.LayersPerBlock + 1 {
			last := len(skips) - 1
			x = ops.Join(n.b, x, skips[last]) // the current value first
			skips = skips[:last]
			x = n.resnet(sub(name+".resnets", j), x, out)
			if n.UpBlockTypes[i] == upBlocks[1] {
				x = n.attention(sub(name+".attentions", j), x)
			}
		}
		if i < levels-1 {
			x = n.conv(name+".upsamplers.0.conv", ops.Same, ops.Twice(n.b, x), out, 3, xavierDraw)
		}
	}
	return x
}

// resnet is a residual block: norm, SiLU, 3×3, plus the embedding, norm, SiLU, dropout, 3×3, plus x.
func (n *unet) resnet(name string, x value, out int) value {
	h := n.groupNorm(name+".norm1", x, n.NormNumGroups, n.NormEps, ops.SiLU)
	h = n.conv(name+".conv1", ops.Same, h, out, 3, xavierDraw)
	h = ops.Sum(n.b, h, n.dense(name+".time_emb_proj", n.embedding, out, xavierDraw))
	h = n.dropped(n.groupNorm(name+".norm2", h, n.NormNumGroups, n.NormEps, ops.SiLU))
	h = n.conv(name+".conv2", ops.Same, h, out, 3, zeros)
	if x.Shape()[2] != out {
		x = n.conv(name+".conv_shortcut", ops.Conv{Stride: 1}, x, out, 1, xavierDraw)
	}
	return ops.Sum(n.b, x, h)
}

// attention is x plus the attention of its pixels among each other.
func (n *unet) attention(name string, x value) value {
	s := slices.Clone(x.Shape())
	heads := 1
	if n.AttentionHeadDim > 0 {
		heads = s[2] / n.AttentionHeadDim
	}
	z := ops.Shape(n.b, n.groupNorm(name+".group_norm", x, n.NormNumGroups, n.NormEps, ""), s[0]*s[1], s[2])
	q := n.dense(name+".to_q", z, s[2], xavierDraw)
	k := n.dense(name+".to_k", z, s[2], xavierDraw)
	v := n.dense(name+".to_v", z, s[2], xavierDraw)
	z = n.b.Apply(ops.Attention{Heads: heads}, q, k, v)[0]
	z = n.dense(name+".to_out.0", z, s[2], zeros)
	return ops.Sum(n.b, x, ops.Shape(n.b, z, s...))
}

// groupsFor is the largest number of groups up to 32 that divides all channels and leaves at least four to a group: with one
// channel to a group the norm would erase the time's embedding.
func groupsFor(channels []int) int {
	g := 0
	for _, c := range channels {
		a, b := g, c
		for b > 0 {
			a, b = b, a%b
		}
		g = a
	}
	least := slices.Min(channels)
	for k := min(32, max(least/4, 1)); k > 1; k-- {
		if g%k == 0 {
			return k
		}
	}
	return 1
}

// UNetSizes are the choices that make a U-Net for data of some shape. The zero value is that of DDPM for CIFAR-10.
type UNetSizes struct {
	Channels             []int // of the levels; nil: 128, 256, 256, 256
	Layers               int   // residual blocks of a level of the encoder; 0: 2
	AttentionResolutions []int // heights of the levels with attention; nil: the first level of 16 or less, as for CIFAR-10
	Groups               int   // of the norms; 0: up to 32, with four channels or more to a group
	HeadDim              int   // channels of an attention head; 0: one head
	Dropout              float64
}

// NewUNet is the U-Net of those sizes for images of shape [H, W, C]. With classes > 0 it takes labels, and the label classes
// means none.
func NewUNet(shape []int, classes int, o UNetSizes) (UNet, error) {
	if len(shape) != 3 {
		return UNet{}, fmt.Errorf("nets: unet: samples of shape %v; want images, [height, width, channels]", shape)
	}
	if o.Channels == nil {
		o.Channels = []int{128, 256, 256, 256}
	}
	if o.Layers == 0 {
		o.Layers = 2
	}
	for _, c := range o.Channels {
		if c < 1 {
			return UNet{}, fmt.Errorf("nets: unet: channels %v; want positive numbers", o.Channels)
		}
	}
	if o.Groups == 0 && len(o.Channels) > 0 {
		o.Groups = groupsFor(o.Channels)
	}
	u := UNet{SampleSize: [2]int{shape[0], shape[1]}, InChannels: shape[2], OutChannels: shape[2], FreqShift: 1,
		BlockOutChannels: o.Channels, LayersPerBlock: o.Layers, Dropout: o.Dropout, AttentionHeadDim: o.HeadDim,
		NormNumGroups: o.Groups, NormEps: 1e-6, AddAttention: true}
	attention, err := o.attention(shape[0])
	if err != nil {
		return u, err
	}
	for i := range o.Channels {
		kind := 0
		if attention[i] {
			kind = 1
		}
		u.DownBlockTypes = append(u.DownBlockTypes, downBlocks[kind])
		u.UpBlockTypes = slices.Insert(u.UpBlockTypes, 0, upBlocks[kind])
	}
	if classes > 0 {
		u.NumClassEmbeds, u.NoneClass = classes+1, true
	}
	return u, u.Validate()
}

// attention says which levels of an image of that height have attention.
func (o UNetSizes) attention(height int) ([]bool, error) {
	have := make([]bool, len(o.Channels))
	heights := make([]int, len(o.Channels))
	for i := range heights {
		heights[i] = height >> i
	}
	if o.AttentionResolutions == nil {
		for i, h := range heights {
			if h <= 16 {
				have[i] = true
				break
			}
		}
	}
	for _, r := range o.AttentionResolutions {
		i := slices.Index(heights, r)
		if i < 0 {
			return nil, fmt.Errorf("nets: unet: attention (attention_resolutions) at the height %d, which no level has; have %v", r, heights)
		}
		have[i] = true
	}
	return have, nil
}
