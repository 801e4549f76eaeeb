package main

import (
	"fmt"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/ui"
	"hbar/data"
	"hbar/train"
)

// The presets of images, sounds and text. Their numbers of steps are those that two cores take within an hour if they do 150 billion
// floating-point operations a second, two to a multiply-add, and a step costs three forward passes of each row of its batch:
//
//	mnist   0.190 billion multiply-adds a sample, 73 GFLOP a step of 64, 7000 steps: 57 minutes
//	icons   0.250 billion, 96 GFLOP a step of 64, 5500 steps: 59 minutes
//	speech  0.381 billion, 73 GFLOP a step of 32, 7000 steps: 57 minutes
//	text    0.181 billion for windows of 64 characters of 7 bits, 69 GFLOP a step of 64, 7000 steps: 54 minutes
//
// A U-Net with two residual blocks to a level, in place of one, would take 0.277 billion for a digit, and 83 minutes.
const (
	presetMNIST  = "mnist"
	presetIcons  = "icons"
	presetSpeech = "speech"
	presetText   = "text"
)

// networkPreset is what a preset says of a network for images, sounds or text and of its training.
type networkPreset struct {
	train.Options
	length int // of a piece of sound, or of a window of text
	text   bool
	data   string // what it is for, and where that is from
}

var networkPresets = map[string]networkPreset{
	presetMNIST: {data: "the file train-images-idx3-ubyte.gz of the folder that scripts/get_mnist.sh makes",
		Options: train.Options{Net: train.NetUNet, Steps: 7000, Batch: 64, LR: 1e-3,
			Sizes: train.Sizes{Channels: []int{32, 64, 64}, Layers: 1, Attention: []int{7}}}},
	presetIcons: {data: "the folder that scripts/get_icons.sh makes",
		Options: train.Options{Net: train.NetUNet, Steps: 5500, Batch: 64, LR: 1e-3,
			Sizes: train.Sizes{Channels: []int{32, 64, 64}, Layers: 1, Attention: []int{8}, Dropout: 0.1}}},
	presetSpeech: {data: "the folder that scripts/get_speech.sh makes", length: 4096,
		Options: train.Options{Net: train.NetDiT, Steps: 7000, Batch: 32, LR: 3e-4,
			Width: 192, Depth: 6, Sizes: train.Sizes{Patch: 32, Heads: 3}}},
	presetText: {data: "a text in UTF-8", length: 64, text: true,
		Options: train.Options{Net: train.NetDiT, Steps: 7000, Batch: 64, LR: 3e-4,
			Width: 192, Depth: 6, Sizes: train.Sizes{Patch: 1, Heads: 3}}},
}

// presetNames are the names that --preset takes.
func presetNames() []string {
	return []string{presetQuick, presetPaper, presetMNIST, presetIcons, presetSpeech, presetText}
}

// options are those that a preset stands for. What they leave open is that of every network of its kind: see networkDefaults.
func (p networkPreset) options(name string) options {
	o := options{Preset: name, Normalise: data.NormAuto, Options: p.Options}
	o.Length, o.Text = p.length, p.text
	o.Schedule, o.Prediction, o.Weight, o.Times = "cosine", "edm", "edm", train.TimesUniform
	o.Warmup, o.Decay, o.EMA, o.Clip = 200, train.DecayCosine, 0.999, 1
	o.LabelDropout, o.Dequantise, o.Stratify = 0.1, !p.text, true
	return o
}

// presetFits refuses options that contradict a preset's network, and a preset without data.
func (o options) presetFits(s *flags.Set) error {
	p, ok := networkPresets[o.Preset]
	switch {
	case !ok || o.Resume:
		return nil
	case s.Given("size"), o.Net != p.Net:
		return ui.Usagef("--preset %s is a %s of its own size; leave --net and --size out, or the preset", o.Preset, p.Net)
	case p.text && !o.Text:
		return ui.Usagef("--preset %s is for text; leave --text=false out", o.Preset)
	case !s.Given("data"):
		return ui.Usagef("--preset %s needs --data: %s", o.Preset, p.data)
	}
	return nil
}

// presetHelp says what the presets are.
func presetHelp() string {
	return fmt.Sprintf("defaults of all options above: quick, or the setting of arXiv:2403.11262 to the letter; or networks that two cores train within an hour: %s, a U-Net of 1.1 million parameters for 28×28 digits; %s, the same for 32×32 icons in colour; %s, a transformer for pieces of 4096 samples of sound; %s, one for windows of 64 characters; --data names their files",
		presetMNIST, presetIcons, presetSpeech, presetText)
}
