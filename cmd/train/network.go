package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/ui"
	"hbar/cuda"
	"hbar/data"
	"hbar/internal/memory"
	"hbar/nets"
	"hbar/train"
)

// defineNetworks makes the flags of networks for images and sequences.
func (o *options) defineNetworks(s *flags.Set) {
	g := s.Group("Networks for images and sequences")
	g.String(&o.Size, "size", "NAME", "a published size in place of --width and --depth and of the sizes below: "+strings.Join(nets.Presets(), ", ")+"; it chooses --net")
	g.Ints(&o.Channels, "channels", "N,…", flags.AtLeastOne, "unet: channels of the levels, each of half the height and width of the one before; default 128,256,256,256")
	g.Int(&o.Layers, "layers", "N", flags.NonNegative, "unet: residual blocks of a level on the way down; 0 means 2")
	g.Ints(&o.Attention, "attention", "HEIGHT,…", flags.AtLeastOne, "unet: heights of the levels with attention; default the first of 16 or less")
	g.Int(&o.Groups, "groups", "N", flags.NonNegative, "unet: groups of the norms; 0 means up to 32, of four channels or more")
	g.Int(&o.HeadDim, "head-dim", "CHANNELS", flags.NonNegative, "unet: channels of an attention head; 0 means one head")
	g.Float(&o.Dropout, "dropout", "P", flags.HalfOpen(0, 1), "unet: probability with which a value is dropped in training")
	g.Int(&o.Patch, "patch", "N", flags.NonNegative, "dit: positions of a token in each direction; 0 means 2")
	g.Int(&o.Heads, "heads", "N", flags.NonNegative, "dit: attention heads; 0 means 6")
	g.Float(&o.LabelDropout, "label-dropout", "P", flags.Between(0, 1), "probability with which a label is taken for none, as guidance needs; at 0 the network knows no none; for data with labels 0.1 unless given")
	g.Bool(&o.Flip, "flip", "mirror half of the images from left to right")
	g.OnOff(&o.Dequantise, "dequantise", "add uniform noise of one step to data that are bytes, in each batch anew; for images and sounds on unless given, never for text")
	g.OnOff(&o.Stratify, "stratify", "spread the times of a batch evenly; for images on unless given")
	g.Int(&o.MicroBatch, "micro-batch", "ROWS", flags.NonNegative, "samples that pass through the network together; 0 chooses by memory and says so; does not change the result")
}

// networkDefaults are the defaults for networks of images and sequences, in place of those for points in few dimensions, for
// options that neither the user nor a preset gives.
func (o *options) networkDefaults(s *flags.Set) error {
	if o.Resume {
		return nil
	}
	if o.Size != "" && !s.Given("net") {
		o.Net = cmp.Or(nets.PresetKind(o.Size), train.NetUNet) // an unknown size is an error later
	}
	if err := o.unused(s); err != nil {
		return err
	}
	o.labelDropout = s.Given("label-dropout")
	if o.Net == train.NetMLP || o.Net == "" {
		return nil
	}
	for _, name := range []string{"act", "residual", "time", "fourier", "fourier-scale"} {
		if s.Given(name) {
			return ui.Usagef("--%s is for --net mlp; a %s has its own", name, o.Net)
		}
	}
	if _, ok := networkPresets[o.Preset]; ok { // it says all that follows
		o.Act, o.Time = "", ""
		if !s.Given("warmup") {
			o.Warmup = min(o.Warmup, o.Steps/10)
		}
		return nil
	}
	number := func(name string, p *int, v int) {
		if !s.Given(name) {
			*p = v
		}
	}
	real := func(name string, p *float64, v float64) {
		if !s.Given(name) {
			*p = v
		}
	}
	text := func(name string, p *string, v string) {
		if !s.Given(name) {
			*p = v
		}
	}
	on := func(name string, p *bool, v bool) {
		if !s.Given(name) {
			*p = v
		}
	}
	number("width", &o.Width, 0)
	number("depth", &o.Depth, 0)
	o.Act, o.Time, o.Fourier, o.FourierScale, o.Residual = "", "", 0, 0, false
	text("schedule", &o.Schedule, "cosine")
	text("prediction", &o.Prediction, "edm")
	text("weight", &o.Weight, "edm")
	if o.Schedule != "edm" {
		text("times", &o.Times, train.TimesUniform)
	}
	on("importance", &o.Importance, false)
	number("steps", &o.Steps, 10000)
	number("batch", &o.Batch, 64)
	real("lr", &o.LR, map[string]float64{train.NetUNet: 1e-3, train.NetDiT: 3e-4}[o.Net])
	if o.Size == "cifar10" {
		real("lr", &o.LR, 2e-4)
	}
	number("warmup", &o.Warmup, min(200, o.Steps/10))
	text("decay", &o.Decay, train.DecayCosine)
	real("ema", &o.EMA, 0.999)
	real("clip", &o.Clip, 1)
	real("label-dropout", &o.LabelDropout, 0.1)
	on("dequantise", &o.Dequantise, !o.Text)
	on("stratify", &o.Stratify, true)
	return nil
}

// runsOn sees whether the GPU has kernels for the network. If not, and a GPU was asked for, that is an error.
func (o options) runsOn(d *device, set *data.Dataset) error {
	if o.Net == train.NetMLP || d.gpu == nil {
		return nil
	}
	c, err := o.Config(set.Shape, set.Classes)
	if err != nil {
		return err
	}
	n, err := nets.New(c)
	if err != nil {
		return err
	}
	if err := cuda.Runs(n.Program); err != nil {
		return errors.Join(d.without(err), d.close())
	}
	return nil
}

// describeNetwork says what is trained and what memory it takes.
func (o options) describeNetwork(w io.Writer, set *data.Dataset) error {
	if o.Net == train.NetMLP {
		spec := o.Spec(set.D)
		fmt.Fprintf(w, "network   %s of %d, %s, %s parameters\n", ui.Plural(int64(o.Depth), "hidden layer"), o.Width, o.Act, ui.Count(int64(spec.NumParams())))
		fmt.Fprintf(w, "memory    about %v; there are %v\n", o.Need(set.D, set.N()), memory.Available())
		return nil
	}
	c, err := o.Config(set.Shape, set.Classes)
	if err != nil {
		return err
	}
	n, err := nets.New(c)
	if err != nil {
		return err
	}
	labels := "no labels"
	if c.Classes() > 0 {
		labels = ui.Plural(int64(c.Classes()), "class")
	}
	fmt.Fprintf(w, "network   %s for samples of %v, %s, %s parameters, %.3g billion multiply-adds a sample\n", c.Kind(), c.SampleShape(), labels,
		ui.Count(int64(n.NumParams())), n.Program.Cost(1).MulAdds/1e9)
	fmt.Fprintf(w, "memory    about %v; there are %v\n", o.NetworkNeed(n, set), memory.Available())
	return nil
}
