package main

import (
	"slices"
	"strings"

	"hbar/cmd/internal/flags"
	"hbar/cmd/internal/ui"
	"hbar/data"
	"hbar/train"
)

// kindsOf says for which kinds of networks an option is. Options that are not listed are for all.
var kindsOf = []struct {
	option string
	kinds  []string
}{
	{"width", []string{train.NetMLP, train.NetDiT}},
	{"depth", []string{train.NetMLP, train.NetDiT}},
	{"channels", []string{train.NetUNet}},
	{"layers", []string{train.NetUNet}},
	{"attention", []string{train.NetUNet}},
	{"groups", []string{train.NetUNet}},
	{"head-dim", []string{train.NetUNet}},
	{"dropout", []string{train.NetUNet}},
	{"patch", []string{train.NetDiT}},
	{"heads", []string{train.NetDiT}},
	{"label-dropout", []string{train.NetUNet, train.NetDiT}},
}

// ofSize are options that --size replaces.
var ofSize = []string{"width", "depth", "channels", "layers", "attention", "groups", "head-dim", "patch", "heads"}

// unused refuses an option that was given and would be ignored.
func (o options) unused(s *flags.Set) error {
	net := o.Net
	if net == "" {
		net = train.NetMLP
	}
	for _, k := range kindsOf {
		if s.Given(k.option) && !slices.Contains(k.kinds, net) {
			return ui.Usagef("--%s is for --net %s; the network is of the kind %s", k.option, strings.Join(k.kinds, " and "), net)
		}
	}
	for _, name := range ofSize {
		if o.Size != "" && s.Given(name) {
			return ui.Usagef("--size %s chooses all sizes of the network; leave out --%s, or leave out --size", o.Size, name)
		}
	}
	if net == train.NetMLP && s.Given("labels") && o.Labels != data.NoLabels {
		return ui.Usagef("--labels is for --net unet and dit; an mlp takes no labels")
	}
	return nil
}

// unlabelled refuses an option for labels where the data have none.
func (o options) unlabelled(set *data.Dataset) error {
	if o.labelDropout && set.Classes == 0 {
		return ui.Usagef("--label-dropout is for data with labels, and %s has none; name them by --labels", o.Data)
	}
	return nil
}
