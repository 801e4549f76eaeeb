package train

import (
	"fmt"

	"hbar/data"
	"hbar/nets"
)

// Sizes are the sizes of networks for images and sequences. Zero fields are the defaults of package nets.
type Sizes struct {
	// Size is a published network's size, which replaces all others but Dropout: nets.Presets.
	Size string `json:"size,omitempty"`

	Channels  []int   `json:"channels,omitempty"`  // unet: of the levels
	Layers    int     `json:"layers,omitempty"`    // unet: residual blocks of a level
	Attention []int   `json:"attention,omitempty"` // unet: heights of the levels with attention
	Groups    int     `json:"groups,omitempty"`    // unet: of the norms
	HeadDim   int     `json:"head_dim,omitempty"`  // unet: channels of an attention head
	Dropout   float64 `json:"dropout,omitempty"`   // unet

	Patch int `json:"patch,omitempty"` // dit: positions of a token in each direction
	Heads int `json:"heads,omitempty"` // dit

	// LabelDropout is the probability with which a training sample's label is replaced by none, as guidance needs. At 0 the network
	// has no label none.
	LabelDropout float64 `json:"label_dropout,omitempty"`
	// Flip mirrors half of the images from left to right.
	Flip bool `json:"flip,omitempty"`
	// Dequantise adds uniform noise of one step to data that are bytes, in each batch anew.
	Dequantise bool `json:"dequantise,omitempty"`
	// Stratify draws the times of a batch in strata: row i of B takes its time from ((i + u)/B).
	Stratify bool `json:"stratify,omitempty"`

	// MicroBatch is the number of samples that pass through the network at a time; 0 chooses it by memory. Results do not depend
	// on it.
	MicroBatch int `json:"micro_batch,omitempty"`
}

// Config is the network for data of a shape, [D], [H, W, C] or [T, C], with labels if there are classes.
func (o Options) Config(shape []int, classes int) (nets.Config, error) {
	c, err := o.sized(shape, classes)
	if classes > 0 && o.LabelDropout == 0 && err == nil { // nothing in training is without a label
		c = nets.WithoutNone(c)
	}
	return c, err
}

// sized is the network with the label none, for data with labels.
func (o Options) sized(shape []int, classes int) (nets.Config, error) {
	o = o.WithDefaults()
	if o.Size != "" {
		if kind := nets.PresetKind(o.Size); kind != "" && kind != o.Net {
			return nil, fmt.Errorf("train: size %s is that of a %s; the network is a %s", o.Size, kind, o.Net)
		}
		c, err := nets.Preset(o.Size, shape, classes)
		if u, ok := c.(nets.UNet); ok && o.Dropout > 0 {
			u.Dropout, c = o.Dropout, u
		}
		return c, err
	}
	switch o.Net {
	case NetUNet:
		return nets.NewUNet(shape, classes, nets.UNetSizes{Channels: o.Channels, Layers: o.Layers, AttentionResolutions: o.Attention,
			Groups: o.Groups, HeadDim: o.HeadDim, Dropout: o.Dropout})
	case NetDiT:
		return nets.NewDiT(shape, classes, nets.DiTSizes{Patch: o.Patch, Width: o.Width, Depth: o.Depth, Heads: o.Heads})
	}
	d := 1
	for _, n := range shape {
		d *= n
	}
	return o.Spec(d), nil
}

// configFor is the network for a data set.
func (o Options) configFor(set *data.Dataset) (nets.Config, error) {
	c, err := o.Config(set.Shape, set.Classes)
	if err != nil {
		return nil, err
	}
	return c, c.Validate()
}
